/* SPDX-License-Identifier: MIT */
/*
 * arming: which way of arming a socket costs least when a run queue lies between the event and the read.
 *
 * A fixed HTTP/1.1 answer from N threads, each with its own libuv loop and its own run queue. A readiness report only
 * marks the connection ready and queues it; the thread serves the queue (read, answer, write) and polls its loop again
 * after every batch of tasks, or when the queue is empty. The schemes differ in nothing but the arming:
 *
 *   et      uv_poll_t started once for reading, writing and disconnect; at the first report one EPOLL_CTL_MOD on the
 *           loop's own epoll file makes it edge-triggered for the rest of its life.
 *   level   uv_poll_t armed for reading, level-triggered, disarmed lazily: a report that finds the connection still
 *           ready stops the handle, and the reader starts it again once it has drained the socket.
 *   nested  one private edge-triggered epoll file a thread, itself watched by one level-triggered uv_poll_t; a
 *           connection costs one EPOLL_CTL_ADD. With --direct most polls read the private file without the loop.
 *
 * One acceptor (on the first thread) deals the connections out in turn, so that every scheme has the same spread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    MAX_THREADS = 64,
    READ_SIZE = 4096,
    EVENTS = 256,      /* reports taken from the private epoll file by one call */
    ACCEPT_BATCH = 64, /* connections accepted by one report of the listener */
    COPIES = 16,       /* pipelined requests answered by one write */
    LOOP_EVERY = 16    /* with --direct: every so many polls go through the loop */
};

enum scheme { SCHEME_ET, SCHEME_LEVEL, SCHEME_NESTED };

static const char *const scheme_names[] = {"et", "level", "nested"};

static struct {
    enum scheme scheme;
    int threads;
    int port;
    int batch;
    bool close;
    bool direct;
} options = {SCHEME_ET, 2, 8080, 32, false, false};

struct worker;

struct conn {
    uv_poll_t poll; /* unused by nested */
    struct worker *worker;
    struct conn *next;  /* in the run queue or an inbox */
    struct conn *older; /* in the list of open connections */
    struct conn *newer;
    int fd;
    int matched; /* characters of the blank line seen so far */
    bool ready;  /* reported and not yet drained: in the run queue */
    bool hup;    /* end or error reported: no further edge will come, so a short read drains nothing */
    bool armed;  /* level: the handle is started */
    bool edge;   /* et: the file is edge-triggered by now */
};

struct counters {
    uint64_t requests, conns, polls, waits, reads, writes, events, repeats, ctl, disarms, rearms;
};

struct worker {
    uv_loop_t loop;
    uv_async_t async;
    uv_poll_t inner_poll;
    int inner_fd;
    bool stopping;
    struct conn *head, **tail; /* run queue, first in first out */
    struct conn *open;
    struct counters count;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the next two */
    struct conn *inbox;
    bool stop;
} __attribute__((aligned(128)));

static struct worker workers[MAX_THREADS];
static int listen_fd;
static char answers[COPIES * 256];
static size_t answer_len;

static void die(const char *what, int uv_error)
{
    fprintf(stderr, "arming: %s: %s\n", what, uv_strerror(uv_error));
    exit(1);
}

static void check(const char *what, int rc)
{
    if (rc < 0)
        die(what, rc);
}

/* ---- run queue ---- */

static void enqueue(struct worker *w, struct conn *c)
{
    c->next = NULL;
    *w->tail = c;
    w->tail = &c->next;
}

static struct conn *dequeue(struct worker *w)
{
    struct conn *c = w->head;
    w->head = c->next;
    if (w->head == NULL)
        w->tail = &w->head;
    return c;
}

/* What every scheme does with a report: mark and queue, never read. Answers false if it was ready already. */
static bool report(struct conn *c, bool readable, bool hup)
{
    struct worker *w = c->worker;
    w->count.events++;
    c->hup |= hup;
    if (!readable && !hup)
        return true;
    if (c->ready) {
        w->count.repeats++;
        return false;
    }
    c->ready = true;
    enqueue(w, c);
    return true;
}

/* ---- the three schemes ---- */

static void on_edge(uv_poll_t *handle, int status, int events)
{
    struct conn *c = handle->data;
    if (status == 0 && !c->edge) {
        /* data.fd is what libuv finds its watcher by. The change itself reports what is ready by now once more. */
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = c->fd};
        if (epoll_ctl(uv_backend_fd(handle->loop), EPOLL_CTL_MOD, c->fd, &ev) != 0)
            die("epoll_ctl", -errno);
        c->worker->count.ctl++;
        c->edge = true;
    }
    report(c, events & UV_READABLE, status < 0 || (events & UV_DISCONNECT));
}

