/* SPDX-License-Identifier: MIT */
/* Copying between streams: bytes in both directions, ends, errors, the idle timeout, cancellation, memory. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include <tn.h>

#include "copy/copy.h"
#include "net_flow.h"
#include "support/abandoned.h"
#include "support/allocator.h"

/* Counts the moves inside the kernel, and fails on demand. */
static atomic_uint splices;
static atomic_bool no_pipes;

ssize_t splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags)
{
    atomic_fetch_add(&splices, 1);
    return syscall(SYS_splice, from, from_offset, to, to_offset, size, flags);
}

int pipe2(int ends[2], int flags)
{
    if (atomic_load(&no_pipes)) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_pipe2, ends, flags);
}

/* a - near | copy | far - b: what is written to the stream `a` arrives at `b`, and the other way round. */
typedef struct {
    tn_stream *a[2];
    tn_stream *b[2];
    tn_copy_options options;
    uint64_t bytes[2];
    int rc;
    tn_task *task;
} proxy;

static void *copy(void *arg)
{
    proxy *p = arg;

    p->rc = tn_copy_both(tn_stream_io(p->a[1]), tn_stream_io(p->b[0]), &p->options, p->bytes);
    return NULL;
}

static void proxy_begin(proxy *p, void (*pair)(tn_stream *ends[2]))
{
    p->options = p->options.size == 0 ? tn_copy_options_default() : p->options;
    pair(p->a);
    pair(p->b);
    p->task = tt_spawn(copy, p);
}

static void proxy_end(proxy *p)
{
    tt_join(p->task);
    ns_close_pair(p->a);
    ns_close_pair(p->b);
}

/* --- Bytes ----------------------------------------------------------------------------------------------------------------- */

static void both_flows(void (*pair)(tn_stream *ends[2]), size_t buffer_size, bool slow)
{
    proxy p = {.options = tn_copy_options_default()};
    nf_flow out[2];
    nf_flow in[2];
    tn_task *tasks[4];

    p.options.buffer_size = buffer_size;
    proxy_begin(&p, pair);
    for (int i = 0; i < 2; i++) {
        out[i] = (nf_flow){.stream = i == 0 ? p.a[0] : p.b[1], .chunk = NF_CHUNK};
        in[i] = (nf_flow){.stream = i == 0 ? p.b[1] : p.a[0], .chunk = NF_CHUNK, .slow = slow && i == 0};
        tasks[i] = tt_spawn(nf_send_big, &out[i]);
        tasks[2 + i] = tt_spawn(nf_receive_big, &in[i]);
    }
    for (int i = 0; i < 4; i++)
        tt_join(tasks[i]);
    proxy_end(&p);
    tt_check_eq(p.rc, 0);
    for (int i = 0; i < 2; i++) {
        nf_compare(&out[i], &in[i]);
        tt_check_eq(p.bytes[i], ns_scaled(NF_BIG));
    }
}

static void *flows(void *arg)
{
    both_flows(ns_tcp_pair, 0, false);
    both_flows(ns_unix_pair, 0, true);
    both_flows(ns_tcp_pair, 5000, true);
    return arg;
}

/* Much is there at once: it moves inside the kernel, unless it must not, or there is no pipe. */
static bool is_spliced(void (*pair)(tn_stream *ends[2]), bool no_splice)
{
    proxy p = {.options = tn_copy_options_default()};
    nf_flow out;
    nf_flow in;
    tn_task *tasks[2];
    unsigned before = atomic_load(&splices);

    p.options.no_splice = no_splice;
    pair(p.a);
    pair(p.b);
    out = (nf_flow){.stream = p.a[0], .chunk = NF_CHUNK};
    in = (nf_flow){.stream = p.b[1], .chunk = NF_CHUNK};
    tasks[0] = tt_spawn(nf_send_big, &out);
    ns_settle(); /* the socket is full */
    p.task = tt_spawn(copy, &p);
    tasks[1] = tt_spawn(nf_receive_big, &in);
    for (int i = 0; i < 2; i++)
        tt_join(tasks[i]);
    tt_check_eq(tn_stream_shutdown_write(p.b[1]), 0);
    proxy_end(&p);
    tt_check_eq(p.rc, 0);
    nf_compare(&out, &in);
    tt_check_eq(p.bytes[0], ns_scaled(NF_BIG));
    return atomic_load(&splices) != before;
}

