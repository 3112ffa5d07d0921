/* SPDX-License-Identifier: MIT */
/* The write queue of a stream: messages whole and in order, one system call for many, withdrawn and cut messages, errors. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <sys/syscall.h>

#include <tn.h>

#include "net_flow.h"
#include "support/abandoned.h"

/* Counts the system calls of the queue. With `cancelled_in_call` each sends one byte, and the third one cancels. */
static atomic_uint calls;
static tn_cancel_source *_Atomic cancelled_in_call;

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    tn_cancel_source *source = atomic_load(&cancelled_in_call);

    atomic_fetch_add(&calls, 1);
    if (source == NULL)
        return syscall(SYS_sendmsg, fd, message, flags);
    if (atomic_load(&calls) == 3)
        tn_cancel_source_cancel(source);
    return syscall(SYS_sendto, fd, message->msg_iov[0].iov_base, 1, flags, NULL, 0);
}

static char much[1 << 20];

static void skip(tn_stream *stream, size_t size)
{
    while (size > 0) {
        ssize_t n = tn_read(stream, much, size < sizeof much ? size : sizeof much);
        tt_check(n > 0);
        size -= (size_t)n;
    }
}

typedef struct {
    tn_write_queue *queue;
    const char *bytes;
    size_t size;
    uint64_t timeout_ns; /* 0: none */
    int rc;
} writer;

static void *write_one(void *arg)
{
    writer *w = arg;
    tn_scope scope;

    tn_scope_enter(&scope, w->timeout_ns != 0 ? tn_now() + w->timeout_ns : TN_NEVER);
    w->rc = tn_write_queue_write(w->queue, w->bytes, w->size);
    tn_scope_leave(&scope);
    return NULL;
}

/* --- Messages -------------------------------------------------------------------------------------------------------------- */

static void *alone(void *arg)
{
    tn_write_queue queue;
    tn_stream *ends[2];
    char buf[16];
    char text[] = "abcdef";
    struct iovec parts[4] = {{text, 2}, {NULL, 0}, {text + 2, 3}, {text + 5, 1}};

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    tt_check_eq(tn_write_queue_write(&queue, "xyz", 3), 0);
    tt_check_eq(tn_write_queue_write(&queue, NULL, 0), 0);
    tt_check_eq(tn_write_queue_writev(&queue, parts, 4), 0);
    tt_check_eq(tn_write_queue_writev(&queue, parts, -1), TN_EINVAL);
    ns_read_all(ends[1], buf, 9);
    tt_check(memcmp(buf, "xyzabcdef", 9) == 0);
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, alone)
{
    tt_run(alone, NULL);
}

/* --- Any byte stream ------------------------------------------------------------------------------------------------------- */

static ssize_t plain_write(void *object, const void *buf, size_t size)
{
    return tn_io_write(*(tn_io *)object, buf, size < 3 ? size : 3);
}

/* A queue to an end of a duplex that holds `capacity` bytes. `ops`: what the end looks like; NULL: as it is. */
static void open_small(tn_write_queue *queue, tn_io ends[2], const tn_io_ops *ops, size_t capacity)
{
    tn_duplex_options small = tn_duplex_options_default();

    small.capacity = capacity;
    tt_check_eq(tn_duplex_open(ends, &small), 0);
    tn_write_queue_init_io(queue, ops != NULL ? (tn_io){ops, &ends[0]} : ends[0]);
}

typedef struct {
    tn_write_queue *queue;
    char letter;
} letters;

enum { LETTERS = 1000, WORDS = 8 };

static void *write_word(void *arg)
{
    letters *l = arg;
    char word[LETTERS];

    memset(word, l->letter, sizeof word);
    tt_check_eq(tn_write_queue_write(l->queue, word, sizeof word), 0);
    return NULL;
}

