/* SPDX-License-Identifier: MIT */
/* open_loop: HTTP requests at a fixed rate, whatever the server does, and how long each took from the moment it was due.
 *
 * Request k is due at k / rate, on connection k mod N. A connection has one request under way; one that is due meanwhile is sent
 * when the answer is there, and its time still counts from when it was due: so a server that stands still for 100 ms pays for all
 * requests of these 100 ms, and not for one a connection. What has no answer one second after the end counts with its age then.
 * One thread; `lag` is how late it sent itself, on connections that were free.
 *
 * --closed: no rate; each connection sends when it has its answer. Says "begin" and "end" at the ends of the seconds that are
 * counted, and goes on a little longer, so that who reads these marks finds the server at work at both.
 *
 * --pipeline N: a connection sends N requests by one call, and the next N when all answers are there. --request-bytes: the
 * size of each; a header fills it. --answer-bytes: the size of an answer, if it is not that of the servers here.
 *
 * --hold: sends --requests to each connection, waits for the answers, says "ready" and then holds them all until stdin ends.
 *
 * Run:   open_loop --port 8080 --connections 64 --rate 20000 --seconds 5
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "servers/fixed.h"

enum { EVENTS_MAX = 512, NS_PER_S = 1000000000, DRAIN_S = 1, AFTER_END_NS = NS_PER_S / 4 };

#define REQUEST "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
#define PADDING "X-Padding: "

typedef struct {
    int fd;
    bool busy;       /* a request is under way */
    size_t received; /* bytes of its answer */
    uint64_t sent;   /* requests so far; with --pipeline, so many times N */
} connection;

static struct {
    unsigned long port;
    unsigned long connections;
    unsigned long rate;
    unsigned long seconds;
    unsigned long warm_s; /* not counted, before the others */
    unsigned long requests;
    unsigned long pipeline;
    unsigned long request_bytes; /* 0: no padding */
    unsigned long answer_bytes;
    bool closed;
    bool hold;
} options = {.port = 8080,
             .connections = 64,
             .rate = 1000,
             .seconds = 5,
             .warm_s = 1,
             .requests = 1,
             .pipeline = 1,
             .answer_bytes = FIXED_ANSWER_SIZE};

static char *batch; /* --pipeline requests */
static size_t batch_size;
static size_t answers_size; /* of the answers to a batch */
static connection *connections;
static int epoll_fd;
static uint64_t start_ns;
static uint64_t due;      /* requests that have become due: */
static uint64_t due_full; /* so many on each connection, */
static uint64_t due_next; /* and one more on those before this one, whose turn is next */
static uint64_t counted;  /* times in times_ns, lags in lags_ns */
static uint64_t lagged;
static uint64_t times_max;
static uint64_t *times_ns;
static uint64_t *lags_ns;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "open_loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- Connections ------------------------------------------------------------------------------------------------------------ */

static void build_batch(void)
{
    size_t least = strlen(REQUEST PADDING "0\r\n\r\n");
    size_t size = options.request_bytes == 0 ? strlen(REQUEST "\r\n") : options.request_bytes;
    char *request = malloc(size + 1);

    if (options.request_bytes != 0 && size < least) {
        fprintf(stderr, "open_loop: --request-bytes is at least %zu\n", least);
        exit(2);
    }
    batch_size = size * options.pipeline;
    answers_size = options.answer_bytes * options.pipeline;
    batch = malloc(batch_size);
    measure_check(request != NULL && batch != NULL);
    if (options.request_bytes == 0)
        snprintf(request, size + 1, "%s\r\n", REQUEST);
    else
        snprintf(request, size + 1, "%s%s%0*d\r\n\r\n", REQUEST, PADDING, (int)(size - least) + 1, 0);
    for (unsigned long i = 0; i < options.pipeline; i++)
        memcpy(batch + i * size, request, size);
    free(request);
}

static void open_connection(connection *conn)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    int on = 1;
    int buffer = 4 * (int)batch_size; /* a batch is sent whole */

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.pipeline > 1)
        setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (fcntl(conn->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) < 0)
        fail("epoll_ctl");
}

static void send_request(connection *conn)
{
    if (send(conn->fd, batch, batch_size, MSG_NOSIGNAL) != (ssize_t)batch_size)
        fail("send");
    conn->busy = true;
    conn->received = 0;
    conn->sent++;
}

