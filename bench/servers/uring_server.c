/* SPDX-License-Identifier: MIT */
/* uring_server: the fixed HTTP answer over io_uring, a ring per thread, by raw system calls. A prototype: it measures what a
 * driver on io_uring could save.
 *
 *   uring_server full    the kernel accepts and receives repeatedly from one request each ("multishot"), into buffers that
 *                        all connections of a ring share. The call that waits for the next round submits the sends of this one.
 *   uring_server sends   epoll and recv, as plain_epoll_server. Only the sends go through the ring, a round in one call.
 *
 * The main thread accepts, and deals connections out in turn: a message to the ring of the loop, or epoll_ctl. A send completes
 * in silence unless it fails; a failure ends the connection.*/
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixed.h"
#include "tcp_listen.h"

enum {
    SUBMISSIONS = 4096,
    COMPLETIONS = 32768,
    BUFFERS = 2048, /* per ring, of FIXED_READ_SIZE bytes; a power of two */
    EVENTS_MAX = 512,
};

/* What a completion is of: the low bits of its user_data, above which is the connection or a descriptor. */
enum { OF_RECEIVE, OF_SEND, OF_ACCEPT, OF_NEW, OF_BITS = 3 };

typedef struct {
    int fd;
    unsigned matched;
} connection;

typedef struct {
    int fd;
    unsigned to_submit;
    unsigned sq_mask, cq_mask, sq_entries;
    unsigned *sq_head, *sq_tail, *sq_array, *cq_head, *cq_tail;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
} ring;

typedef struct {
    pthread_t thread;
    sem_t started;
    ring ring;
    int epoll_fd;
    struct io_uring_buf_ring *buffer_ring;
    char *buffers;
    uint16_t buffers_tail;
} loop;

static fixed_options options;
static bool is_full;
static loop *loops;

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "uring: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- The ring --------------------------------------------------------------------------------------------------------------- */

static void *map(const ring *self, size_t size, off_t offset)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self->fd, offset);

    if (at == MAP_FAILED)
        fail("mmap");
    return at;
}

/* Called by the thread that will use it. */
static void ring_open(ring *self)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = COMPLETIONS,
    };
    size_t array_end;
    size_t completions_end;
    char *queues;

    self->fd = (int)syscall(__NR_io_uring_setup, SUBMISSIONS, &params);
    if (self->fd < 0)
        fail("io_uring_setup (Linux 6.1 is needed, and permission)");
    array_end = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    completions_end = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    queues = map(self, array_end > completions_end ? array_end : completions_end, IORING_OFF_SQ_RING);
    self->entries = map(self, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    self->sq_head = (unsigned *)(void *)(queues + params.sq_off.head);
    self->sq_tail = (unsigned *)(void *)(queues + params.sq_off.tail);
    self->sq_array = (unsigned *)(void *)(queues + params.sq_off.array);
    self->cq_head = (unsigned *)(void *)(queues + params.cq_off.head);
    self->cq_tail = (unsigned *)(void *)(queues + params.cq_off.tail);
    self->completions = (struct io_uring_cqe *)(void *)(queues + params.cq_off.cqes);
    self->sq_mask = params.sq_entries - 1;
    self->cq_mask = params.cq_entries - 1;
    self->sq_entries = params.sq_entries;
    for (unsigned i = 0; i < params.sq_entries; i++)
        self->sq_array[i] = i;
}

/* Submits what was queued, and waits until there are as many completions as `wanted`. */
static void ring_enter(ring *self, unsigned wanted)
{
    long submitted = syscall(__NR_io_uring_enter, self->fd, self->to_submit, wanted, IORING_ENTER_GETEVENTS, NULL, 0);

    if (submitted < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY)
        fail("io_uring_enter");
    if (submitted > 0)
        self->to_submit -= (unsigned)submitted;
}

static struct io_uring_sqe *ring_next(ring *self, uint8_t opcode, int fd, uint64_t user_data)
{
    struct io_uring_sqe *entry;
    unsigned tail = *self->sq_tail;

    while (self->to_submit == self->sq_entries)
        ring_enter(self, 0);
    entry = &self->entries[tail & self->sq_mask];
    *entry = (struct io_uring_sqe){.opcode = opcode, .fd = fd, .user_data = user_data};
    __atomic_store_n(self->sq_tail, tail + 1, __ATOMIC_RELEASE); /* the kernel reads it in io_uring_enter */
    self->to_submit++;
    return entry;
}

