/* SPDX-License-Identifier: MIT */
/* Name resolution by getaddrinfo. */
#include "os/os_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

/* Translates to libuv's error codes, for which tn_strerror has texts. */
static int error_of(int rc)
{
    switch (rc) {
    case EAI_SYSTEM:
        return errno != 0 ? -errno : UV_EAI_FAIL;
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
