/* SPDX-License-Identifier: MIT */
/* Replaces all that a copy in both directions uses, for copy_idle.c: streams, the select, scopes, sources and the group. All
 * their accesses are relaxed: only the spawn and the end of the second fiber order memory. The fibers are two threads of the
 * scenario: the first is the caller, the second runs each fiber that is spawned. Defines functions of the library, so it is for
 * one source of a program. */
#ifndef TN_MODEL_COPY_WORLD_H
#define TN_MODEL_COPY_WORLD_H

#include <tn/combine.h>
#include <tn/group.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/defs.h"
#include "copy/copy.h"
#include "io/stream_io.h"
#include "model.h"
#include "scope/scope.h"
#include "stream/stream_splice.h"

/* Three words consist of counters of four bits, and of marks. Those of the second stream are above those of the first. */
#define COUNTER(word, one) ((word) / (one)&15)

/* `world`: what a fiber waits for. */
#define ARRIVED(stream) (1u << 4 * (stream))  /* counts the bytes that came from the peer */
#define DONE (1u << 8)                        /* counts the second fibers that have ended */
#define ENDS(stream) (1u << (12 + (stream)))  /* the peer sends no more */
#define FAILS(stream) (1u << (14 + (stream))) /* reads fail */
#define CANCEL (1u << 16)                     /* of the caller */
#define CUT (1u << 17)                        /* of both directions */
#define GROUP (1u << 18)                      /* of the second fiber */
#define REST (1u << 19)                       /* of both waits for input */
#define ROOM (1u << 20)                       /* the second byte for stream 1 fits */

/* `tasks`: what the thread of the second fibers waits for. */
#define SPAWNED (1u << 0) /* counts the second fibers */
#define OVER (1u << 4)    /* the call has returned */

/* `progress`: what the peers wait for. */
#define WRITTEN(stream) (1u << 4 * (stream))   /* counts the bytes that went to the peer */
#define LEFT (1u << 8)                         /* counts the groups that have been left: there is one fiber again */
#define CLOSED(stream) (1u << (12 + (stream))) /* the end was passed on to the peer */

#define WORKERS 2

typedef struct scope_frame {
    struct scope_frame *parent;
    uint32_t cancels; /* the mark in `world` that cancels it; 0: none */
    tni_scope_end_fn end;
} scope_frame;

typedef struct {
    unsigned index;
    unsigned taken; /* plain: bytes that were read, by one fiber at a time */
    unsigned given; /* the same: written */
} stream;

typedef struct {
    tni_a32 world;
    tni_a32 tasks;
    tni_a32 progress;
    tni_copy_both *both; /* freed when the call has returned */
    stream streams[2];
    scope_frame *tops[WORKERS]; /* of the caller and of the second fiber, each used by its thread alone */
    tn_entry_fn entry;          /* plain: of the last spawn */
    void *arg;
    unsigned spawned; /* only the caller's */
    uint32_t seen;    /* by the caller's select, for the polls */
    int expected;
    uint64_t bytes[2];
} stage;

static stage *current; /* set by setup */

/* --- The words ------------------------------------------------------------------------------------------------------------- */

/* The newest value, as of a lock. Relaxed: the protocol may rely on nothing that streams or cancellations order. */
static inline uint32_t look(tni_a32 *word)
{
    return tni_a32_fetch_add(word, 0, TNI_RELAXED);
}

static inline uint32_t count(tni_a32 *word, uint32_t one)
{
    return tni_a32_fetch_add(word, one, TNI_RELAXED);
}

static inline uint32_t mark(tni_a32 *word, uint32_t marks)
{
    return tni_a32_fetch_or(word, marks, TNI_RELAXED);
}

static inline scope_frame **top(void)
{
    model_check(model_self() >= 1 && model_self() <= WORKERS);
    return &current->tops[model_self() - 1];
}

static inline bool is_cancelled(uint32_t world)
{
    for (const scope_frame *at = *top(); at != NULL; at = at->parent)
        if ((world & at->cancels) != 0)
            return true;
    return false;
}

/* --- Streams --------------------------------------------------------------------------------------------------------------- */

static inline bool is_readable(const stream *self, uint32_t world)
{
    return COUNTER(world, ARRIVED(self->index)) > self->taken || (world & (ENDS(self->index) | FAILS(self->index))) != 0;
}