static void on_level(uv_poll_t *handle, int status, int events)
{
    struct conn *c = handle->data;
    if (status < 0)
        c->armed = false; /* libuv has stopped the handle */
    if (!report(c, events & UV_READABLE, status < 0) && c->armed) {
        uv_poll_stop(handle);
        c->armed = false;
        c->worker->count.disarms++;
    }
}

static int drain_inner(struct worker *w)
{
    struct epoll_event ev[EVENTS];
    int n;
    do {
        n = epoll_wait(w->inner_fd, ev, EVENTS, 0);
        w->count.waits++;
        for (int i = 0; i < n; i++)
            report(ev[i].data.ptr, ev[i].events & EPOLLIN, ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    } while (n == EVENTS);
    return n;
}

static void on_inner(uv_poll_t *handle, int status, int events)
{
    (void)events;
    check("private epoll file", status);
    drain_inner(handle->data);
}

static int conn_arm(struct conn *c)
{
    struct worker *w = c->worker;
    int rc;
    if (options.scheme == SCHEME_NESTED) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        w->count.ctl++;
        return epoll_ctl(w->inner_fd, EPOLL_CTL_ADD, c->fd, &ev) != 0 ? -errno : 0;
    }
    rc = uv_poll_init_socket(&w->loop, &c->poll, c->fd);
    if (rc < 0)
        return rc;
    c->poll.data = c;
    c->armed = true;
    if (options.scheme == SCHEME_ET)
        return uv_poll_start(&c->poll, UV_READABLE | UV_WRITABLE | UV_DISCONNECT, on_edge);
    return uv_poll_start(&c->poll, UV_READABLE, on_level);
}

/* The socket is empty: wait for its next event. */
static void conn_drained(struct conn *c)
{
    c->ready = false;
    if (options.scheme == SCHEME_LEVEL && !c->armed) {
        check("uv_poll_start", uv_poll_start(&c->poll, UV_READABLE, on_level));
        c->armed = true;
        c->worker->count.rearms++;
    }
}

/* ---- connections ---- */

static void conn_open(struct worker *w, struct conn *c)
{
    c->worker = w;
    c->older = w->open;
    if (w->open != NULL)
        w->open->newer = c;
    w->open = c;
    w->count.conns++;
    check("arming a connection", conn_arm(c));
}

static void conn_free(uv_handle_t *handle)
{
    free(handle->data);
}

/* Called only from the thread that serves the connection, with the connection in no queue and no report outstanding. */
static void conn_close(struct conn *c)
{
    if (c->newer != NULL)
        c->newer->older = c->older;
    else
        c->worker->open = c->older;
    if (c->older != NULL)
        c->older->newer = c->newer;
    if (options.scheme == SCHEME_NESTED) {
        close(c->fd); /* leaves the private epoll file by this */
        free(c);
        return;
    }
    uv_close((uv_handle_t *)&c->poll, conn_free); /* takes the file out of the loop's epoll file at once, */
    close(c->fd);                                 /* so that its number may be reused from here on */
}

/* Requests that end in these bytes; a request split over reads is carried in `matched`. */
static int count_requests(struct conn *c, const char *buf, ssize_t n)
{
    static const char end[] = "\r\n\r\n";
    int found = 0;
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == end[c->matched])
            c->matched++;
        else
            c->matched = buf[i] == '\r';
        if (c->matched == 4) {
            c->matched = 0;
            found++;
        }
    }
    return found;
}

/* A peer that does not take its answers (a short write) is dropped: wrk always reads. */
static bool answer(struct conn *c, int requests)
{
    c->worker->count.requests += (uint64_t)requests;
    while (requests > 0) {
        size_t len = (size_t)(requests < COPIES ? requests : COPIES) * answer_len;
        c->worker->count.writes++;
        if (write(c->fd, answers, len) != (ssize_t)len)
            return false;
        requests -= COPIES;
    }
    return true;
}