/* Calls on_completion for each completion that is there. */
static void ring_complete(loop *self, void (*on_completion)(loop *self, const struct io_uring_cqe *completion))
{
    unsigned head = *self->ring.cq_head;
    unsigned tail = __atomic_load_n(self->ring.cq_tail, __ATOMIC_ACQUIRE); /* the kernel has written those before it */

    for (; head != tail; head++)
        on_completion(self, &self->ring.completions[head & self->ring.cq_mask]);
    __atomic_store_n(self->ring.cq_head, head, __ATOMIC_RELEASE); /* the kernel may write them again */
}

/* --- Connections ------------------------------------------------------------------------------------------------------------ */

static connection *connection_new(int fd)
{
    connection *conn = calloc(1, sizeof *conn);

    if (conn == NULL)
        fail("calloc");
    conn->fd = fd;
    return conn;
}

/* The record stays: a send that fails later has its address. Load generators open as many as they use, so there is no leak to
 * speak of. */
static void close_connection(connection *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void queue_answers(loop *self, connection *conn, size_t count)
{
    while (count > 0) {
        size_t now = count < FIXED_REQUESTS_MAX ? count : FIXED_REQUESTS_MAX;
        struct io_uring_sqe *entry = ring_next(&self->ring, IORING_OP_SEND, conn->fd, (uintptr_t)conn | OF_SEND);

        entry->addr = (uintptr_t)fixed_answers;
        entry->len = (uint32_t)(now * FIXED_ANSWER_SIZE);
        entry->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
        entry->flags = IOSQE_CQE_SKIP_SUCCESS;
        count -= now;
    }
}

/* --- full: accepts and receives by the ring --------------------------------------------------------------------------------- */

static void offer_buffer(loop *self, unsigned index)
{
    struct io_uring_buf *slot = &self->buffer_ring->bufs[self->buffers_tail++ & (BUFFERS - 1)];

    slot->addr = (uintptr_t)(self->buffers + (size_t)index * FIXED_READ_SIZE);
    slot->len = FIXED_READ_SIZE;
    slot->bid = (uint16_t)index;
}

static void publish_buffers(loop *self)
{
    __atomic_store_n(&self->buffer_ring->tail, self->buffers_tail, __ATOMIC_RELEASE); /* the kernel reads the slots before it */
}

static void offer_all_buffers(loop *self)
{
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = 0};
    size_t size = BUFFERS * sizeof(struct io_uring_buf);

    self->buffer_ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    self->buffers = mmap(NULL, (size_t)BUFFERS * FIXED_READ_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (self->buffer_ring == MAP_FAILED || self->buffers == MAP_FAILED)
        fail("mmap");
    registration.ring_addr = (uintptr_t)self->buffer_ring;
    if (syscall(__NR_io_uring_register, self->ring.fd, IORING_REGISTER_PBUF_RING, &registration, 1) < 0)
        fail("IORING_REGISTER_PBUF_RING");
    for (unsigned i = 0; i < BUFFERS; i++)
        offer_buffer(self, i);
    publish_buffers(self);
}

static void receive(loop *self, connection *conn)
{
    struct io_uring_sqe *entry = ring_next(&self->ring, IORING_OP_RECV, conn->fd, (uintptr_t)conn | OF_RECEIVE);

    entry->flags = IOSQE_BUFFER_SELECT;
    entry->buf_group = 0;
    entry->ioprio = IORING_RECV_MULTISHOT;
}

static void on_received(loop *self, connection *conn, const struct io_uring_cqe *completion)
{
    if (completion->res > 0) {
        unsigned index = completion->flags >> IORING_CQE_BUFFER_SHIFT;
        const char *data = self->buffers + (size_t)index * FIXED_READ_SIZE;

        if (conn->fd >= 0)
            queue_answers(self, conn, fixed_count_requests(&conn->matched, data, (size_t)completion->res));
        offer_buffer(self, index);
    } else if (completion->res != -ENOBUFS) {
        close_connection(conn);
    }
    if (!(completion->flags & IORING_CQE_F_MORE) && conn->fd >= 0)
        receive(self, conn);
}

static void on_completion(loop *self, const struct io_uring_cqe *completion)
{
    uint64_t data = completion->user_data & ~(uint64_t)OF_BITS;

    switch (completion->user_data & OF_BITS) {
    case OF_NEW:
        receive(self, connection_new(completion->res));
        break;
    case OF_SEND:
        close_connection((connection *)(uintptr_t)data);
        break;
    default:
        on_received(self, (connection *)(uintptr_t)data, completion);
        break;
    }
}

static void *run_full(void *arg)
{
    loop *self = arg;

    ring_open(&self->ring);
    offer_all_buffers(self);
    sem_post(&self->started);
    for (;;) {
        ring_enter(&self->ring, 1);
        ring_complete(self, on_completion);
        publish_buffers(self);
    }
    return NULL;
}

/* The main thread's: a connection, or a message that could not be delivered. */
static void on_accepted(loop *self, const struct io_uring_cqe *completion)
{
    static unsigned next;
    struct io_uring_sqe *entry;

    if ((completion->user_data & OF_BITS) != OF_ACCEPT || completion->res < 0)
        fail("accept or message");
    entry = ring_next(&self->ring, IORING_OP_MSG_RING, loops[next].ring.fd, OF_NEW);
    entry->len = (uint32_t)completion->res; /* the result of the completion there */
    entry->off = OF_NEW;                    /* its user_data */
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    next = (next + 1) % options.workers;
}

_Noreturn static void accept_full(int listener)
{
    static loop self;
    struct io_uring_sqe *entry;

    ring_open(&self.ring);
    entry = ring_next(&self.ring, IORING_OP_ACCEPT, listener, OF_ACCEPT);
    entry->ioprio = IORING_ACCEPT_MULTISHOT;
    for (;;) {
        ring_enter(&self.ring, 1);
        ring_complete(&self, on_accepted);
    }
}

/* --- sends: epoll, and the sends of a round in one call --------------------------------------------------------------------- */

static void on_readable(loop *self, connection *conn, bool ended)
{
    char buf[FIXED_READ_SIZE];
    ssize_t n;

    do {
        n = recv(conn->fd, buf, sizeof buf, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close_connection(conn);
            return;
        }
        queue_answers(self, conn, fixed_count_requests(&conn->matched, buf, (size_t)n));
    } while (ended || n == (ssize_t)sizeof buf);
}

static void *run_sends(void *arg)
{
    loop *self = arg;
    struct epoll_event events[EVENTS_MAX];

    ring_open(&self->ring);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        fail("epoll_create1");
    sem_post(&self->started);
    for (;;) {
        int count = epoll_wait(self->epoll_fd, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++)
            on_readable(self, events[i].data.ptr, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
        if (self->ring.to_submit > 0)
            ring_enter(&self->ring, 0);
        ring_complete(self, on_completion);
    }
    return NULL;
}

_Noreturn static void accept_sends(int listener)
{
    server_options accepting = {.name = "uring"};

    for (unsigned next = 0;; next = (next + 1) % options.workers) {
        connection *conn = connection_new(tcp_accept(&accepting, listener, SOCK_NONBLOCK));
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

        if (epoll_ctl(loops[next].epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) < 0)
            close_connection(conn);
    }
}

int main(int argc, char **argv)
{
    int listener;

    if (argc < 2 || (strcmp(argv[1], "full") != 0 && strcmp(argv[1], "sends") != 0)) {
        fprintf(stderr, "usage: uring_server full|sends [--port N] [--workers N]\n");
        return 2;
    }
    is_full = strcmp(argv[1], "full") == 0;
    options = fixed_parse("uring", argc - 1, argv + 1);
    if (options.block != FIXED_BLOCK_NEVER) {
        fprintf(stderr, "uring: its tasks never block\n");
        return 2;
    }
    loops = calloc(options.workers, sizeof *loops);
    for (unsigned i = 0; i < options.workers; i++) {
        if (loops == NULL || sem_init(&loops[i].started, 0, 0) < 0 ||
            pthread_create(&loops[i].thread, NULL, is_full ? run_full : run_sends, &loops[i]) != 0)
            fail("a loop");
        while (sem_wait(&loops[i].started) < 0)
            ;
    }
    listener = fixed_listen(&options);
    if (is_full)
        accept_full(listener);
    accept_sends(listener);
}
