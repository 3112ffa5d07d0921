/* SPDX-License-Identifier: MIT */
/* The write queue: messages of two or three tasks, calls that are cut short, a full socket, and a queue that is freed by the last
 * of its users. Each message that was written is whole, and no thread waits for ever. */
#include <tn/write_queue.h>

/* The scenario decides which waits are cut short. */
int sleeper_await(tn_future *future);
#define tn_await sleeper_await
#include "sleeper.h"
#undef tn_await

#include "scope/scope.h"

enum { LOG_BYTES = 16, WRITERS = 3 };

typedef struct {
    tn_write_queue *queue; /* allocated, because the last user frees it */
    tni_a32 users;
    unsigned char log[LOG_BYTES]; /* plain: what the socket has taken; two holders at once are a race */
    uint32_t logged;
    uint32_t per_call;   /* bytes that a system call takes; 0: any */
    uint32_t full_calls; /* so many calls find no space */
    uint32_t cut;        /* constant; the thread with this number is cancelled while it waits; 0: none */
    int results[WRITERS];
} post;

static post *here; /* constant during an execution */

static void setup_for(post *p, uint32_t users)
{
    here = p;
    p->queue = model_alloc(sizeof *p->queue, _Alignof(tn_write_queue));
    tn_write_queue_init(p->queue, NULL);
    model_name(p->queue, 4, "queue.lock");
    tni_a32_init(&p->users, users);
    for (int i = 0; i < WRITERS; i++)
        p->results[i] = 1;
}

static void setup_two(void *state)
{
    setup_for(state, 2);
}

/* The second thread is cancelled. */
static void setup_two_cut(void *state)
{
    setup_for(state, 2);
    ((post *)state)->cut = 2;
}

static void setup_two_full_cut(void *state)
{
    setup_two_cut(state);
    ((post *)state)->full_calls = 1;
}

static void setup_three_cut(void *state)
{
    setup_for(state, 3);
    ((post *)state)->cut = 2;
}

/* A system call takes one message and a half. */
static void setup_in_parts(void *state)
{
    setup_three_cut(state);
    ((post *)state)->per_call = 3;
}

/* A message takes two system calls. */
static void setup_between_parts(void *state)
{
    setup_three_cut(state);
    ((post *)state)->per_call = 1;
}

static void setup_two_full(void *state)
{
    post *p = state;

    setup_for(p, 2);
    p->full_calls = 1;
}

/* --- The stream and its waits ---------------------------------------------------------------------------------------------- */

tn_io tn_stream_io(tn_stream *stream)
{
    return (tn_io){NULL, stream};
}

void tn_scope_enter(tn_scope *scope, uint64_t deadline_ns)
{
    (void)scope;
    (void)deadline_ns;
}

void tni_scope_on_end(tn_scope *scope, tni_scope_end_fn end)
{
    (void)scope;
    (void)end;
}

/* Of a kind that cannot be tried. */
ssize_t tn_io_writev(tn_io io, const struct iovec *iov, int count)
{
    (void)io;
    (void)iov;
    (void)count;
    return TN_ENOTSUP;
}

ssize_t tn_io_try_writev(tn_io io, const struct iovec *iov, int count)
{
    uint32_t left = here->per_call != 0 ? here->per_call : UINT32_MAX;
    uint32_t before = here->logged;

    (void)io;
    if (here->full_calls > 0) {
        here->full_calls--;
        return TN_EAGAIN;
    }
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < iov[i].iov_len && left > 0; at++, left--)
            here->log[here->logged++] = ((const unsigned char *)iov[i].iov_base)[at];
    return here->logged - before;
}

static int space_is_there(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    return 0;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

void tn_io_wait_init(tn_io_wait_future *future, tn_io io, tn_direction direction)
{
    static const tn_future_ops ops = {space_is_there, drop_nothing, NULL};

    (void)io;
    (void)direction;
    future->base.ops = &ops;
}

int tn_await(tn_future *future)
{
    int rc;

    if (model_self() != here->cut)
        return sleeper_await(future);
    rc = sleeper_cancelled(future);
    return rc == TN_PENDING ? TN_ECANCELED : rc;
}

/* Between two parts of a message. */
int tni_budget_enter_part(tn_future *in_flight)
{
    (void)in_flight;
    return model_self() == here->cut ? TN_ECANCELED : 0;
}

/* --- Threads --------------------------------------------------------------------------------------------------------------- */

static void leave(post *p)
{
    if (tni_a32_fetch_sub(&p->users, 1, TNI_ACQ_REL) == 1)
        model_free(p->queue);
}

static void write_message(post *p, unsigned writer)
{
    unsigned char message[2] = {(unsigned char)('a' + writer), (unsigned char)('A' + writer)};

    p->results[writer] = tn_write_queue_write(p->queue, message, sizeof message);
    leave(p);
}

static void write_first(void *state)
{
    write_message(state, 0);
}

static void write_second(void *state)
{
    write_message(state, 1);
}

static void write_third(void *state)
{
    write_message(state, 2);
}

/* The second message may be cut; then the third one must not follow. */
static void write_second_and_third(void *state)
{
    write_message(state, 1);
    write_message(state, 2);
}

/* --- The end --------------------------------------------------------------------------------------------------------------- */

static uint32_t times_logged(const post *p, unsigned char byte)
{
    uint32_t times = 0;

    for (uint32_t i = 0; i < p->logged; i++)
        times += p->log[i] == byte;
    return times;
}

/* A message that was written is there whole, one that was not is not there. Only a broken queue ends with a cut one. */
static void finish(void *state)
{
    const post *p = state;
    bool broken = false;

    for (uint32_t i = 0; i + 1 < p->logged; i += 2)
        model_check(p->log[i + 1] == p->log[i] - 'a' + 'A');
    for (unsigned i = 0; i < WRITERS; i++)
        broken |= p->results[i] == TN_EPIPE || (p->results[i] == TN_ECANCELED && times_logged(p, (unsigned char)('a' + i)) == 1);
    model_check(p->logged % 2 == 0 || broken);
    for (unsigned i = 0; i < WRITERS; i++) {
        uint32_t times = times_logged(p, (unsigned char)('A' + i));
        if (p->results[i] != 1)
            model_check(times == (p->results[i] == 0));
        model_check(p->results[i] == 1 || p->results[i] == 0 || p->results[i] == TN_ECANCELED || broken);
    }
}

#define CASE(what, how, ...) \
    { \
        .name = "write_queue." what, .state_bytes = sizeof(post), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("two", setup_two, .threads = {write_first, write_second}),
    CASE("two_full", setup_two_full, .threads = {write_first, write_second}),
    CASE("cut", setup_two_cut, .threads = {write_first, write_second}, .bound = 3),
    CASE("cut_full", setup_two_full_cut, .threads = {write_first, write_second}),
    CASE("three_cut", setup_three_cut, .threads = {write_first, write_second, write_third}, .bound = 1),
    CASE("cut_in_parts", setup_in_parts, .threads = {write_first, write_second_and_third}),
    CASE("cut_between_parts", setup_between_parts, .threads = {write_first, write_second_and_third}),
    {0},
};