static void serve(struct worker *w, struct conn *c)
{
    char buf[READ_SIZE];
    ssize_t n = read(c->fd, buf, sizeof buf);
    bool more = n == READ_SIZE || c->hup;
    int requests;

    w->count.reads++;
    if (n < 0 && errno == EAGAIN && !c->hup) {
        conn_drained(c);
        return;
    }
    if (n <= 0) {
        conn_close(c);
        return;
    }
    if (!more)
        conn_drained(c);
    requests = count_requests(c, buf, n);
    if (!answer(c, requests) || (options.close && requests > 0))
        conn_close(c);
    else if (more)
        enqueue(w, c);
}

/* ---- workers ---- */

static void post(struct worker *w, struct conn *c, bool stop)
{
    pthread_mutex_lock(&w->lock);
    if (c != NULL) {
        c->next = w->inbox;
        w->inbox = c;
    }
    w->stop |= stop;
    uv_async_send(&w->async); /* inside the lock: its early return is no barrier */
    pthread_mutex_unlock(&w->lock);
}

static void on_inbox(uv_async_t *handle)
{
    struct worker *w = handle->data;
    struct conn *c, *next;
    pthread_mutex_lock(&w->lock);
    c = w->inbox;
    w->inbox = NULL;
    w->stopping = w->stop;
    pthread_mutex_unlock(&w->lock);
    for (; c != NULL; c = next) {
        next = c->next;
        conn_open(w, c);
    }
}

static void on_listener(uv_poll_t *handle, int status, int events)
{
    static unsigned turn;
    (void)events;
    check("listener", status);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct worker *w = &workers[turn % (unsigned)options.threads];
        struct conn *c;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == ECONNABORTED)
            continue;
        if (fd < 0 && errno == EAGAIN)
            return;
        check("accept", fd < 0 ? -errno : 0);
        c = calloc(1, sizeof *c);
        if (c == NULL)
            die("calloc", UV_ENOMEM);
        c->fd = fd;
        turn++;
        if (handle->loop == &w->loop)
            conn_open(w, c);
        else
            post(w, c, false);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    for (int i = 0; i < options.threads; i++)
        post(&workers[i], NULL, true);
}

static void poll_events(struct worker *w)
{
    w->count.polls++;
    if (options.direct && w->count.polls % LOOP_EVERY != 0) {
        drain_inner(w);
        if (w->head != NULL)
            return;
    }
    uv_run(&w->loop, w->head != NULL ? UV_RUN_NOWAIT : UV_RUN_ONCE);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    while (!w->stopping) {
        for (int i = 0; i < options.batch && w->head != NULL; i++)
            serve(w, dequeue(w));
        poll_events(w);
    }
    while (w->open != NULL)
        conn_close(w->open);
    uv_walk(&w->loop, close_handle, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    check("uv_loop_close", uv_loop_close(&w->loop));
    if (w->inner_fd >= 0)
        close(w->inner_fd);
    return NULL;
}

static void worker_init(struct worker *w)
{
    w->tail = &w->head;
    w->inner_fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    check("uv_loop_init", uv_loop_init(&w->loop));
    check("uv_async_init", uv_async_init(&w->loop, &w->async, on_inbox));
    w->async.data = w;
    if (options.scheme != SCHEME_NESTED)
        return;
    w->inner_fd = epoll_create1(EPOLL_CLOEXEC);
    check("epoll_create1", w->inner_fd < 0 ? -errno : 0);
    check("uv_poll_init", uv_poll_init(&w->loop, &w->inner_poll, w->inner_fd));
    w->inner_poll.data = w;
    check("uv_poll_start", uv_poll_start(&w->inner_poll, UV_READABLE, on_inner));
}

/* ---- start and end ---- */

static void listen_on(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listen_fd < 0 || setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listen_fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(listen_fd, 4096) != 0)
        die("listen", -errno);
}

