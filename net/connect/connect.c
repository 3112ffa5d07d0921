/* SPDX-License-Identifier: MIT */
/* Connecting streams: tn_tcp_connect and tn_unix_connect. */
#include <string.h>

#include "base/alloc.h"
#include "connect/staggered.h"
#include "names/names.h"
#include "sched/budget_fiber.h"
#include "sched/runtime.h"
#include "scope/scope.h"

#define PAUSE_MIN_NS (1 * TN_MS)
#define PAUSE_MAX_NS (50 * TN_MS)

/* --- Unix ------------------------------------------------------------------------------------------------------------------- */

/* A Unix listener with a full backlog refuses at once, and no event reports when a slot is free. So retry after a pause. */
static int connect_with_retries(int fd, const tni_address *address)
{
    uint64_t pause_ns = PAUSE_MIN_NS;

    for (;;) {
        int rc = tni_os_connect(fd, &address->socket.any, address->length);
        if (rc != TN_EAGAIN)
            return rc;
        rc = tn_sleep(pause_ns);
        if (rc != 0)
            return rc;
        pause_ns = pause_ns < PAUSE_MAX_NS / 2 ? pause_ns * 2 : PAUSE_MAX_NS;
    }
}

/* A connection attempt. If the fiber is abandoned, the stream is closed. */
typedef struct {
    tn_scope scope;
    tn_stream *stream;
} attempt;

static void end_attempt(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        tn_stream_close(tni_container_of(scope, attempt, scope)->stream);
}

int tn_unix_connect(tn_runtime *runtime, tn_stream **out, const char *path)
{
    tni_address address;
    attempt self;
    int rc;

    runtime = tni_endpoint_runtime(runtime, "tn_unix_connect");
    if (runtime == NULL)
        return TN_EINVAL;
    rc = tni_address_parse_unix(&address, path, &runtime->log);
    if (rc == 0)
        rc = tni_budget_enter();
    if (rc == 0)
        rc = tni_stream_open_socket(runtime, &self.stream, AF_UNIX);
    if (rc != 0)
        return rc;
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, end_attempt);
    rc = connect_with_retries(self.stream->endpoint.fd, &address);
    tn_scope_leave(&self.scope);
    if (rc == 0)
        *out = self.stream;
    else
        tn_stream_close(self.stream);
    return rc;
}

/* --- TCP -------------------------------------------------------------------------------------------------------------------- */

/* The addresses of a name. They are also freed if the fiber is abandoned. */
typedef struct {
    tn_scope scope;
    tn_runtime *runtime;
    tn_names names;
    tni_address *addresses; /* of `names`; NULL: none */
} candidates;

static void free_candidates(tn_scope *scope, bool abandoned)
{
    candidates *self = tni_container_of(scope, candidates, scope);

    (void)abandoned;
    if (self->addresses != NULL)
        tni_free(&self->runtime->allocator, self->addresses, self->names.count * sizeof *self->addresses);
    tn_names_fini(&self->names);
}

static int connect_to_candidates(candidates *self, tn_stream **out, const char *name)
{
    size_t count = self->names.count;
    size_t failed = count;
    int rc = 0;

    self->addresses = tni_alloc(&self->runtime->allocator, count * sizeof *self->addresses, _Alignof(max_align_t));
    if (self->addresses == NULL)
        return TN_ENOMEM;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = tni_address_parse_tcp(&self->addresses[i], self->names.text[i], TNI_TO_CONNECT, &self->runtime->log);
    if (rc != 0)
        return rc;
    tni_staggered_order(self->addresses, count);
    rc = tni_staggered_connect(self->runtime, out, self->addresses, count, &failed);
    if (failed < count) {
        char text[TN_ADDRESS_SIZE];
        tni_address_print(&self->addresses[failed], text);
        tni_log_write(&self->runtime->log, TN_LOG_WARNING, "cannot connect to %s: %s: %s%s", name, text, tn_strerror(rc),
                      count > 1 ? "; its other addresses failed later" : "");
    }
    return rc;
}

static int connect_to_name(tn_runtime *runtime, tn_stream **out, const char *name, const char *host, const char *port)
{
    candidates self = {.runtime = runtime};
    int rc = tn_resolve(runtime, host, port, &self.names);

    if (rc != 0)
        return rc;
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, free_candidates);
    rc = connect_to_candidates(&self, out, name);
    tn_scope_leave(&self.scope);
    return rc;
}

int tn_tcp_connect(tn_runtime *runtime, tn_stream **out, const char *address)
{
    char host[TNI_HOST_BYTES];
    const char *port;
    tni_address parsed;
    size_t failed;
    int rc;

    runtime = tni_endpoint_runtime(runtime, "tn_tcp_connect");
    if (runtime == NULL)
        return TN_EINVAL;
    if (tni_address_is_name(address, host, sizeof host, &port))
        return connect_to_name(runtime, out, address, host, port);
    rc = tni_address_parse_tcp(&parsed, address, TNI_TO_CONNECT, &runtime->log);
    return rc != 0 ? rc : tni_staggered_connect(runtime, out, &parsed, 1, &failed);
}
