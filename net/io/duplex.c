/* SPDX-License-Identifier: MIT */
/* A connection in memory: two ends, and for each end a ring with the bytes on their way to it. ../README.md ("The duplex") has
 * the argument.
 *
 * A ring has one reader, a task at its end, and one writer, a task at the other end. Two words count the bytes that were ever
 * put in and taken out, so a position is the count modulo the capacity. The highest bit of each says that nothing follows:
 * ENDED in `written`, GONE in `taken`. The bytes between the counts are the reader's, the others are the writer's. */
#include <string.h>

#include <tn/io.h>

#include "base/alloc.h"
#include "base/options.h"
#include "sched/budget_fiber.h"
#include "sched/runtime.h"
#include "task/wait.h"

#define CAPACITY_DEFAULT 65536
#define CAPACITY_MAX (SIZE_MAX / 8)

#define COUNT (UINT64_MAX >> 1)
#define ENDED (~COUNT) /* in `written`: the writer's end sends no more */
#define GONE (~COUNT)  /* in `taken`: the reader's end reads no more */

/* The operation word of an end, as that of net/endpoint. */
enum {
    READING = 1,
    WRITING = 2,
    CLOSING = 4,
    RELEASED = 8,
    USE = 16, /* a half-close or an abort; any number at once */
};

typedef struct {
    tni_a64 written;      /* changed by the writer; ENDED by any task at the writer's end */
    tni_a64 taken;        /* changed by the reader; GONE by any task at the reader's end */
    tni_wait reader;      /* waits for a byte or the end */
    tni_wait writer;      /* waits for space, or for the reader's end to go */
    unsigned char *bytes; /* constant */
} ring;

typedef struct duplex duplex;

typedef struct duplex_end {
    tni_a32 operations;
    ring in;                 /* the bytes on their way to this end */
    struct duplex_end *peer; /* constant; its memory is this end's too */
    duplex *whole;           /* constant */
} duplex_end;

struct duplex {
    tni_a32 ends_left; /* that are not released, or have an operation in flight */
    size_t capacity;   /* constant, of each ring */
    tn_allocator allocator;
    duplex_end ends[2];
    unsigned char bytes[];
};

/* --- Operations ---------------------------------------------------------------------------------------------------------- */

/* An end is over when it is released and nothing is in flight. Exactly one change of its word leads there, because nothing begins
 * after RELEASED: operation_begin refuses after CLOSING, and an abort is called before the close. */
static void end_is_over(duplex *whole)
{
    tn_allocator allocator = whole->allocator;

    /* Release: publishes this end's accesses to the thread that frees; acquire: the one that frees observes the other's. */
    if (tni_a32_fetch_sub(&whole->ends_left, 1, TNI_ACQ_REL) == 1)
        tni_free(&allocator, whole, sizeof *whole + 2 * whole->capacity);
}

static int operation_begin(duplex_end *end, uint32_t operation)
{
    /* Relaxed: the CAS verifies it. */
    uint32_t word = tni_a32_load(&end->operations, TNI_RELAXED);

    do {
        if (word & CLOSING)
            return TN_EBADF;
        if (operation != USE && (word & operation))
            return TN_EBUSY;
        /* Acquire: observes what the last operation of this side did; partner: operation_end. */
    } while (!tni_a32_cas(&end->operations, &word, word + operation, TNI_ACQUIRE));
    return 0;
}

static void operation_end(duplex_end *end, uint32_t operation)
{
    /* Release: publishes the accesses of this operation to the next one of its side, and to the thread that frees. Acquire: if
     * this call frees, it observes those of the others. Partners: operation_begin, duplex_close. */
    uint32_t word = tni_a32_fetch_sub(&end->operations, operation, TNI_ACQ_REL) - operation;

    if (word == (CLOSING | RELEASED))
        end_is_over(end->whole);
}

static bool is_closing(const duplex_end *end)
{
    /* Acquire: a caller that returns TN_EBADF observes what the task did that aborted the end; partner: end_both. */
    return tni_a32_load(&end->operations, TNI_ACQUIRE) & CLOSING;
}

/* --- Bytes --------------------------------------------------------------------------------------------------------------- */

/* The part of the ring from the byte number `count` on that does not wrap around, at most `size` bytes. */
static size_t part_of(const duplex *whole, uint64_t count, size_t size, size_t *offset)
{
    *offset = (size_t)(count % whole->capacity);
    return size < whole->capacity - *offset ? size : whole->capacity - *offset;
}