static void prepare_answers(void)
{
    char one[256];
    int len = snprintf(one, sizeof one,
                       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n%s\r\nHello, world!\n",
                       options.close ? "Connection: close\r\n" : "");
    answer_len = (size_t)len;
    for (size_t i = 0; i < COPIES; i++)
        memcpy(answers + i * answer_len, one, answer_len);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_report(void)
{
    struct counters sum = {0};
    struct rusage usage;
    double us, requests;
    for (int i = 0; i < options.threads; i++) {
        const struct counters *c = &workers[i].count;
        sum.requests += c->requests, sum.conns += c->conns, sum.polls += c->polls, sum.waits += c->waits;
        sum.reads += c->reads, sum.writes += c->writes, sum.events += c->events, sum.repeats += c->repeats;
        sum.ctl += c->ctl, sum.disarms += c->disarms, sum.rearms += c->rearms;
    }
    getrusage(RUSAGE_SELF, &usage);
    us = 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    requests = sum.requests > 0 ? (double)sum.requests : 1;
    printf("scheme %s%s\n", scheme_names[options.scheme], options.direct ? "-direct" : "");
    printf("requests %lu\n", (unsigned long)sum.requests);
    printf("cpu_us_per_request %.3f\n", us / requests);
    printf("connections %lu (thread 0: %lu)\n", (unsigned long)sum.conns, (unsigned long)workers[0].count.conns);
    printf("loop_polls %lu\n", (unsigned long)sum.polls);
    printf("private_epoll_waits %lu\n", (unsigned long)sum.waits);
    printf("reads %lu\n", (unsigned long)sum.reads);
    printf("writes %lu\n", (unsigned long)sum.writes);
    printf("reports %lu\n", (unsigned long)sum.events);
    printf("reports_while_ready %lu\n", (unsigned long)sum.repeats);
    printf("own_epoll_ctl %lu\n", (unsigned long)sum.ctl);
    printf("disarms %lu\n", (unsigned long)sum.disarms);
    printf("rearms %lu\n", (unsigned long)sum.rearms);
    fflush(stdout);
}

static int usage(FILE *out, int status)
{
    fputs("usage: arming [options]\n"
          "Serves a fixed HTTP/1.1 answer on 127.0.0.1; prints its figures when it gets SIGINT or SIGTERM.\n"
          "  --scheme et|level|nested   how sockets are armed (default et)\n"
          "  --threads N                threads, 1 to 64 (default 2)\n"
          "  --port N                   port (default 8080)\n"
          "  --batch N                  tasks between two polls (default 32)\n"
          "  --close                    close every connection after its answer\n"
          "  --direct                   nested: most polls read the private epoll file without the loop\n"
          "  --help                     this text\n",
          out);
    return status;
}

static int parse_scheme(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, scheme_names[i]) == 0)
            return i;
    exit(usage(stderr, 2));
}

static int parse_number(const char *text, int min, int max)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < min || value > max)
        exit(usage(stderr, 2));
    return (int)value;
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"scheme", required_argument, NULL, 's'}, {"threads", required_argument, NULL, 't'},
        {"port", required_argument, NULL, 'p'},   {"batch", required_argument, NULL, 'b'},
        {"close", no_argument, NULL, 'c'},        {"direct", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 's':
            options.scheme = (enum scheme)parse_scheme(optarg);
            break;
        case 't':
            options.threads = parse_number(optarg, 1, MAX_THREADS);
            break;
        case 'p':
            options.port = parse_number(optarg, 1, 65535);
            break;
        case 'b':
            options.batch = parse_number(optarg, 1, 1 << 20);
            break;
        case 'c':
            options.close = true;
            break;
        case 'd':
            options.direct = true;
            break;
        case 'h':
            exit(usage(stdout, 0));
        default:
            exit(usage(stderr, 2));
        }
    }
    if (optind < argc || (options.direct && options.scheme != SCHEME_NESTED))
        exit(usage(stderr, 2));
}

int main(int argc, char **argv)
{
    uv_poll_t listener;
    uv_signal_t signals[2];
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    parse_options(argc, argv);
    prepare_answers();
    raise_file_limit();
    sigaction(SIGPIPE, &ignore, NULL);
    listen_on(options.port);
    for (int i = 0; i < options.threads; i++)
        worker_init(&workers[i]);
    check("listener", uv_poll_init(&workers[0].loop, &listener, listen_fd));
    check("listener", uv_poll_start(&listener, UV_READABLE, on_listener));
    for (int i = 0; i < 2; i++) {
        check("uv_signal_init", uv_signal_init(&workers[0].loop, &signals[i]));
        check("uv_signal_start", uv_signal_start(&signals[i], on_signal, i == 0 ? SIGINT : SIGTERM));
    }
    for (int i = 1; i < options.threads; i++)
        check("pthread_create", -pthread_create(&workers[i].thread, NULL, work, &workers[i]));
    fprintf(stderr, "arming: %s on 127.0.0.1:%d\n", scheme_names[options.scheme], options.port);
    work(&workers[0]);
    for (int i = 1; i < options.threads; i++)
        pthread_join(workers[i].thread, NULL);
    close(listen_fd);
    print_report();
    return 0;
}