static inline bool is_writable(const stream *self, uint32_t world)
{
    return self->index == 0 || self->given == 0 || (world & ROOM) != 0;
}

/* If both have come, either may win. Returns the word that was read last. */
static inline int wait_until(const stream *self, bool (*is_ready)(const stream *self, uint32_t world), uint32_t *world)
{
    for (;;) {
        bool ready;
        bool cancelled;

        *world = look(&current->world);
        ready = is_ready(self, *world);
        cancelled = is_cancelled(*world);
        if (ready && (!cancelled || model_choose(2) == 0))
            return 0;
        if (cancelled)
            return TN_ECANCELED;
        model_until_changed(&current->world, *world);
    }
}

static inline int stream_wait(void *object, tn_direction direction)
{
    uint32_t world;

    model_check(direction == TN_READABLE);
    return wait_until(object, is_readable, &world);
}

static inline ssize_t take(stream *self, uint32_t world, char *buf)
{
    if (COUNTER(world, ARRIVED(self->index)) > self->taken) {
        buf[0] = (char)('0' + self->taken++);
        return 1;
    }
    return (world & FAILS(self->index)) != 0 ? TN_ECONNRESET : 0;
}

static inline ssize_t put(stream *self, const char *buf)
{
    model_check(buf[0] == (char)('0' + self->given));
    self->given++;
    if (self->index == 0)
        (void)mark(&current->world, ROOM);
    (void)count(&current->progress, WRITTEN(self->index));
    return 1;
}

static inline ssize_t stream_read(void *object, void *buf, size_t size)
{
    uint32_t world;
    int rc = wait_until(object, is_readable, &world);

    (void)size;
    return rc == 0 ? take(object, world, buf) : rc;
}

static inline ssize_t stream_write(void *object, const void *buf, size_t size)
{
    uint32_t world;
    int rc = wait_until(object, is_writable, &world);

    model_check(size == 1);
    return rc == 0 ? put(object, buf) : rc;
}

static inline ssize_t stream_try_read(void *object, void *buf, size_t size)
{
    uint32_t world = look(&current->world);

    (void)size;
    return is_readable(object, world) ? take(object, world, buf) : TN_EAGAIN;
}

/* To the second stream each try fails, so each of its bytes makes a second fiber. */
static inline ssize_t stream_try_write(void *object, const void *buf, size_t size)
{
    model_check(size == 1);
    return ((stream *)object)->index == 0 ? put(object, buf) : TN_EAGAIN;
}

static inline int stream_close_write(void *object)
{
    uint32_t closed = CLOSED(((stream *)object)->index);

    model_check((mark(&current->progress, closed) & closed) == 0);
    return 0;
}

/* --- The select ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    tn_future base;
    stream *stream;
} input_future;

static inline int input_poll(tn_future *self, tn_waker *waker)
{
    (void)waker;
    return is_readable(tni_container_of(self, input_future, base)->stream, current->seen) ? 0 : TN_PENDING;
}

static inline void input_drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops input_ops = {input_poll, input_drop, "input"};

static inline tn_future *stream_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    input_future *future = (input_future *)(void *)memory;

    model_check(direction == TN_READABLE);
    *future = (input_future){.base = {.ops = &input_ops}, .stream = object};
    return &future->base;
}

static const tn_io_ops stream_ops = {
    .size = sizeof(tn_io_ops),
    .read = stream_read,
    .write = stream_write,
    .close_write = stream_close_write,
    .wait = stream_wait,
    .try_read = stream_try_read,
    .try_write = stream_try_write,
    .wait_init = stream_wait_init,
};

int tn_select(tn_future *const *futures, unsigned count, int *result)
{
    for (;;) {
        current->seen = look(&current->world);
        if (is_cancelled(current->seen))
            return TN_ECANCELED;
        for (unsigned i = 0; i < count; i++) {
            *result = tn_future_poll(futures[i], NULL);
            if (*result != TN_PENDING)
                return (int)i;
        }
        model_until_changed(&current->world, current->seen);
    }
}

/* --- Scopes and sources ---------------------------------------------------------------------------------------------------- */

