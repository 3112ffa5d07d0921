/* SPDX-License-Identifier: MIT */
/* Messages of several tasks to one byte stream. README.md ("The write queue") has the protocol and the argument. */
#include <tn/write_queue.h>

#include "base/vector.h"
#include "sched/budget_fiber.h"
#include "scope/scope.h"
#include "waiters.h"

/* One system call: buffers, and messages beside the holder's own, whose wakes and that of the next holder fit in a batch. */
enum { BUFFERS_MAX = 64, OTHERS_MAX = TNI_WAKE_BATCH - 1 };
#define BYTES_MAX ((size_t)1 << 30)

/* A verdict: the message is the holder's own now. */
enum { TURN = TNI_WAITER_CLOSED + 1 };

/* A result of send_once: a part of the holder's own message is left. */
enum { TO_SEND_ON = 1 };

typedef struct {
    tni_waiters waiting; /* messages in their order; none of them has begun */
    tn_io io;            /* constant */
    tni_a32 sending;     /* written by the holder under the lock; 1: it uses the messages that wait outside of the lock */
    int error;           /* under the lock: what all calls return; 0: none */
    bool held;           /* under the lock: a task is the holder */
} write_queue;

_Static_assert(sizeof(write_queue) <= sizeof(tn_write_queue), "tn_write_queue is large enough");

/* In the frame of the call. */
typedef struct {
    tn_future base;
    write_queue *queue;
    const struct iovec *iov; /* constant */
    int count;               /* constant */
    size_t size;             /* constant; of all buffers */
    size_t done;             /* the holder's: bytes that are written; the holder before sets it if it has written the beginning */
    bool written;            /* the owner's, after a drop: another task has sent it whole */
    tni_waiter waiter;
} message;

static write_queue *impl_of(tn_write_queue *queue)
{
    return (write_queue *)(void *)queue;
}

void tn_write_queue_init_io(tn_write_queue *queue, tn_io io)
{
    *impl_of(queue) = (write_queue){.io = io};
}

void tn_write_queue_init(tn_write_queue *queue, tn_stream *stream)
{
    tn_write_queue_init_io(queue, tn_stream_io(stream));
}

/* --- The end of a turn ----------------------------------------------------------------------------------------------------- */

static message *first_locked(write_queue *queue)
{
    return tni_container_of(tni_container_of(queue->waiting.list.first, tni_waiter, node), message, waiter);
}

/* The oldest message that waits has its turn; if there is none, no task holds the queue. */
static void pass_on_locked(write_queue *queue, tni_wake_batch *batch)
{
    if (tni_waiters_is_empty(&queue->waiting))
        queue->held = false;
    else
        tni_wake_batch_add(batch, tni_waiters_complete_first_locked(&queue->waiting, TURN));
}

/* The holder: no message can follow. */
static void break_queue(write_queue *queue, int error)
{
    tni_short_lock_acquire(&queue->waiting.lock);
    queue->error = error;
    queue->held = false;
    tni_waiters_complete_all_locked(&queue->waiting, TNI_WAITER_CLOSED); /* releases the lock */
}

/* The holder does not write on. */
static void give_up_turn(message *own)
{
    write_queue *queue = own->queue;
    tni_wake_batch batch = {.count = 0};

    if (own->done > 0) {
        break_queue(queue, TN_EPIPE);
        return;
    }
    tni_short_lock_acquire(&queue->waiting.lock);
    pass_on_locked(queue, &batch);
    tni_short_lock_release(&queue->waiting.lock);
    tni_wake_batch_wake(&batch);
}

/* --- Sending, by the holder ------------------------------------------------------------------------------------------------ */

typedef struct {
    struct iovec iov[BUFFERS_MAX];
    size_t count;
    size_t size;
} pieces;

/* Adds the message from its byte `done` on. False: a part of it does not fit. */
static bool add_message(pieces *all, const message *from, size_t done)
{
    for (int i = 0; i < from->count; i++) {
        struct iovec piece = from->iov[i];
        size_t skipped = done < piece.iov_len ? done : piece.iov_len;

        done -= skipped;
        if (piece.iov_len == skipped)
            continue;
        if (all->count == BUFFERS_MAX)
            return false;
        all->iov[all->count++] = (struct iovec){(char *)piece.iov_base + skipped, piece.iov_len - skipped};
        all->size += piece.iov_len - skipped;
    }
    return true;
}

static void collect_locked(const message *own, pieces *all)
{
    const tni_list_node *node = own->queue->waiting.list.first;
    bool fits = add_message(all, own, own->done);

    for (unsigned others = 0; fits && node != NULL && others < OTHERS_MAX && all->size < BYTES_MAX; others++) {
        const tni_waiter *waiter = tni_container_of(node, const tni_waiter, node);
        fits = add_message(all, tni_container_of(waiter, const message, waiter), 0);
        node = node->next;
    }
}

