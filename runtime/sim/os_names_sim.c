/* SPDX-License-Identifier: MIT */
/* The twin of os/os_names.c: names that the program has added, and numeric addresses. Resolving takes up to a second. */
#include "os/os_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "sim/sim_choice.h"
#include "sim/sim_names.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

#define LOOKUP_MAX_NS (UINT64_C(1000) * 1000000)

static const struct {
    const char *name;
    unsigned port;
} services[] = {{"http", 80}, {"https", 443}, {"domain", 53}, {"smtp", 25}, {"ssh", 22}};

/* -1: no such service. */
static int port_of(const char *service)
{
    char *end;
    unsigned long number;

    if (service == NULL)
        return 0;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (strcmp(services[i].name, service) == 0)
            return (int)services[i].port;
    number = strtoul(service, &end, 10);
    return *service != '\0' && *end == '\0' && number <= UINT16_MAX ? (int)number : -1;
}

static void print(const tni_sim_address *address, int port, char *out)
{
    char host[INET6_ADDRSTRLEN];

    if (tni_sim_address_is_v4(address)) {
        (void)inet_ntop(AF_INET, address->ip + 12, host, sizeof host);
        (void)snprintf(out, TNI_OS_NAME_TEXT, "%s:%d", host, port);
    } else {
        (void)inet_ntop(AF_INET6, address->ip, host, sizeof host);
        (void)snprintf(out, TNI_OS_NAME_TEXT, "[%s]:%d", host, port);
    }
}

bool tni_os_numeric(const char *host, const char *service, char *text)
{
    tni_sim_address numeric;
    int port = port_of(service);

    if (port < 0 || !tni_sim_address_parse(&numeric, host))
        return false;
    print(&numeric, port, text);
    return true;
}

unsigned tni_os_address_rank(const char *host)
{
    tni_sim_address numeric;

    if (!tni_sim_address_parse(&numeric, host))
        return 2;
    return tni_sim_address_is_v4(&numeric) ? 1 : 0;
}

int tni_os_resolve(const char *host, const char *service, tni_os_name_fn found, void *arg)
{
    tni_sim_address numeric;
    char text[TNI_OS_NAME_TEXT];
    int port = port_of(service);
    unsigned count = 0;
    const tni_sim_address *each;

    tni_sim_thread_call();
    (void)tni_sim_thread_sleep("a resolver", NULL, tni_sim_time_ns() + tni_sim_choice_scale(TNI_SIM_LATENCY, LOOKUP_MAX_NS));
    if (tni_sim_choice_happens(TNI_SIM_NAME))
        return UV_EAI_AGAIN;
    if (port < 0)
        return UV_EAI_SERVICE;
    if (tni_sim_address_parse(&numeric, host)) {
        print(&numeric, port, text);
        (void)found(arg, text);
        return 0;
    }
    while ((each = tni_sim_names_host(host, count)) != NULL) {
        count++;
        print(each, port, text);
        if (!found(arg, text))
            break;
    }
    tni_sim_trace(TNI_SIM_TRACE_RESOLVE, count, 0);
    return count > 0 ? 0 : UV_EAI_NONAME;
}