/* Returns a count; 0: the end; TN_EAGAIN; TN_EBADF. */
static ssize_t take(duplex_end *end, unsigned char *buf, size_t size)
{
    /* Acquire: observes the bytes, and that they are all if ENDED is set; partners: put, end_sending. */
    uint64_t written = tni_a64_load(&end->in.written, TNI_ACQUIRE);
    uint64_t taken = tni_a64_load(&end->in.taken, TNI_RELAXED) & COUNT; /* relaxed: only this side counts here */
    size_t there = (size_t)((written & COUNT) - taken);
    size_t n = size < there ? size : there;
    size_t offset;
    size_t first;

    if (is_closing(end))
        return TN_EBADF;
    if (there == 0)
        return written & ENDED ? 0 : TN_EAGAIN;
    first = part_of(end->whole, taken, n, &offset);
    memcpy(buf, end->in.bytes + offset, first);
    memcpy(buf + first, end->in.bytes, n - first);
    /* Release: the bytes have been copied before the writer overwrites them; partner: put. */
    (void)tni_a64_fetch_add(&end->in.taken, n, TNI_RELEASE);
    (void)tni_wait_wake(&end->in.writer);
    return (ssize_t)n;
}

/* Returns a count; TN_EAGAIN; TN_EBADF; TN_EPIPE. */
static ssize_t put(duplex_end *end, const unsigned char *buf, size_t size)
{
    ring *out = &end->peer->in;
    /* Acquire: the reader has copied what was in the space; partner: take. */
    uint64_t taken = tni_a64_load(&out->taken, TNI_ACQUIRE);
    /* Acquire: if ENDED comes from an abort, is_closing observes CLOSING; partner: end_sending. */
    uint64_t written = tni_a64_load(&out->written, TNI_ACQUIRE);
    size_t space = end->whole->capacity - (size_t)((written & COUNT) - (taken & COUNT));
    size_t n = size < space ? size : space;
    size_t offset;
    size_t first;

    if (is_closing(end))
        return TN_EBADF;
    if ((taken & GONE) || (written & ENDED))
        return TN_EPIPE;
    if (n == 0)
        return TN_EAGAIN;
    first = part_of(end->whole, written, n, &offset);
    memcpy(out->bytes + offset, buf, first);
    memcpy(out->bytes, buf + first, n - first);
    /* Publishes the bytes; partner: take. It fails only if another task has ended this direction meanwhile: the reader may have
     * seen the end already, so these bytes come too late. */
    if (!tni_a64_cas(&out->written, &written, written + n, TNI_RELEASE))
        return is_closing(end) ? TN_EBADF : TN_EPIPE;
    (void)tni_wait_wake(&out->reader);
    return (ssize_t)n;
}

/* --- Waiting ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_future base;
    duplex_end *end;
    uint32_t operation; /* READING or WRITING, in flight */
} wait_future;

static tni_wait *wait_of(const wait_future *future)
{
    return future->operation == READING ? &future->end->in.reader : &future->end->peer->in.writer;
}

static bool is_ready(const duplex_end *end, uint32_t operation)
{
    const ring *between = operation == READING ? &end->in : &end->peer->in;
    /* Acquire: as in put. Otherwise relaxed would do: the exchange that armed the wait observes each change, because a wake comes
     * after it, and what follows loads them again; partners: take, put, end_sending, end_both. */
    uint64_t written = tni_a64_load(&between->written, TNI_ACQUIRE);
    uint64_t taken = tni_a64_load(&between->taken, TNI_RELAXED); /* relaxed: see above */
    uint64_t there = (written & COUNT) - (taken & COUNT);

    if (is_closing(end) || (written & ENDED))
        return true;
    return operation == READING ? there > 0 : (taken & GONE) || there < end->whole->capacity;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    wait_future *future = tni_container_of(self, wait_future, base);

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    tni_wait_arm(wait_of(future), waker);
    return tni_budget_poll_leave(waker, is_ready(future->end, future->operation) ? 0 : TN_PENDING);
}

static void wait_drop(tn_future *self)
{
    (void)tni_wait_disarm(wait_of(tni_container_of(self, wait_future, base)));
}