static inline uint32_t mark_of(const tn_cancel_source *source)
{
    return source == &current->both->cut ? CUT : REST;
}

void tn_cancel_source_init(tn_cancel_source *source)
{
    (void)tni_a32_fetch_and(&current->world, ~mark_of(source), TNI_RELAXED);
}

void tn_cancel_source_fini(tn_cancel_source *source)
{
    (void)source;
}

void tn_cancel_source_cancel(tn_cancel_source *source)
{
    (void)mark(&current->world, mark_of(source));
}

static inline void enter(scope_frame *frame, uint32_t cancels)
{
    *frame = (scope_frame){.parent = *top(), .cancels = cancels};
    *top() = frame;
}

static inline scope_frame *frame_of(tn_scope *scope)
{
    return (scope_frame *)(void *)scope;
}

void tn_scope_enter(tn_scope *scope, uint64_t deadline_ns)
{
    model_check(deadline_ns == TN_NEVER);
    enter(frame_of(scope), 0);
}

void tn_scope_enter_with(tn_scope *scope, uint64_t deadline_ns, tn_cancel_source *source)
{
    model_check(deadline_ns == TN_NEVER);
    enter(frame_of(scope), mark_of(source));
}

void tni_scope_on_end(tn_scope *scope, tni_scope_end_fn end)
{
    frame_of(scope)->end = end;
}

void tn_scope_leave(tn_scope *scope)
{
    model_check(*top() == frame_of(scope));
    *top() = frame_of(scope)->parent;
    if (frame_of(scope)->end != NULL)
        frame_of(scope)->end(scope, false);
}

/* --- The group ------------------------------------------------------------------------------------------------------------- */

void tn_group_enter(tn_group *group, const tn_group_options *options)
{
    (void)group;
    (void)options;
    (void)tni_a32_fetch_and(&current->world, ~GROUP, TNI_RELAXED);
}

/* Release, as in a queue; partner: second. */
int tn_group_spawn(tn_group *group, const tn_spawn_options *options, tn_entry_fn entry, void *arg)
{
    (void)group;
    (void)options;
    current->entry = entry;
    current->arg = arg;
    current->spawned++;
    (void)tni_a32_fetch_add(&current->tasks, SPAWNED, TNI_RELEASE);
    return 0;
}

/* Acquire, as in a join; partner: second. Returns 0, or TN_ECANCELED if the caller may be cancelled. */
static inline int await_second(bool cancellable)
{
    for (;;) {
        uint32_t world = tni_a32_fetch_add(&current->world, 0, TNI_ACQUIRE);

        if (COUNTER(world, DONE) == current->spawned)
            return 0;
        if (cancellable && is_cancelled(world))
            return TN_ECANCELED;
        model_until_changed(&current->world, world);
    }
}

int tn_group_wait(tn_group *group)
{
    (void)group;
    return await_second(true);
}

void tn_group_leave(tn_group *group)
{
    (void)group;
    if (COUNTER(look(&current->world), DONE) != current->spawned)
        (void)mark(&current->world, GROUP);
    (void)await_second(false);
    (void)count(&current->progress, LEFT);
}

/* --- What the copy uses besides -------------------------------------------------------------------------------------------- */

tn_stream *tni_stream_io_get(tn_io io)
{
    (void)io;
    return NULL; /* of a kind whose end may have to wait */
}

bool tni_copy_can_splice(tni_copy_direction *self)
{
    (void)self;
    return false;
}

int tni_copy_splice(tni_copy_direction *self)
{
    (void)self;
    model_check(false); /* as above */
    return 0;
}

void tni_copy_close_pipe(tni_copy_direction *self)
{
    (void)self;
}

ssize_t tni_stream_splice_out(tn_stream *to, int pipe, size_t size)
{
    (void)to, (void)pipe, (void)size;
    model_check(false); /* as above */
    return 0;
}

int tn_checkpoint(void)
{
    model_check(false); /* no idle timeout here */
    return 0;
}

uint64_t tn_now(void)
{
    model_check(false); /* as above */
    return 0;
}

void tn_waker_wake_by_ref(tn_waker *waker)
{
    (void)waker;
    model_check(false); /* the futures here have none */
}

tn_runtime *tn_runtime_current(void)
{
    return NULL;
}

#endif