/* Words of several tasks arrive whole; they are longer than what the stream holds. */
static void words_are_whole(const tn_io_ops *ops)
{
    tn_write_queue queue;
    tn_io ends[2];
    tn_task *tasks[WORDS];
    letters all[WORDS];

    open_small(&queue, ends, ops, 100);
    for (int i = 0; i < WORDS; i++) {
        all[i] = (letters){&queue, (char)('a' + i)};
        tasks[i] = tt_spawn(write_word, &all[i]);
    }
    for (int i = 0; i < WORDS; i++) {
        char word[LETTERS];
        size_t done = 0;
        tt_check_eq(tn_io_read_exact(ends[1], word, sizeof word, &done), 0);
        for (int at = 1; at < LETTERS; at++)
            tt_check_eq(word[at], word[0]);
    }
    for (int i = 0; i < WORDS; i++)
        tt_join(tasks[i]);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

static void *words(void *arg)
{
    static const tn_io_ops plain = {.size = sizeof plain, .write = plain_write}; /* it cannot be tried */

    words_are_whole(NULL);
    words_are_whole(&plain);
    return arg;
}

Test(write_queue, to_any_byte_stream)
{
    tt_run(words, NULL);
}

static int short_write(tn_write_queue *queue, const char *text)
{
    TN_SCOPE(scope, tn_now() + 20 * TN_MS);

    return tn_write_queue_write(queue, text, strlen(text));
}

/* Of a kind that cannot be tried: a call that has written nothing leaves the queue as it was; one that is cut breaks it. */
static void *cut_short(void *arg)
{
    static const tn_io_ops plain = {.size = sizeof plain, .write = plain_write};
    tn_write_queue queue;
    tn_io ends[2];
    char buf[8];

    open_small(&queue, ends, &plain, 4);
    tt_check_eq(short_write(&queue, "abcd"), 0);
    tt_check_eq(short_write(&queue, "efgh"), TN_ETIMEDOUT);
    tt_check_eq(tn_io_read(ends[1], buf, 8), 4);
    tt_check_eq(short_write(&queue, "ij"), 0);
    tt_check_eq(short_write(&queue, "klmn"), TN_ETIMEDOUT);
    tt_check_eq(short_write(&queue, "o"), TN_EPIPE);
    tt_check_eq(tn_io_read(ends[1], buf, 8), 4);
    tt_check_eq(memcmp(buf, "ijkl", 4), 0);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return arg;
}

Test(write_queue, a_message_to_a_kind_that_waits_is_cut_short)
{
    tt_run(cut_short, NULL);
}

static atomic_uint tries;

static ssize_t counted_try_write(void *object, const void *buf, size_t size)
{
    atomic_fetch_add(&tries, 1);
    return tn_io_try_write(*(tn_io *)object, buf, size < 3 ? size : 3);
}

/* A kind that can be tried, but not be waited for: while it is full, it is not tried again and again. */
static void *full_without_a_wait(void *arg)
{
    static const tn_io_ops tried = {.size = sizeof tried, .write = plain_write, .try_write = counted_try_write};
    tn_write_queue queue;
    tn_io ends[2];
    char buf[8];

    open_small(&queue, ends, &tried, 4);
    tt_check_eq(short_write(&queue, "abcd"), 0);
    tt_check_eq(short_write(&queue, "efgh"), TN_ETIMEDOUT);
    tt_check(atomic_load(&tries) <= 4);
    tt_check_eq(tn_io_read(ends[1], buf, 8), 4);
    tt_check_eq(memcmp(buf, "abcd", 4), 0);
    tt_check_eq(short_write(&queue, "ij"), 0);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return arg;
}

Test(write_queue, a_full_kind_without_a_wait_is_not_tried_on_and_on)
{
    tt_run(full_without_a_wait, NULL);
}

static void *hold_for_ever(void *arg)
{
    (void)tn_write_queue_write(arg, "abcdef", 6);
    tt_check(false);
    return NULL;
}

Test(write_queue, an_abandoned_holder_of_a_kind_that_waits)
{
    static const tn_io_ops plain = {.size = sizeof plain, .write = plain_write};
    tn_write_queue queue;
    tt_abandoned left;
    tn_io ends[2];

    open_small(&queue, ends, &plain, 4);
    tt_abandon_begin(&left, hold_for_ever, &queue);
    tt_abandon_end(&left);
    cr_assert_eq(tn_write_queue_write(&queue, "g", 1), TN_EPIPE); /* the message was cut */
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

enum { TASKS = 16, MESSAGES = 400, LARGE = 50000 };

typedef struct {
    uint32_t task, number, size;
} header;

typedef struct {
    tn_write_queue *queue;
    uint32_t task;
    unsigned messages;
} sender;

static uint32_t size_of(uint32_t task, uint32_t number)
{
    uint32_t mixed = (task * 2654435761u) ^ (number * 40503u);

    return number % 50 == 0 ? LARGE : mixed % 700;
}

static void *send_messages(void *arg)
{
    sender *self = arg;
    unsigned char *body = malloc(LARGE);

    for (uint32_t number = 0; number < self->messages; number++) {
        header head = {self->task, number, size_of(self->task, number)};
        struct iovec message[2] = {{&head, sizeof head}, {body, head.size}};
        memset(body, (int)(self->task + number), head.size);
        tt_check_eq(tn_write_queue_writev(self->queue, message, 2), 0);
    }
    free(body);
    return NULL;
}

/* Each message is whole, and those of a task are in its order. */
static void receive_messages(tn_stream *stream, unsigned messages)
{
    uint32_t next[TASKS] = {0};
    unsigned char *body = malloc(LARGE);

    for (unsigned i = 0; i < TASKS * messages; i++) {
        header head;
        ns_read_all(stream, &head, sizeof head);
        tt_check(head.task < TASKS);
        tt_check_eq(head.number, next[head.task]);
        next[head.task]++;
        tt_check_eq(head.size, size_of(head.task, head.number));
        ns_read_all(stream, body, head.size);
        for (uint32_t at = 0; at < head.size; at++)
            tt_check_eq(body[at], (unsigned char)(head.task + head.number));
        if (i % 200 == 0)
            tt_check_eq(tn_sleep(TN_MS), 0);
    }
    free(body);
}

static void *many(void *arg)
{
    tn_write_queue queue;
    sender senders[TASKS];
    tn_task *tasks[TASKS];
    tn_stream *ends[2];
    unsigned messages = (unsigned)ns_scaled(MESSAGES);

    ns_tcp_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    for (uint32_t i = 0; i < TASKS; i++) {
        senders[i] = (sender){&queue, i, messages};
        tasks[i] = tt_spawn(send_messages, &senders[i]);
    }
    receive_messages(ends[1], messages);
    for (int i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, messages_of_many_tasks_are_whole_and_in_order)
{
    tt_run(many, NULL);
}

/* While one write waits, others queue up; then one system call sends them all. */
enum { QUEUED = 20 };

static void *coalesced(void *arg)
{
    tn_write_queue queue;
    writer writers[QUEUED + 1];
    tn_task *tasks[QUEUED + 1];
    tn_stream *ends[2];
    char bytes[QUEUED + 1];
    unsigned before;
    size_t held;

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    held = ns_fill(ends[0]);
    for (int i = 0; i <= QUEUED; i++) {
        bytes[i] = (char)('a' + i);
        writers[i] = (writer){&queue, &bytes[i], 1, 0, 1};
        tasks[i] = tt_spawn(write_one, &writers[i]);
        ns_until_rests(tasks[i]);
    }
    before = atomic_load(&calls);
    skip(ends[1], held);
    for (int i = 0; i <= QUEUED; i++) {
        char byte;
        ns_read_all(ends[1], &byte, 1);
        tt_check_eq(byte, 'a' + i);
        tt_join(tasks[i]);
        tt_check_eq(writers[i].rc, 0);
    }
    tt_check(atomic_load(&calls) - before <= 3); /* not 21; a first report may be too early */
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, one_call_sends_what_has_queued)
{
    tt_run(coalesced, NULL);
}

/* --- Withdrawn and cut ----------------------------------------------------------------------------------------------------- */

/* The holder and those behind it wait; the deadlines of some pass. Nothing of theirs arrives, and the others' order stays. */
static void *withdrawn(void *arg)
{
    static const char *const texts[6] = {"first ", "gone ", "second ", "gone ", "gone ", "third"};
    tn_write_queue queue;
    writer writers[6];
    tn_task *tasks[6];
    tn_stream *ends[2];
    char buf[18];
    size_t held;

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    held = ns_fill(ends[0]);
    for (int i = 0; i < 6; i++) {
        bool gone = texts[i][0] == 'g';
        writers[i] = (writer){&queue, texts[i], strlen(texts[i]), gone ? 10 * TN_MS : 0, 1};
        tasks[i] = tt_spawn(write_one, &writers[i]);
        ns_until_rests(tasks[i]);
    }
    for (int i = 0; i < 6; i++)
        if (writers[i].timeout_ns != 0) {
            tt_join(tasks[i]);
            tt_check_eq(writers[i].rc, TN_ETIMEDOUT);
        }
    skip(ends[1], held);
    ns_read_all(ends[1], buf, 18);
    tt_check(memcmp(buf, "first second third", 18) == 0);
    for (int i = 0; i < 6; i++)
        if (writers[i].timeout_ns == 0) {
            tt_join(tasks[i]);
            tt_check_eq(writers[i].rc, 0);
        }
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, a_withdrawn_message_leaves_nothing)
{
    tt_run(withdrawn, NULL);
}

/* A holder that has sent nothing gives its turn to the next one. */
static void *holder_leaves(void *arg)
{
    tn_write_queue queue;
    writer first;
    writer second;
    tn_task *tasks[2];
    tn_stream *ends[2];
    char buf[6];
    size_t held;

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    held = ns_fill(ends[0]);
    first = (writer){&queue, "first", 5, 0, 1};
    second = (writer){&queue, "second", 6, 0, 1};
    tasks[0] = tt_spawn(write_one, &first);
    ns_until_rests(tasks[0]);
    tasks[1] = tt_spawn(write_one, &second);
    ns_until_rests(tasks[1]);
    tn_cancel(tasks[0]);
    tt_join(tasks[0]);
    tt_check_eq(first.rc, TN_ECANCELED);
    skip(ends[1], held);
    ns_read_all(ends[1], buf, 6);
    tt_check(memcmp(buf, "second", 6) == 0);
    tt_join(tasks[1]);
    tt_check_eq(second.rc, 0);
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, a_holder_that_leaves_passes_its_turn_on)
{
    tt_run(holder_leaves, NULL);
}

/* Its first bytes have been sent, the rest cannot follow: the queue is broken. */
static void *cut(void *arg)
{
    tn_write_queue queue;
    writer large;
    writer behind;
    tn_task *tasks[2];
    tn_stream *ends[2];

    ns_tcp_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    large = (writer){&queue, malloc(32 << 20), 32 << 20, 0, 1};
    memset((char *)(uintptr_t)large.bytes, 1, large.size);
    behind = (writer){&queue, "behind", 6, 0, 1};
    tasks[0] = tt_spawn(write_one, &large);
    skip(ends[1], 1);
    ns_settle();
    tasks[1] = tt_spawn(write_one, &behind);
    ns_settle();
    tn_cancel(tasks[0]);
    for (int i = 0; i < 2; i++)
        tt_join(tasks[i]);
    tt_check_eq(large.rc, TN_ECANCELED);
    tt_check_eq(behind.rc, TN_EPIPE);
    tt_check_eq(tn_write_queue_write(&queue, "later", 5), TN_EPIPE);
    free((char *)(uintptr_t)large.bytes);
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, a_cut_message_breaks_the_queue)
{
    tt_run(cut, NULL);
}

/* There is always space, so the holder never waits for it. */
static void *cut_between_parts(void *arg)
{
    tn_write_queue queue;
    tn_cancel_source source;
    tn_stream *ends[2];
    tn_scope scope;

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    tn_cancel_source_init(&source);
    atomic_store(&calls, 0);
    atomic_store(&cancelled_in_call, &source);
    tn_scope_enter_with(&scope, TN_NEVER, &source);
    tt_check_eq(tn_write_queue_write(&queue, "message", 7), TN_ECANCELED);
    tn_scope_leave(&scope);
    atomic_store(&cancelled_in_call, NULL);
    tt_check_eq(atomic_load(&calls), 3);
    tt_check_eq(tn_write_queue_write(&queue, "later", 5), TN_EPIPE);
    tn_cancel_source_fini(&source);
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, a_message_is_cut_between_two_parts)
{
    tt_run(cut_between_parts, NULL);
}

/* Deadlines pass at every moment. Each message that was written arrives once, and no other one does. */
typedef struct {
    tn_write_queue *queue;
    uint32_t task;
    unsigned messages;
    unsigned char *written; /* of each number: 1 */
} hasty;

static void *send_in_haste(void *arg)
{
    hasty *self = arg;

    for (uint32_t number = 0; number < self->messages; number++) {
        uint32_t message[4] = {self->task, number, ~number, 7};
        tn_scope scope;
        int rc;
        tn_scope_enter_for(&scope, (number * 7919u + self->task * 104729u) % 200 * TN_US);
        rc = tn_write_queue_write(self->queue, message, sizeof message);
        tn_scope_leave(&scope);
        tt_check(rc == 0 || rc == TN_ETIMEDOUT || rc == TN_EPIPE);
        self->written[number] = rc == 0;
        if (number % 16 == 0)
            tt_check_eq(tn_yield(), 0);
    }
    return NULL;
}

static void *count_messages(void *arg)
{
    hasty *all = ((hasty **)arg)[0];
    tn_stream *stream = ((void **)arg)[1];
    unsigned char *arrived = calloc(TASKS, all[0].messages);
    uint32_t message[4];
    size_t done = 0;
    int rc;

    while ((rc = tn_read_exact(stream, message, sizeof message, &done)) == 0) {
        done = 0;
        tt_check(message[0] < TASKS && message[2] == ~message[1] && message[3] == 7);
        tt_check_eq(arrived[message[0] * all[0].messages + message[1]]++, 0);
    }
    tt_check(rc == TN_EBADMSG); /* the end; in the middle of a message only if one was cut */
    return arrived;
}

static void *haste(void *arg)
{
    tn_write_queue queue;
    hasty all[TASKS];
    tn_task *tasks[TASKS];
    tn_stream *ends[2];
    void *for_reader[2] = {all, NULL};
    unsigned messages = (unsigned)ns_scaled(4 * MESSAGES);
    unsigned char *arrived;
    tn_task *reader;

    ns_tcp_pair(ends);
    for_reader[1] = ends[1];
    tn_write_queue_init(&queue, ends[0]);
    for (uint32_t i = 0; i < TASKS; i++)
        all[i] = (hasty){&queue, i, messages, calloc(messages, 1)};
    reader = tt_spawn(count_messages, for_reader);
    for (uint32_t i = 0; i < TASKS; i++)
        tasks[i] = tt_spawn(send_in_haste, &all[i]);
    for (int i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    arrived = tt_join(reader);
    for (uint32_t i = 0; i < TASKS; i++) {
        for (unsigned number = 0; number < messages; number++)
            tt_check_eq(arrived[i * messages + number], all[i].written[number]);
        free(all[i].written);
    }
    free(arrived);
    ns_close_pair(ends);
    return arg;
}

Test(write_queue, what_returned_0_arrives_and_nothing_else)
{
    tt_run(haste, NULL);
}

/* --- Errors ---------------------------------------------------------------------------------------------------------------- */

static void *broken_by(void *arg)
{
    void (*end)(tn_stream * ends[2]) = *(void (**)(tn_stream **))arg;
    tn_write_queue queue;
    writer writers[3];
    tn_task *tasks[3];
    tn_stream *ends[2];

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    (void)ns_fill(ends[0]);
    for (int i = 0; i < 3; i++) {
        writers[i] = (writer){&queue, "abc", 3, 0, 1};
        tasks[i] = tt_spawn(write_one, &writers[i]);
    }
    ns_settle();
    end(ends);
    for (int i = 0; i < 3; i++) {
        tt_join(tasks[i]);
        tt_check(writers[i].rc < 0 && writers[i].rc == writers[0].rc);
    }
    tt_check_eq(tn_write_queue_write(&queue, "abc", 3), writers[0].rc);
    ns_close_pair(ends);
    return NULL;
}

static void abort_own(tn_stream *ends[2])
{
    tn_stream_abort(ends[0]);
}

static void abort_peer(tn_stream *ends[2])
{
    tn_stream_abort(ends[1]);
}

Test(write_queue, an_error_is_that_of_all)
{
    void (*end)(tn_stream * ends[2]) = abort_own;

    tt_run(broken_by, &end);
    end = abort_peer;
    tt_run(broken_by, &end);
}

/* --- Abandoned, and plain threads ------------------------------------------------------------------------------------------ */

static void *write_for_ever(void *arg)
{
    (void)tn_write_queue_write(arg, "gone", 4);
    tt_check(false);
    return NULL;
}

static void *thread_writes(void *arg)
{
    cr_assert_eq(tn_write_queue_write(arg, "kept", 4), 0);
    return NULL;
}

/* The holder is abandoned while a thread waits behind it. */
Test(write_queue, an_abandoned_holder_passes_its_turn_on)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_write_queue queue;
    tt_abandoned left;
    tn_stream *stream;
    pthread_t thread;
    size_t held;
    int fds[2];
    char buf[4];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tn_stream_open(runtime, &stream, fds[0]), 0);
    tn_write_queue_init(&queue, stream);
    held = ns_fill(stream);
    tt_abandon_begin(&left, write_for_ever, &queue);
    thread = tt_thread_start(thread_writes, &queue);
    tt_block_thread(20 * TN_MS);
    tt_abandon_end(&left);
    while (held > 0) {
        ssize_t n = read(fds[1], much, held < sizeof much ? held : sizeof much);
        cr_assert(n > 0);
        held -= (size_t)n;
    }
    cr_assert_eq(recv(fds[1], buf, 4, MSG_WAITALL), 4);
    cr_assert_arr_eq(buf, "kept", 4);
    tt_thread_join(thread);
    tn_stream_close(stream);
    close(fds[1]);
    tt_runtime_destroy(runtime);
}