/* Ends the operation, because the code of the fiber that would end it never runs. */
static void wait_abandon(tn_future *self, tn_task *task)
{
    wait_future *future = tni_container_of(self, wait_future, base);

    (void)task;
    wait_drop(self);
    operation_end(future->end, future->operation);
}

static int wait_for(duplex_end *end, uint32_t operation)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "duplex", wait_abandon};
    wait_future future = {{&ops}, end, operation};

    return tn_await(&future.base);
}

/* --- The calls ----------------------------------------------------------------------------------------------------------- */

static int enter(duplex_end *end, uint32_t operation)
{
    int rc = tni_budget_enter();

    return rc != 0 ? rc : operation_begin(end, operation);
}

static ssize_t duplex_read(void *object, void *buf, size_t size)
{
    duplex_end *end = object;
    ssize_t n = enter(end, READING);

    if (n != 0)
        return n;
    while (size > 0 && (n = take(end, buf, size)) == TN_EAGAIN) {
        n = wait_for(end, READING);
        if (n != 0)
            break;
    }
    operation_end(end, READING);
    return n;
}

static ssize_t duplex_try_read(void *object, void *buf, size_t size)
{
    duplex_end *end = object;
    ssize_t n = operation_begin(end, READING);

    if (n != 0)
        return n;
    if (size > 0)
        n = take(end, buf, size);
    operation_end(end, READING);
    return n;
}

static ssize_t duplex_write(void *object, const void *buf, size_t size)
{
    duplex_end *end = object;
    ssize_t n = enter(end, WRITING);

    if (n != 0)
        return n;
    while (size > 0 && (n = put(end, buf, size)) == TN_EAGAIN) {
        n = wait_for(end, WRITING);
        if (n != 0)
            break;
    }
    operation_end(end, WRITING);
    return n;
}

static ssize_t duplex_try_write(void *object, const void *buf, size_t size)
{
    duplex_end *end = object;
    ssize_t n = operation_begin(end, WRITING);

    if (n != 0)
        return n;
    if (size > 0)
        n = put(end, buf, size);
    operation_end(end, WRITING);
    return n;
}

static int duplex_wait(void *object, tn_direction direction)
{
    duplex_end *end = object;
    uint32_t operation = direction == TN_READABLE ? READING : WRITING;
    int rc = enter(end, operation);

    if (rc != 0)
        return rc;
    if (!is_ready(end, operation))
        rc = wait_for(end, operation);
    if (rc == 0 && is_closing(end))
        rc = TN_EBADF;
    operation_end(end, operation);
    return rc;
}

/* From its first poll that waits to its end it is the reader or writer of the end. */
typedef struct {
    wait_future wait;
    bool in_flight;
} lone_wait;

_Static_assert(sizeof(lone_wait) <= TN_IO_WAIT_WORDS * sizeof(uint64_t), "a tn_io_wait_future has space for it");

static void lone_wait_end(lone_wait *self)
{
    if (!self->in_flight)
        return;
    self->in_flight = false;
    operation_end(self->wait.end, self->wait.operation);
}

static int lone_wait_poll(tn_future *base, tn_waker *waker)
{
    lone_wait *self = tni_container_of(base, lone_wait, wait.base);
    duplex_end *end = self->wait.end;
    int rc;

    if (!self->in_flight) {
        rc = operation_begin(end, self->wait.operation);
        if (rc != 0)
            return rc;
        self->in_flight = true;
    }
    rc = wait_poll(base, waker);
    if (rc == TN_PENDING)
        return rc;
    if (is_closing(end))
        rc = TN_EBADF;
    wait_drop(base); /* the waker is not needed any more */
    lone_wait_end(self);
    return rc;
}

static void lone_wait_drop(tn_future *base)
{
    lone_wait *self = tni_container_of(base, lone_wait, wait.base);

    if (self->in_flight)
        wait_drop(base);
    lone_wait_end(self);
}

static tn_future *duplex_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    static const tn_future_ops ops = {lone_wait_poll, lone_wait_drop, "duplex"};
    lone_wait *self = (lone_wait *)(void *)memory;

    *self = (lone_wait){{{&ops}, object, direction == TN_READABLE ? READING : WRITING}, false};
    return &self->wait.base;
}