static void *inside_the_kernel(void *arg)
{
    unsigned files = tt_files();

    tt_check(is_spliced(ns_tcp_pair, false));
    tt_check(!is_spliced(ns_tcp_pair, true));
    tt_check(!is_spliced(ns_unix_pair, false));
    atomic_store(&no_pipes, true);
    tt_check(!is_spliced(ns_tcp_pair, false));
    atomic_store(&no_pipes, false);
    tt_check(ns_files_become(files) == files); /* no pipe is left */
    return arg;
}

Test(copy, much_at_once_moves_inside_the_kernel)
{
    tt_run(inside_the_kernel, NULL);
}

/* After a refusal the buffer is used for a while, then a pipe is asked for again. */
static void *pipes_again(void *arg)
{
    tni_copy copy;
    tni_copy_direction direction = {.copy = &copy};
    tn_stream *from[2];
    tn_stream *to[2];
    unsigned without = 0;

    ns_tcp_pair(from);
    ns_tcp_pair(to);
    direction.from = tn_stream_io(from[1]);
    direction.to = tn_stream_io(to[0]);
    tt_check_eq(tni_copy_init(&copy, NULL, "test"), 0);
    tt_check(tni_copy_can_splice(&direction));
    atomic_store(&no_pipes, true);
    tt_check_eq(tni_copy_splice(&direction), 1);
    atomic_store(&no_pipes, false);
    while (!tni_copy_can_splice(&direction) && without < 1000)
        without++;
    tt_check_eq(without, 64);
    ns_close_pair(from);
    ns_close_pair(to);
    return arg;
}

Test(copy, asks_for_a_pipe_again)
{
    tt_run(pipes_again, NULL);
}

/* The receiver goes, or the copy is cancelled or aborted, while the pipe is full: no signal ends the process, no pipe is left. */
static void *cut_in_the_kernel(void *arg)
{
    unsigned files = tt_files();

    for (int i = 0; i < 3; i++) {
        proxy p = {.rc = 1};
        nf_flow out;
        char byte;

        proxy_begin(&p, ns_tcp_pair);
        out = (nf_flow){.stream = p.a[0]};
        while (tn_try_write(out.stream, (char[4096]){0}, 4096) > 0) /* fills all that is between */
            ;
        for (int round = 0; round < 200; round++) {
            static char block[1 << 16];
            (void)tn_try_write(out.stream, block, sizeof block);
            if (round > 100 && tn_try_write(out.stream, block, 1) == TN_EAGAIN)
                break;
            tt_check_eq(tn_sleep(TN_MS), 0);
        }
        ns_read_all(p.b[1], &byte, 1);
        if (i == 0)
            tn_stream_abort(p.b[1]);
        else if (i == 1)
            tn_cancel(p.task);
        else
            tn_stream_abort(p.b[0]);
        tn_stream_abort(p.a[0]);
        tt_join(p.task);
        tt_check(p.rc < 0);
        ns_close_pair(p.a);
        ns_close_pair(p.b);
    }
    tt_check(ns_files_become(files) == files);
    return arg;
}

Test(copy, cut_while_bytes_are_inside_the_kernel)
{
    tt_run(cut_in_the_kernel, NULL);
}

Test(copy, both_directions_at_once)
{
    tt_run(flows, NULL);
}

static void *byte_by_byte(void *arg)
{
    proxy p = {.rc = 1};

    proxy_begin(&p, ns_tcp_pair);
    for (int i = 0; i < 500; i++) {
        char byte = 0;
        tt_check_eq(tn_write(p.a[0], &(char){(char)i}, 1), 1);
        tt_check_eq(tn_read(p.b[1], &byte, 1), 1);
        tt_check_eq(byte, (char)i);
        tt_check_eq(tn_write(p.b[1], &(char){(char)(i + 1)}, 1), 1);
        tt_check_eq(tn_read(p.a[0], &byte, 1), 1);
        tt_check_eq(byte, (char)(i + 1));
    }
    tt_check_eq(tn_stream_shutdown_write(p.b[1]), 0);
    tt_check_eq(tn_stream_shutdown_write(p.a[0]), 0);
    proxy_end(&p);
    tt_check_eq(p.rc, 0);
    tt_check_eq(p.bytes[0], 500);
    tt_check_eq(p.bytes[1], 500);
    return arg;
}