/* Has the answer come to its end? */
static bool receive(connection *conn)
{
    char buf[4096];
    ssize_t n;

    while ((n = recv(conn->fd, buf, sizeof buf, 0)) > 0)
        conn->received += (size_t)n;
    if (n == 0 || errno != EAGAIN || conn->received > answers_size || (!conn->busy && conn->received > 0))
        fail("a server that ended the connection or said too much");
    if (!conn->busy || conn->received < answers_size)
        return false;
    conn->busy = false;
    conn->received = 0;
    return true;
}

/* --- The schedule ----------------------------------------------------------------------------------------------------------- */

/* When request `number` of connection `index` is due. */
static uint64_t due_ns(uint64_t index, uint64_t number)
{
    uint64_t k = number * options.connections + index;

    return start_ns + k / options.rate * NS_PER_S + k % options.rate * NS_PER_S / options.rate;
}

/* How many requests of connection `index` have become due. */
static uint64_t due_of(uint64_t index)
{
    return due_full + (index < due_next);
}

static uint64_t next_due_ns(void)
{
    return due_ns(due_next, due_full);
}

static void pass_on(void)
{
    due++;
    if (++due_next == options.connections) {
        due_next = 0;
        due_full++;
    }
}

static bool is_counted(uint64_t was_due_ns)
{
    return was_due_ns >= start_ns + options.warm_s * NS_PER_S;
}

static void note_answer(const connection *conn, uint64_t now)
{
    uint64_t was_due_ns = due_ns((uint64_t)(conn - connections), conn->sent - 1);

    if (is_counted(was_due_ns) && counted < times_max)
        times_ns[counted++] = now - was_due_ns;
}

static void send_due(uint64_t now, uint64_t last)
{
    for (; due < last && next_due_ns() <= now; pass_on()) {
        connection *conn = &connections[due_next];
        if (conn->busy || conn->sent < due_full)
            continue; /* its turn comes when the answers before it are there */
        if (is_counted(next_due_ns()))
            lags_ns[lagged++] = now - next_due_ns();
        send_request(conn);
    }
}

static void handle_events(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        connection *conn = events[i].data.ptr;
        if (!receive(conn))
            continue;
        note_answer(conn, now_ns());
        if (conn->sent < due_of((uint64_t)(conn - connections)))
            send_request(conn);
    }
}

static int wait_until(struct epoll_event *events, uint64_t until_ns)
{
    uint64_t now = now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
    int count = epoll_pwait2(epoll_fd, events, EVENTS_MAX, &timeout, NULL);

    if (count < 0 && errno != EINTR)
        fail("epoll_pwait2");
    return count;
}

/* Requests that nobody answered count with the time they have waited. */
static uint64_t count_unanswered(void)
{
    uint64_t unanswered = 0;
    uint64_t now = now_ns();

    for (uint64_t i = 0; i < options.connections; i++) {
        uint64_t first = connections[i].sent - (connections[i].busy ? 1 : 0);
        for (uint64_t number = first; number < due_of(i); number++) {
            uint64_t was_due_ns = due_ns(i, number);
            if (is_counted(was_due_ns) && counted < times_max) {
                times_ns[counted++] = now - was_due_ns;
                unanswered++;
            }
        }
    }
    return unanswered;
}

static void run(void)
{
    static struct epoll_event events[EVENTS_MAX];
    uint64_t last = options.rate * (options.warm_s + options.seconds);
    uint64_t end_ns;
    uint64_t unanswered;

    times_max = last;
    times_ns = calloc(last, sizeof *times_ns);
    lags_ns = calloc(last, sizeof *lags_ns);
    measure_check(times_ns != NULL && lags_ns != NULL);
    start_ns = now_ns() + 10000000;
    end_ns = start_ns + (options.warm_s + options.seconds + DRAIN_S) * NS_PER_S;
    while (now_ns() < end_ns && counted < options.rate * options.seconds) {
        uint64_t next_ns = due < last ? next_due_ns() : end_ns;
        handle_events(events, wait_until(events, next_ns));
        send_due(now_ns(), last);
    }
    unanswered = count_unanswered();
    measure_sort(times_ns, counted);
    measure_sort(lags_ns, lagged);
    measure_check(counted > 0);
    printf("{\"requests\": %llu, \"unanswered\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p99.9_us\": %.1f, \"max_us\": %.1f, "
           "\"lag_p99_us\": %.1f, \"buckets\": ",
           (unsigned long long)counted, (unsigned long long)unanswered, (double)measure_percentile(times_ns, counted, 50) / 1e3,
           (double)measure_percentile(times_ns, counted, 99) / 1e3, (double)measure_percentile(times_ns, counted, 99.9) / 1e3,
           (double)times_ns[counted - 1] / 1e3, lagged == 0 ? 0 : (double)measure_percentile(lags_ns, lagged, 99) / 1e3);
    measure_print_buckets(stdout, times_ns, counted);
    puts("}");
}