/* Nothing follows what has been written. */
static void end_sending(duplex_end *end)
{
    ring *out = &end->peer->in;

    /* Release: what this task did comes before the end for the reader. Partner: take. */
    (void)tni_a64_fetch_or(&out->written, ENDED, TNI_RELEASE);
    (void)tni_wait_wake(&out->reader);
    (void)tni_wait_wake(&out->writer); /* a write of another task, which now fails */
}

static int duplex_close_write(void *object)
{
    duplex_end *end = object;
    int rc = operation_begin(end, USE);

    if (rc != 0)
        return rc;
    end_sending(end);
    operation_end(end, USE);
    return 0;
}

static void end_both(duplex_end *end)
{
    /* Publishes what this task did to a call that returns TN_EBADF; partner: is_closing. It comes before the wakes below. */
    (void)tni_a32_fetch_or(&end->operations, CLOSING, TNI_RELEASE);
    end_sending(end);
    (void)tni_a64_fetch_or(&end->in.taken, GONE, TNI_RELEASE); /* as the change in end_sending, for the peer's writes */
    (void)tni_wait_wake(&end->in.writer);
    (void)tni_wait_wake(&end->in.reader);
}

static int duplex_abort(void *object)
{
    duplex_end *end = object;

    /* Relaxed: the stream is not closed yet, so the memory is there. The owner may close as soon as it sees CLOSING; the count in
     * the same word keeps the memory until operation_end. */
    (void)tni_a32_fetch_add(&end->operations, USE, TNI_RELAXED);
    end_both(end);
    operation_end(end, USE);
    return 0;
}

static void duplex_close(void *object)
{
    duplex_end *end = object;
    uint32_t word;

    end_both(end);
    /* Release and acquire: as in operation_end, of which one call, or this one, sees CLOSING, RELEASED and nothing else. */
    word = tni_a32_fetch_or(&end->operations, RELEASED, TNI_ACQ_REL);
    tni_assert(!(word & RELEASED), "tn_io_close: the end of a duplex is closed twice");
    if (word == CLOSING)
        end_is_over(end->whole);
}

/* --- Making -------------------------------------------------------------------------------------------------------------- */

static void end_init(duplex *whole, unsigned which)
{
    duplex_end *end = &whole->ends[which];

    tni_a32_init(&end->operations, 0);
    tni_a64_init(&end->in.written, 0);
    tni_a64_init(&end->in.taken, 0);
    tni_wait_init(&end->in.reader);
    tni_wait_init(&end->in.writer);
    end->in.bytes = whole->bytes + which * whole->capacity;
    end->peer = &whole->ends[1 - which];
    end->whole = whole;
}

static int options_copy(tn_duplex_options *out, const tn_duplex_options *given)
{
    static const char call[] = "tn_duplex_open";
    int rc = tni_options_read(out, allocator, given, tni_runtime_log_here(), call);

    if (rc != 0)
        return rc;
    if (out->capacity > CAPACITY_MAX)
        return tni_options_refuse(tni_runtime_log_here(), call, "capacity is too large: at most SIZE_MAX / 8");
    if (out->capacity == 0)
        out->capacity = CAPACITY_DEFAULT;
    return tni_options_check_allocator(out->allocator, tni_runtime_log_here(), call);
}

int tn_duplex_open(tn_io ends[2], const tn_duplex_options *options)
{
    static const tn_io_ops ops = {
        .size = sizeof(tn_io_ops),
        .read = duplex_read,
        .write = duplex_write,
        .close_write = duplex_close_write,
        .close = duplex_close,
        .wait = duplex_wait,
        .abort = duplex_abort,
        .try_read = duplex_try_read,
        .try_write = duplex_try_write,
        .wait_init = duplex_wait_init,
    };
    tn_duplex_options chosen = tn_duplex_options_default();
    const tn_allocator *allocator;
    duplex *whole;
    int rc = options_copy(&chosen, options);

    if (rc != 0)
        return rc;
    allocator = chosen.allocator != NULL ? chosen.allocator : &tni_alloc_default;
    whole = tni_alloc(allocator, sizeof *whole + 2 * chosen.capacity, _Alignof(duplex));
    if (whole == NULL)
        return TN_ENOMEM;
    whole->allocator = *allocator;
    whole->capacity = chosen.capacity;
    tni_a32_init(&whole->ends_left, 2);
    for (unsigned i = 0; i < 2; i++) {
        end_init(whole, i);
        ends[i] = (tn_io){&ops, &whole->ends[i]};
    }
    return 0;
}
