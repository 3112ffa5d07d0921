/* SPDX-License-Identifier: MIT */
/* Tests of connecting to a name with several addresses. This program's own resolver knows the names. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include "connect/staggered.h"
#include "net_support.h"

/* --- The resolver ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    struct addrinfo info;
    struct sockaddr_in socket;
} resolved;

static in_port_t port; /* of every name, in network order */

/* "N.N.test" has the addresses 127.0.0.N in that order. */
int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    (void)service;
    (void)hints;
    *out = NULL;
    for (; *host >= '0' && *host <= '9'; host += 2) {
        resolved *one = calloc(1, sizeof *one);
        one->socket = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        one->socket.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (in_addr_t)(*host - '0'));
        one->info.ai_family = AF_INET;
        one->info.ai_socktype = SOCK_STREAM;
        one->info.ai_addr = (struct sockaddr *)&one->socket;
        one->info.ai_addrlen = sizeof one->socket;
        *out = &one->info;
        out = &one->info.ai_next;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* --- The servers ------------------------------------------------------------------------------------------------------------ */

#define FULL 4

/* 127.0.0.1 accepts, 127.0.0.2 drops what arrives, 127.0.0.3 refuses. */
typedef struct {
    int accepting;
    int full;
    int waiting[FULL];
} servers;

static int listen_on(in_addr_t host, int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(host)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    tt_check_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    tt_check_eq(listen(fd, backlog), 0);
    tt_check_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    port = at.sin_port;
    return fd;
}

static servers start_servers(void)
{
    servers s;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};

    port = 0;
    s.accepting = listen_on(INADDR_LOOPBACK, 16);
    s.full = listen_on(INADDR_LOOPBACK + 1, 0);
    at.sin_port = port;
    for (int i = 0; i < FULL; i++) {
        s.waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(s.waiting[i], (struct sockaddr *)&at, sizeof at);
    }
    tt_check_eq(tn_sleep(100 * TN_MS), 0);
    return s;
}

static void stop_servers(const servers *s)
{
    for (int i = 0; i < FULL; i++)
        close(s->waiting[i]);
    close(s->full);
    close(s->accepting);
}

/* Connects within `limit_ns`. Returns the result, and how long it took. */
static int connect_to(const char *name, uint64_t limit_ns, uint64_t *took_ns)
{
    char address[64];
    char peer[TN_ADDRESS_SIZE];
    uint64_t began = tn_now();
    tn_stream *stream;
    int rc;

    TN_SCOPE(limit, began + limit_ns);
    snprintf(address, sizeof address, "%s:80", name);
    rc = tn_tcp_connect(NULL, &stream, address);
    *took_ns = tn_now() - began;
    if (rc == 0) {
        tt_check_eq(tn_stream_peer_address(stream, peer, sizeof peer), 0);
        tt_check(strncmp(peer, "127.0.0.1:", 10) == 0);
        tn_stream_close(stream);
    }
    return rc;
}

static void *several(void *arg)
{
    servers s = start_servers();
    unsigned files = tt_files();
    uint64_t took_ns;

    (void)arg;
    tt_check_eq(connect_to("2.1.test", 30 * TN_S, &took_ns), 0); /* the first one does not reply */
    tt_check(took_ns >= 200 * TN_MS && took_ns < 10 * TN_S);
    tt_check_eq(ns_files_become(files), files);                        /* the attempt that lost is closed */
    for (int i = 0; i == 0 || (i < 10 && took_ns >= 200 * TN_MS); i++) /* other programs may have the processor */
        tt_check_eq(connect_to("3.1.test", 30 * TN_S, &took_ns), 0);   /* the first one refuses: no pause */
    tt_check(took_ns < 200 * TN_MS * (TT_SANITIZED ? 10 : 1));
    tt_check_eq(connect_to("2.2.2.1.test", 30 * TN_S, &took_ns), 0);
    tt_check(took_ns >= 700 * TN_MS);
    tt_check_eq(connect_to("3.4.test", 30 * TN_S, &took_ns), TN_ECONNREFUSED);
    tt_check_eq(connect_to("2.2.test", 400 * TN_MS, &took_ns), TN_ETIMEDOUT);
    tt_check_eq(ns_files_become(files), files);
    stop_servers(&s);
    return NULL;
}

Test(happy, several_addresses)
{
    ns_log log;

    ns_run_logged(&log, several, NULL);
    cr_assert_eq(log.lines, 1, "%s", log.text); /* only the name whose addresses have all failed */
    cr_assert_not_null(strstr(log.text, "cannot connect to 3.4.test:80: 127.0.0.3:"), "%s", log.text);
}

/* --- The order -------------------------------------------------------------------------------------------------------------- */

static tni_address address_of(int family, uint32_t number)
{
    tni_address address = {.length = sizeof(struct sockaddr_in6)};

    address.socket.any.sa_family = (sa_family_t)family;
    address.socket.v6.sin6_scope_id = number;
    return address;
}

Test(happy, the_families_alternate)
{
    static const int families[] = {AF_INET6, AF_INET6, AF_INET6, AF_INET, AF_INET};
    static const uint32_t expected[] = {0, 3, 1, 4, 2};
    tni_address addresses[5];

    for (uint32_t i = 0; i < 5; i++)
        addresses[i] = address_of(families[i], i);
    tni_staggered_order(addresses, 5);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(addresses[i].socket.v6.sin6_scope_id, expected[i]);
    tni_staggered_order(addresses, 0);
}