/* `n` bytes have been sent. True: they end the holder's own message, and its turn. */
static bool count_sent_locked(message *own, size_t n, tni_wake_batch *batch)
{
    write_queue *queue = own->queue;
    size_t of_own = n < own->size - own->done ? n : own->size - own->done;

    own->done += of_own;
    n -= of_own;
    if (own->done < own->size)
        return false;
    while (n > 0 && n >= first_locked(queue)->size) {
        n -= first_locked(queue)->size;
        tni_wake_batch_add(batch, tni_waiters_complete_first_locked(&queue->waiting, TNI_WAITER_GRANTED));
    }
    if (n > 0)
        first_locked(queue)->done = n; /* it has the next turn, so it has begun and does not wait */
    pass_on_locked(queue, batch);
    return true;
}

/* One system call, without the lock. Until what it has sent is counted, no message leaves the queue, and none is freed. Returns 0
 * when the holder's own message has been sent; TN_EAGAIN: there is no space; TN_ENOTSUP; TO_SEND_ON; or the error. */
static int send_once(message *own)
{
    write_queue *queue = own->queue;
    pieces all = {.count = 0};
    tni_wake_batch batch = {.count = 0};
    bool over;
    ssize_t n;

    tni_short_lock_acquire(&queue->waiting.lock);
    collect_locked(own, &all);
    tni_a32_store(&queue->sending, 1, TNI_RELAXED); /* relaxed: read under the lock */
    tni_short_lock_release(&queue->waiting.lock);
    n = tn_io_try_writev(queue->io, all.iov, (int)all.count);
    tni_short_lock_acquire(&queue->waiting.lock);
    over = n > 0 && count_sent_locked(own, (size_t)n, &batch);
    tni_a32_store(&queue->sending, 0, TNI_RELAXED); /* relaxed: as above */
    tni_short_lock_release(&queue->waiting.lock);
    tni_wake_batch_wake(&batch);
    if (n < 0)
        return (int)n;
    return over ? 0 : TO_SEND_ON;
}

/* The holder waits for space. */
typedef struct {
    tn_future base;
    message *own;
    tn_io_wait_future ready;
} space_future;

static int space_poll(tn_future *self, tn_waker *waker)
{
    return tn_future_poll(&tni_container_of(self, space_future, base)->ready.base, waker);
}

static void space_drop(tn_future *self)
{
    tn_future_drop(&tni_container_of(self, space_future, base)->ready.base);
}

/* The code of the fiber that would give its turn up never runs. */
static void space_abandon(tn_future *self, tn_task *task)
{
    (void)task;
    space_drop(self);
    give_up_turn(tni_container_of(self, space_future, base)->own);
}

static const tn_future_ops space_ops = {space_poll, space_drop, "stream", space_abandon};

static int wait_for_space(message *own)
{
    space_future future = {.base = {&space_ops}, .own = own};

    tn_io_wait_init(&future.ready, own->queue->io, TN_WRITABLE);
    return tn_await(&future.base);
}

/* Between two parts of a message: other tasks run, and a cancellation is seen. */
static int go_on(message *own)
{
    space_future in_flight = {.base = {&space_ops}, .own = own};

    tn_io_wait_init(&in_flight.ready, own->queue->io, TN_WRITABLE);
    return tni_budget_enter_part(&in_flight.base);
}

/* A kind that cannot be tried: the holder writes its own message alone, in calls that wait, and the others wait for their turns.
 * None of them is used meanwhile, so each can be withdrawn at once. */
typedef struct {
    tn_scope scope; /* if the fiber is abandoned in a call, its turn is given up */
    message *own;
} lone_write;

static void lone_write_end(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        give_up_turn(tni_container_of(scope, lone_write, scope)->own);
}

static int write_alone(message *own)
{
    write_queue *queue = own->queue;
    tni_wake_batch batch = {.count = 0};
    lone_write write = {.own = own};
    ssize_t n = 1;

    tn_scope_enter(&write.scope, TN_NEVER);
    tni_scope_on_end(&write.scope, lone_write_end);
    while (n > 0 && own->done < own->size) {
        pieces all = {.count = 0};
        (void)add_message(&all, own, own->done);
        n = tn_io_writev(queue->io, all.iov, (int)all.count);
        own->done += n > 0 ? (size_t)n : 0;
    }
    tn_scope_leave(&write.scope);
    if (n <= 0)
        return (int)n;
    tni_short_lock_acquire(&queue->waiting.lock);
    pass_on_locked(queue, &batch);
    tni_short_lock_release(&queue->waiting.lock);
    tni_wake_batch_wake(&batch);
    return 0;
}