Test(copy, one_byte_at_a_time)
{
    tt_run(byte_by_byte, NULL);
}

/* From a connection in memory whose ring is smaller than the buffer, on a plain thread. */
static void *write_and_end(void *arg)
{
    tn_io *io = arg;
    char block[1000];

    for (int i = 0; i < 100; i++) {
        memset(block, i, sizeof block);
        tt_check_eq(tn_io_write_all(*io, block, sizeof block), 0);
    }
    tt_check_eq(tn_io_close_write(*io), 0);
    return NULL;
}

static void *read_and_count(void *arg)
{
    tn_io *io = arg;

    for (int i = 0; i < 100000; i++) {
        char byte;
        tt_check_eq(tn_io_read(*io, &byte, 1), 1);
        tt_check_eq(byte, i / 1000);
    }
    return NULL;
}

Test(copy, between_plain_threads_in_memory)
{
    tn_duplex_options small = tn_duplex_options_default();
    pthread_t threads[2];
    tn_io from[2];
    tn_io to[2];
    uint64_t bytes = 0;
    char byte;

    small.capacity = 300;
    cr_assert_eq(tn_duplex_open(from, &small), 0);
    cr_assert_eq(tn_duplex_open(to, &small), 0);
    threads[0] = tt_thread_start(write_and_end, &from[0]);
    threads[1] = tt_thread_start(read_and_count, &to[1]);
    cr_assert_eq(tn_copy(to[0], from[1], NULL, &bytes), 0);
    cr_assert_eq(bytes, 100000);
    for (int i = 0; i < 2; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq(tn_io_close_write(to[0]), 0); /* tn_copy has left it open */
    cr_assert_eq(tn_io_read(to[1], &byte, 1), 0);
    for (int i = 0; i < 2; i++) {
        tn_io_close(from[i]);
        tn_io_close(to[i]);
    }
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------ */

/* The end is passed on while the other direction has not begun. */
static void *half_close(void *arg)
{
    proxy p = {.rc = 1};
    char buf[8];

    proxy_begin(&p, ns_tcp_pair);
    tt_check_eq(tn_write(p.a[0], "question", 8), 8);
    tt_check_eq(tn_stream_shutdown_write(p.a[0]), 0);
    ns_read_all(p.b[1], buf, 8);
    tt_check_eq(tn_read(p.b[1], buf, 1), 0);
    tt_check_eq(tn_write(p.b[1], "reply", 5), 5);
    ns_read_all(p.a[0], buf, 5);
    tt_check(memcmp(buf, "reply", 5) == 0);
    tt_check_eq(tn_stream_shutdown_write(p.b[1]), 0);
    tt_check_eq(tn_read(p.a[0], buf, 1), 0);
    proxy_end(&p);
    tt_check_eq(p.rc, 0);
    tt_check_eq(p.bytes[0], 8);
    tt_check_eq(p.bytes[1], 5);
    return arg;
}

Test(copy, a_half_close_is_passed_on)
{
    tt_run(half_close, NULL);
}

/* The server replies and reads no more: the client gets the reply although its own bytes cannot be written. */
static void *early_reply(void *arg)
{
    proxy p = {.rc = 1};
    char buf[8];

    proxy_begin(&p, ns_unix_pair);
    tt_check_eq(tn_write(p.b[1], "denied", 6), 6);
    tn_stream_abort(p.b[1]);
    tt_check(tn_write(p.a[0], "more", 4) == 4);
    ns_read_all(p.a[0], buf, 6);
    tt_check(memcmp(buf, "denied", 6) == 0);
    tt_check_eq(tn_read(p.a[0], buf, 1), 0);
    tt_check_eq(tn_stream_shutdown_write(p.a[0]), 0);
    proxy_end(&p);
    tt_check(p.rc == TN_EPIPE || p.rc == TN_ECONNRESET);
    tt_check_eq(p.bytes[1], 6);
    return arg;
}

Test(copy, what_a_peer_sent_before_it_went_arrives)
{
    tt_run(early_reply, NULL);
}

/* A stream that gives `bytes` zeros after a while, then `end`; its half-close returns `close_rc`, or waits for ever. */
typedef struct {
    uint64_t after_ns;
    unsigned bytes;
    int end;
    int close_rc;
    bool hangs;
} stub;

static ssize_t stub_read(void *object, void *buf, size_t size)
{
    stub *self = object;
    int rc = self->after_ns != 0 ? tn_sleep(self->after_ns) : 0;

    if (rc != 0)
        return rc;
    if (self->bytes == 0 || size == 0)
        return self->end;
    self->bytes--;
    *(char *)buf = 0;
    return 1;
}

static ssize_t stub_write(void *object, const void *buf, size_t size)
{
    (void)object;
    (void)buf;
    return (ssize_t)size;
}

static int stub_close_write(void *object)
{
    const stub *self = object;

    return self->hangs ? tn_sleep(3600 * TN_S) : self->close_rc;
}

static const tn_io_ops stub_ops = {
    .size = sizeof stub_ops, .read = stub_read, .write = stub_write, .close_write = stub_close_write};

/* `a` has ended. */
static int copy_stub(stub *b, uint64_t idle_ns, uint64_t bytes[2])
{
    tn_copy_options options = tn_copy_options_default();
    stub a = {0};

    options.idle_ns = idle_ns;
    return tn_copy_both((tn_io){&stub_ops, &a}, (tn_io){&stub_ops, b}, &options, bytes);
}

/* The half-close waits: for the idle timeout, or until the other direction fails. */
static void *half_close_waits(void *arg)
{
    uint64_t bytes[2];

    tt_check_eq(copy_stub(&(stub){.after_ns = 3600 * TN_S, .hangs = true}, 50 * TN_MS, bytes), TN_ETIME);
    tt_check_eq(copy_stub(&(stub){.after_ns = 20 * TN_MS, .end = -EIO, .hangs = true}, 0, bytes), -EIO);
    return arg;
}

Test(copy, a_half_close_that_waits_is_cut_short)
{
    tt_run(half_close_waits, NULL);
}

/* TN_ETIMEDOUT of the stream itself, of a kind with deadlines, is not the idle timeout. */
static void *stream_times_out(void *arg)
{
    uint64_t bytes[2];

    tt_check_eq(copy_stub(&(stub){.bytes = 2, .end = TN_ETIMEDOUT}, 3600 * TN_S, bytes), TN_ETIMEDOUT);
    tt_check_eq(bytes[1], 2);
    return arg;
}

Test(copy, a_timeout_of_the_stream_is_not_that_of_the_copy)
{
    tt_run(stream_times_out, NULL);
}

/* The peer has gone before the half-close: what it sent arrives, and another error is not hidden. */
static void *half_close_fails(void *arg)
{
    static const int gone[] = {TN_EPIPE, TN_ECONNRESET, TN_ENOTCONN};

    for (int i = 0; i < 3; i++) {
        uint64_t bytes[2];
        tn_scope scope;
        tt_check_eq(copy_stub(&(stub){.after_ns = 10 * TN_MS, .bytes = 2, .close_rc = gone[i]}, 0, bytes), gone[i]);
        tt_check_eq(bytes[1], 2);
        tt_check_eq(copy_stub(&(stub){.after_ns = 10 * TN_MS, .end = -EIO, .close_rc = gone[i]}, 0, bytes), -EIO);
        tn_scope_enter_for(&scope, 20 * TN_MS);
        tt_check_eq(copy_stub(&(stub){.after_ns = 3600 * TN_S, .close_rc = gone[i]}, 0, bytes), TN_ETIMEDOUT);
        tn_scope_leave(&scope);
    }
    return arg;
}

Test(copy, a_half_close_to_a_peer_that_has_gone)
{
    tt_run(half_close_fails, NULL);
}

/* A reset of one side ends both directions, also the one whose peer is silent. */
static void *reset(void *arg)
{
    proxy p = {.rc = 1};
    struct linger reset_it = {.l_onoff = 1, .l_linger = 0};
    char byte;

    proxy_begin(&p, ns_tcp_pair);
    tt_check_eq(tn_write(p.a[0], "a", 1), 1);
    ns_read_all(p.b[1], &byte, 1);
    tt_check_eq(setsockopt(tn_stream_fd(p.a[0]), SOL_SOCKET, SO_LINGER, &reset_it, sizeof reset_it), 0);
    tn_stream_abort(p.a[0]);
    tt_join(p.task);
    tt_check_eq(p.rc, TN_ECONNRESET);
    ns_close_pair(p.a);
    ns_close_pair(p.b);
    return arg;
}

Test(copy, a_reset_ends_both_directions)
{
    tt_run(reset, NULL);
}

static void *aborted(void *arg)
{
    proxy p = {.rc = 1};

    proxy_begin(&p, ns_tcp_pair);
    ns_settle();
    tn_stream_abort(p.b[0]);
    tt_join(p.task);
    tt_check_eq(p.rc, TN_EBADF);
    ns_close_pair(p.a);
    ns_close_pair(p.b);
    return arg;
}

Test(copy, an_abort_ends_both_directions)
{
    tt_run(aborted, NULL);
}

/* --- Time and cancellation ------------------------------------------------------------------------------------------------- */

/* One direction is silent all the time; the connection is idle only when the other one is too. */
static void *idle(void *arg)
{
    proxy p = {.options = tn_copy_options_default()};
    uint64_t last_ns = 0;

    p.options.idle_ns = TN_S;
    proxy_begin(&p, ns_tcp_pair);
    for (int i = 0; i < 60; i++) { /* for longer than idle_ns */
        char byte;
        tt_check_eq(tn_write(p.a[0], "a", 1), 1);
        last_ns = tn_now();
        ns_read_all(p.b[1], &byte, 1);
        tt_check_eq(tn_sleep(20 * TN_MS), 0);
    }
    tt_join(p.task);
    tt_check_eq(p.rc, TN_ETIME);
    tt_check(tn_now() - last_ns >= TN_S);
    tt_check_eq(p.bytes[0], 60);
    ns_close_pair(p.a);
    ns_close_pair(p.b);
    return arg;
}

Test(copy, idle_for_too_long)
{
    tt_run(idle, NULL);
}

/* The peer does not read: the write waits, and that is idle too. */
static void *idle_write(void *arg)
{
    proxy p = {.options = tn_copy_options_default()};
    static char block[1 << 16];

    p.options.idle_ns = 100 * TN_MS;
    proxy_begin(&p, ns_unix_pair);
    while (tn_write(p.a[0], block, sizeof block) > 0) /* until the copy has ended */
        if (p.task != NULL && tn_try_write(p.a[0], block, 1) == TN_EAGAIN)
            break;
    tt_join(p.task);
    tt_check_eq(p.rc, TN_ETIME);
    ns_close_pair(p.a);
    ns_close_pair(p.b);
    return arg;
}

Test(copy, a_peer_that_does_not_read_is_idle)
{
    tt_run(idle_write, NULL);
}

static void *deadline(void *arg)
{
    proxy p = {.options = tn_copy_options_default()};
    tn_scope scope;
    int rc;

    for (int ended = 0; ended < 2; ended++) {
        p.options.idle_ns = ended ? 10 * TN_S : 0;
        ns_tcp_pair(p.a);
        ns_tcp_pair(p.b);
        if (ended) /* then the caller waits for the second direction alone */
            tt_check_eq(tn_stream_shutdown_write(p.a[0]), 0);
        tn_scope_enter_for(&scope, 30 * TN_MS);
        rc = tn_copy_both(tn_stream_io(p.a[1]), tn_stream_io(p.b[0]), &p.options, NULL);
        tn_scope_leave(&scope);
        tt_check_eq(rc, TN_ETIMEDOUT);
        ns_close_pair(p.a);
        ns_close_pair(p.b);
    }
    return arg;
}

Test(copy, a_deadline_of_the_caller)
{
    tt_run(deadline, NULL);
}

static void *cancelled(void *arg)
{
    for (int i = 0; i < 20; i++) {
        proxy p = {.rc = 1};
        proxy_begin(&p, ns_tcp_pair);
        tt_check_eq(tn_sleep((uint64_t)i * 100 * TN_US), 0);
        tn_cancel(p.task);
        proxy_end(&p);
        tt_check_eq(p.rc, TN_ECANCELED);
    }
    return arg;
}

Test(copy, cancelled)
{
    tt_run(cancelled, NULL);
}

/* --- Memory ---------------------------------------------------------------------------------------------------------------- */

static bool has_no_block(void *arg)
{
    return atomic_load(&((tt_allocator *)arg)->blocks) == 0;
}

static void *memory(void *arg)
{
    proxy p = {.options = tn_copy_options_default()};
    tt_allocator allocator;
    static char block[1 << 16];
    char byte;

    tt_allocator_init(&allocator);
    p.options.allocator = &allocator.as_option;
    proxy_begin(&p, ns_unix_pair);
    tt_check_eq(tn_write(p.a[0], "a", 1), 1);
    ns_read_all(p.b[1], &byte, 1);
    tt_check(tt_wait_until(has_no_block, &allocator, 20 * TN_S)); /* idle */
    while (tn_try_write(p.a[0], block, sizeof block) > 0 || atomic_load(&allocator.blocks) == 0)
        tt_check_eq(tn_yield(), 0);
    tn_cancel(p.task); /* while it has bytes that its peer does not take */
    proxy_end(&p);
    tt_check_eq(p.rc, TN_ECANCELED);
    tt_check_eq(atomic_load(&allocator.blocks), 0);
    return arg;
}

Test(copy, an_idle_connection_holds_no_buffer)
{
    tt_run(memory, NULL);
}

static void *no_memory(void *arg)
{
    proxy p = {.options = tn_copy_options_default()};
    tt_allocator allocator;

    tt_allocator_init(&allocator);
    tt_allocator_fail(&allocator, 1, 1);
    p.options.allocator = &allocator.as_option;
    proxy_begin(&p, ns_unix_pair);
    tt_check_eq(tn_write(p.a[0], "a", 1), 1);
    proxy_end(&p);
    tt_check_eq(p.rc, TN_ENOMEM);
    return arg;
}

Test(copy, without_memory)
{
    tt_run(no_memory, NULL);
}

static void *refused(void *arg)
{
    tn_copy_options options = tn_copy_options_default();
    tn_io ends[2];

    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    options.buffer_size = 63;
    tt_check_eq(tn_copy(ends[0], ends[1], &options, NULL), TN_EINVAL);
    tt_check_eq(tn_copy_both(ends[0], ends[1], &options, NULL), TN_EINVAL);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return arg;
}

Test(copy, refuses_options)
{
    ns_log log;

    ns_run_logged(&log, refused, NULL);
    cr_assert_eq(log.lines, 2);
    cr_assert_not_null(strstr(log.text, "options.buffer_size"), "%s", log.text);
}

/* --- Abandoned ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_io ends[2];
    tt_allocator allocator;
} abandoned_copy;

static void *copy_for_ever(void *arg)
{
    abandoned_copy *c = arg;
    tn_copy_options options = tn_copy_options_default();

    options.allocator = &c->allocator.as_option;
    (void)tn_copy(c->ends[0], c->ends[0], &options, NULL);
    tt_check(false);
    return NULL;
}

/* It waits in the write, with a buffer. */
Test(copy, an_abandoned_copy_frees_its_buffer)
{
    tn_duplex_options small = tn_duplex_options_default();
    abandoned_copy c;
    tt_abandoned left;

    small.capacity = 4;
    tt_allocator_init(&c.allocator);
    cr_assert_eq(tn_duplex_open(c.ends, &small), 0);
    cr_assert_eq(tn_io_write(c.ends[1], "abcd", 4), 4);
    cr_assert_eq(tn_io_write(c.ends[0], "abcd", 4), 4);
    tt_abandon_begin(&left, copy_for_ever, &c);
    tt_abandon_end(&left);
    cr_assert_eq(atomic_load(&c.allocator.blocks), 0);
    tn_io_close(c.ends[0]);
    tn_io_close(c.ends[1]);
}
