/* SPDX-License-Identifier: MIT */
/* Name resolution by getaddrinfo. */
#include "os/os_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "os/os_error.h"

/* Translates to libuv's error codes, for which tn_strerror has texts. */
static int error_of(int rc)
{
    switch (rc) {
    case EAI_SYSTEM:
        return errno != 0 ? tni_os_error(errno) : UV_EAI_FAIL;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return UV_EAI_AGAIN;
    case EAI_NONAME:
    case EAI_NODATA:
        return UV_EAI_NONAME;
    case EAI_SERVICE:
        return UV_EAI_SERVICE;
    default:
        return UV_EAI_FAIL;
    }
}

static bool print(const struct sockaddr *address, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

    if (address->sa_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host) != NULL) {
        (void)snprintf(out, size, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
        return true;
    }
    if (address->sa_family != AF_INET6 || inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host) == NULL)
        return false;
    if (v6->sin6_scope_id != 0)
        (void)snprintf(out, size, "[%s%%%u]:%u", host, v6->sin6_scope_id, (unsigned)ntohs(v6->sin6_port));
    else
        (void)snprintf(out, size, "[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
    return true;
}

/* Negative: `text` is not a number up to `max`. */
static long parse_number(const char *text, long max)
{
    char *end;
    long value;

    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    value = strtol(text, &end, 10);
    return *end == '\0' && errno == 0 && value <= max ? value : -1;
}

/* "fe80::1%eth0" or "fe80::1%2". */
static bool parse_v6(const char *host, struct sockaddr_in6 *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *scope = strchr(host, '%');
    size_t length = scope != NULL ? (size_t)(scope - host) : strlen(host);
    long index = 0;

    if (length >= sizeof address)
        return false;
    memcpy(address, host, length);
    address[length] = '\0';
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6};
    if (inet_pton(AF_INET6, address, &out->sin6_addr) != 1)
        return false;
    if (scope != NULL)
        index = parse_number(scope + 1, INT32_MAX);
    if (index < 0 && IN6_IS_ADDR_LINKLOCAL(&out->sin6_addr))
        index = if_nametoindex(scope + 1);
    out->sin6_scope_id = (uint32_t)index;
    return scope == NULL || index > 0;
}

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

static bool parse(const char *host, long port, address *out)
{
    if (parse_v6(host, &out->v6)) {
        out->v6.sin6_port = htons((uint16_t)port);
        return true;
    }
    *out = (address){.v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    return inet_pton(AF_INET, host, &out->v4.sin_addr) == 1;
}

bool tni_os_numeric(const char *host, const char *service, char *text)
{
    long port = service != NULL ? parse_number(service, UINT16_MAX) : 0;
    address found;

    return port >= 0 && parse(host, port, &found) && print(&found.any, text, TNI_OS_NAME_TEXT);
}

/* A datagram socket that is connected sends nothing, but fails without a route. */
unsigned tni_os_address_rank(const char *host)
{
    address to;
    int fd;
    bool reachable;

    if (!parse(host, 9, &to))
        return 2;
    fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 2;
    reachable = connect(fd, &to.any, to.any.sa_family == AF_INET6 ? sizeof to.v6 : sizeof to.v4) == 0;
    (void)close(fd);
    return !reachable ? 2 : to.any.sa_family == AF_INET6 ? 0 : 1;
}

int tni_os_resolve(const char *host, const char *service, tni_os_name_fn found, void *arg)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);

    if (rc != 0)
        return error_of(rc);
    for (const struct addrinfo *each = list; each != NULL; each = each->ai_next) {
        char text[TNI_OS_NAME_TEXT];
        if (print(each->ai_addr, text, sizeof text) && !found(arg, text))
            break;
    }
    freeaddrinfo(list);
    return 0;
}

_Static_assert(UV_EAI_AGAIN == -3001 && UV_EAI_FAIL == -3004 && UV_EAI_NONAME == -3008 && UV_EAI_SERVICE == -3010,
               "tn/names.h has their numbers");