/* The holder's turn. */
static int take_turn(message *own)
{
    int rc;

    do {
        rc = send_once(own);
        if (rc == TN_EAGAIN)
            rc = wait_for_space(own);
        else if (rc == TO_SEND_ON)
            rc = go_on(own);
        else if (rc == 0)
            return 0;
    } while (rc == 0);
    if (rc == TN_ENOTSUP) /* it cannot be tried, or not be waited for by a future */
        rc = write_alone(own);
    if (rc == 0)
        return 0;
    if (rc == TN_ECANCELED || rc == TN_ETIMEDOUT)
        give_up_turn(own);
    else
        break_queue(own->queue, rc);
    return rc;
}

/* --- Waiting for the turn -------------------------------------------------------------------------------------------------- */

enum { TO_TAKE_TURN = 1 };

/* Returns TO_TAKE_TURN; the error; or TN_EAGAIN: another task is the holder. */
static int try_hold_locked(write_queue *queue)
{
    if (queue->error != 0)
        return queue->error;
    if (queue->held)
        return TN_EAGAIN;
    queue->held = true;
    return TO_TAKE_TURN;
}

static int message_poll(tn_future *self, tn_waker *waker)
{
    message *own = tni_container_of(self, message, base);
    write_queue *queue = own->queue;

    switch (tni_waiters_begin_poll(&queue->waiting, &own->waiter, waker)) {
    case TNI_WAITER_QUEUED:
        return TN_PENDING;
    case TNI_WAITER_IDLE:
        tni_short_lock_acquire(&queue->waiting.lock);
        return tni_waiters_end_poll_locked(&queue->waiting, &own->waiter, waker, try_hold_locked(queue));
    case TNI_WAITER_GRANTED:
        return tni_budget_poll_leave(waker, 0);
    case TURN:
        return tni_budget_poll_leave(waker, TO_TAKE_TURN);
    default:
        return tni_budget_poll_leave(waker, queue->error); /* constant since the verdict */
    }
}

/* Withdraws the message if it still waits. Before that it waits until the holder has made its system call, which may send it;
 * that call never waits for the peer. */
static void withdraw(message *own)
{
    tni_waiters *waiting = &own->queue->waiting;

    tni_short_lock_acquire(&waiting->lock);
    /* Relaxed: written under the lock. */
    for (unsigned tries = 0; tni_a32_load(&own->queue->sending, TNI_RELAXED) != 0; tries++) {
        tni_short_lock_release(&waiting->lock);
        tni_short_lock_pause(&own->queue->sending, 1, tries);
        tni_short_lock_acquire(&waiting->lock);
    }
    if (tni_waiter_state(&own->waiter) != TNI_WAITER_QUEUED) {
        tni_short_lock_release(&waiting->lock);
        return;
    }
    tni_list_remove(&waiting->list, &own->waiter.node);
    tni_waiter_reset(&own->waiter);
    tni_waiters_left_locked(waiting, &own->waiter);
}

static void message_drop(tn_future *self)
{
    message *own = tni_container_of(self, message, base);
    write_queue *queue = own->queue;

    if (tni_waiters_verdict(&queue->waiting, &own->waiter) == TNI_WAITER_QUEUED)
        withdraw(own);
    switch (tni_waiters_verdict(&queue->waiting, &own->waiter)) {
    case TNI_WAITER_GRANTED:
        own->written = true;
        break;
    case TURN:
        give_up_turn(own);
        break;
    default:
        break;
    }
    tni_waiter_reset(&own->waiter);
}

static int wait_for_turn(message *own)
{
    int rc;

    tni_waiter_in_frame(&own->waiter);
    rc = tn_await(&own->base);
    return rc < 0 && own->written ? 0 : rc; /* cut short when another task had sent it */
}

int tn_write_queue_writev(tn_write_queue *queue, const struct iovec *iov, int count)
{
    static const tn_future_ops ops = {message_poll, message_drop, "write queue"};
    message own = {.base = {&ops}, .queue = impl_of(queue), .iov = iov, .count = count};
    ssize_t total = tni_vector_total(iov, count);
    int rc;

    if (total < 0)
        return (int)total;
    own.size = (size_t)total;
    rc = tni_budget_enter();
    if (rc != 0 || total == 0)
        return rc;
    tni_waiter_init(&own.waiter, 1);
    tni_short_lock_acquire(&own.queue->waiting.lock);
    rc = try_hold_locked(own.queue);
    tni_short_lock_release(&own.queue->waiting.lock);
    if (rc == TN_EAGAIN)
        rc = wait_for_turn(&own);
    return rc == TO_TAKE_TURN ? take_turn(&own) : rc;
}

int tn_write_queue_write(tn_write_queue *queue, const void *buf, size_t size)
{
    struct iovec whole = {(void *)(uintptr_t)buf, size}; /* only read; iovec has no const because readv uses it too */

    return tn_write_queue_writev(queue, &whole, 1);
}