/* --- Without a rate --------------------------------------------------------------------------------------------------------- */

static void say(const char *mark)
{
    puts(mark);
    fflush(stdout);
}

/* Keeps all connections busy until then; answers how many answers came. */
static uint64_t keep_busy(uint64_t until_ns)
{
    static struct epoll_event events[EVENTS_MAX];
    uint64_t answers = 0;

    while (now_ns() < until_ns) {
        int count = wait_until(events, until_ns);
        for (int i = 0; i < count; i++) {
            connection *conn = events[i].data.ptr;
            if (!receive(conn))
                continue;
            answers += options.pipeline;
            send_request(conn);
        }
    }
    return answers;
}

static void run_closed(void)
{
    uint64_t answers;

    for (unsigned long i = 0; i < options.connections; i++)
        send_request(&connections[i]);
    start_ns = now_ns() + options.warm_s * NS_PER_S;
    keep_busy(start_ns);
    say("begin");
    answers = keep_busy(start_ns + options.seconds * NS_PER_S);
    say("end");
    keep_busy(now_ns() + AFTER_END_NS);
    printf("{\"requests\": %llu}\n", (unsigned long long)answers);
}

/* --- Holding ---------------------------------------------------------------------------------------------------------------- */

static void hold(void)
{
    static struct epoll_event events[EVENTS_MAX];
    char unused;

    for (unsigned long round = 0; round < options.requests; round++) {
        unsigned long left = options.connections;
        for (unsigned long i = 0; i < options.connections; i++)
            send_request(&connections[i]);
        while (left > 0) {
            int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 10000);
            if (count <= 0)
                fail("no answer for 10 s");
            for (int i = 0; i < count; i++)
                left -= receive(events[i].data.ptr);
        }
    }
    say("ready");
    while (read(STDIN_FILENO, &unused, 1) > 0)
        ;
}

/* --- The program ------------------------------------------------------------------------------------------------------------ */

static unsigned long parse_number(const char *text, unsigned long min)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < min || value > 100000000) {
        fprintf(stderr, "open_loop: %s is no number here\n", text);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"warm", required_argument, NULL, 'w'},
        {"requests", required_argument, NULL, 'q'},
        {"pipeline", required_argument, NULL, 'n'},
        {"request-bytes", required_argument, NULL, 'b'},
        {"answer-bytes", required_argument, NULL, 'a'},
        {"closed", no_argument, NULL, 'l'},
        {"hold", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'p':
            options.port = parse_number(optarg, 1);
            break;
        case 'c':
            options.connections = parse_number(optarg, 1);
            break;
        case 'r':
            options.rate = parse_number(optarg, 1);
            break;
        case 's':
            options.seconds = parse_number(optarg, 1);
            break;
        case 'w':
            options.warm_s = parse_number(optarg, 0);
            break;
        case 'q':
            options.requests = parse_number(optarg, 0);
            break;
        case 'n':
            options.pipeline = parse_number(optarg, 1);
            break;
        case 'b':
            options.request_bytes = parse_number(optarg, 1);
            break;
        case 'a':
            options.answer_bytes = parse_number(optarg, 1);
            break;
        case 'l':
            options.closed = true;
            break;
        case 'h':
            options.hold = true;
            break;
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    if (options.pipeline > 1 && !options.closed) {
        fprintf(stderr, "open_loop: --pipeline needs --closed\n");
        return 2;
    }
    build_batch();
    prctl(PR_SET_TIMERSLACK, 1UL); /* else the kernel may let us sleep 50 us longer */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(options.connections, sizeof *connections);
    measure_check(epoll_fd >= 0 && connections != NULL);
    for (unsigned long i = 0; i < options.connections; i++)
        open_connection(&connections[i]);
    if (options.hold)
        hold();
    else if (options.closed)
        run_closed();
    else
        run();
    return 0;
}
