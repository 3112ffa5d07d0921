/* SPDX-License-Identifier: MIT */
/* tn_serve: starts the acceptors of a server, waits until it is to end, and ends it in order. README.md ("Servers") has the
 * protocol. */
#include "serve/serve.h"

#include <tn/combine.h>

#include "base/options.h"
#include "base/tls.h"
#include "cancel_token.h"
#include "sched/runtime.h"
#include "sched/spawn.h"
#include "scope/scope.h"
#include "time/deadline.h"

#define CONNECTIONS_MAX 10000
#define FIRST_BYTES_NS (10 * TN_S)
#define IDLE_NS (60 * TN_S)
#define GRACE_NS (1 * TN_S)
#define BACKLOG_NS (200 * TN_MS)
#define DRAIN_NS (20 * TN_S)
#define CANCEL_NS (2 * TN_S)
#define FINISH_NS (1 * TN_S)

/* --- Parts and slots -------------------------------------------------------------------------------------------------------- */

static void retain(tni_server *server)
{
    /* Relaxed: the caller has a reference, so one more publishes nothing. */
    (void)tni_a32_fetch_add(&server->references, 1, TNI_RELAXED);
}

static size_t size_of(size_t parts)
{
    return sizeof(tni_server) + parts * sizeof(tni_serve_part);
}

void tni_serve_release(tni_server *server)
{
    tn_allocator allocator = server->allocator;

    /* Acq_rel: publishes the accesses of this holder; the last one observes those of all others. */
    if (tni_a32_fetch_sub(&server->references, 1, TNI_ACQ_REL) != 1)
        return;
    tni_cancel_token_discard(server->token);
    tn_cancel_source_fini(&server->sessions);
    tn_task_tracker_fini(&server->live);
    tn_wait_group_fini(&server->acceptors);
    tni_os_mutex_fini(&server->lock);
    tni_free(&allocator, server, size_of(server->parts_count));
}

void tni_serve_part_begins(tni_serve_part *part)
{
    tni_os_mutex_lock(&part->server->lock);
    part->task = tni_tls_get()->task;
    tni_os_mutex_unlock(&part->server->lock);
}

void tni_serve_part_ends(tni_serve_part *part)
{
    tni_server *server = part->server;
    bool last;

    tni_os_mutex_lock(&server->lock);
    if (part->task == NULL)
        server->unrun = true;
    part->task = NULL;
    last = --server->parts_left == 0;
    tni_os_mutex_unlock(&server->lock);
    tn_task_tracker_leave(&server->live);
    if (last)
        tn_task_tracker_close(&server->live); /* no session begins any more */
    tni_serve_release(server);
}

static void wake_parts_locked(tni_server *server)
{
    tni_os_mutex_assert_held(&server->lock);
    for (size_t i = 0; i < server->parts_count; i++)
        if (server->parts[i].task != NULL)
            tni_task_wake(server->parts[i].task);
}

bool tni_serve_is_full(tni_server *server)
{
    bool full;

    tni_os_mutex_lock(&server->lock);
    full = server->sessions_count >= server->options.connections_max;
    tni_os_mutex_unlock(&server->lock);
    return full;
}

bool tni_serve_take_slot(tni_server *server)
{
    bool free;

    tni_os_mutex_lock(&server->lock);
    free = server->sessions_count < server->options.connections_max;
    if (free)
        server->sessions_count++;
    tni_os_mutex_unlock(&server->lock);
    return free;
}

void tni_serve_give_slot(tni_server *server)
{
    tni_os_mutex_lock(&server->lock);
    if (server->sessions_count-- == server->options.connections_max)
        wake_parts_locked(server);
    tni_os_mutex_unlock(&server->lock);
}

void tni_serve_session_begins(tni_server *server)
{
    int rc = tn_task_tracker_enter(&server->live);

    tni_assert(rc == 0, "tn_serve: a session begins although no acceptor is left");
    retain(server);
    tni_os_mutex_lock(&server->lock);
    server->counts.accepted++;
    tni_os_mutex_unlock(&server->lock);
}

void tni_serve_session_failed(tni_server *server)
{
    tni_os_mutex_lock(&server->lock);
    server->counts.accepted--;
    tni_os_mutex_unlock(&server->lock);
    tn_task_tracker_leave(&server->live);
    tni_serve_release(server); /* not the last: the acceptor has one */
}

void tni_serve_refused(tni_server *server)
{
    tni_os_mutex_lock(&server->lock);
    server->counts.refused++;
    tni_os_mutex_unlock(&server->lock);
}

/* --- Making ----------------------------------------------------------------------------------------------------------------- */

static void set_default(uint64_t *value, uint64_t if_zero)
{
    if (*value == 0)
        *value = if_zero;
}

static int read_options(tn_serve_options *out, const tn_serve_options *given, size_t count)
{
    int rc;

    *out = tn_serve_options_default();
    rc = tni_options_read(out, reserved, given, tni_runtime_log_here(), "tn_serve");
    if (rc != 0)
        return rc;
    out->runtime = tni_endpoint_runtime(out->runtime, "tn_serve");
    if (out->runtime == NULL)
        return TN_EINVAL;
    if (count == 0) {
        tni_log_write(&out->runtime->log, TN_LOG_ERROR, "tn_serve: there is no listener");
        return TN_EINVAL;
    }
    for (size_t i = 0; i < sizeof out->reserved; i++)
        if (out->reserved[i] != 0)
            return tni_options_refuse(&out->runtime->log, "tn_serve", "reserved is not 0: begin with the defaults");
    if (out->stack_size_bytes > TNI_STACK_MAX_BYTES)
        return tni_options_refuse(&out->runtime->log, "tn_serve",
                                  "stack_size_bytes is over 64 MiB: use 0 for the size in tn_options");
    if (out->connections_max == 0)
        out->connections_max = CONNECTIONS_MAX;
    set_default(&out->first_bytes_ns, FIRST_BYTES_NS);
    set_default(&out->idle_ns, IDLE_NS);
    set_default(&out->grace_ns, GRACE_NS);
    set_default(&out->backlog_ns, BACKLOG_NS);
    set_default(&out->drain_ns, DRAIN_NS);
    set_default(&out->cancel_ns, CANCEL_NS);
    set_default(&out->finish_ns, FINISH_NS);
    return 0;
}

/* Takes over the listeners on success. */
static int make(tni_server **out, tn_listener *const *listeners, size_t count, const tn_serve_options *options)
{
    tn_runtime *runtime = options->runtime;
    size_t parts = count + (options->queue_delay_max_ns != 0);
    tni_server *server = tni_reclaim_alloc(runtime, size_of(parts), _Alignof(tni_server));
    int rc;

    if (server == NULL)
        return TN_ENOMEM;
    memset(server, 0, size_of(parts));
    server->runtime = runtime;
    server->allocator = runtime->allocator;
    server->options = *options;
    rc = tn_cancel_token_create(&server->token, NULL, &server->allocator);
    if (rc != 0) {
        tni_free(&runtime->allocator, server, size_of(parts));
        return rc;
    }
    tn_cancel_source_init(&server->sessions);
    tn_task_tracker_init(&server->live);
    tn_wait_group_init(&server->acceptors);
    tn_wait_group_add(&server->acceptors, (uint32_t)count);
    tni_a32_init(&server->references, 1);
    tni_a32_init(&server->phase, TNI_SERVE_SERVING);
    tni_a32_init(&server->shedding, 0);
    tni_os_mutex_init(&server->lock);
    server->parts_left = parts;
    server->parts_count = parts;
    for (size_t i = 0; i < count; i++)
        server->parts[i].listener = listeners[i];
    *out = server;
    return 0;
}

/* A part whose task cannot be started ends here. */
static int start_part(tni_server *server, size_t index)
{
    tni_serve_part *part = &server->parts[index];
    bool accepts = part->listener != NULL;
    tn_spawn_options options = tn_spawn_options_default();
    int rc;

    options.name = accepts ? "acceptor" : "probe";
    part->server = server;
    part->hook.kind = TNI_TASK_HOOK_BORROWED;
    part->hook.fn = accepts ? tni_accept_loop_over : tni_probe_over;
    part->hook.arg = part;
    rc = tni_spawn_with(server->runtime, &options, NULL, accepts ? tni_accept_loop_main : tni_probe_main, part, &part->hook,
                        (const void *)(uintptr_t)server->handler);
    if (rc != 0)
        part->hook.fn(part);
    return rc;
}

static int start_parts(tni_server *server)
{
    int error = 0;

    for (size_t i = 0; i < server->parts_count; i++) {
        retain(server);
        (void)tn_task_tracker_enter(&server->live); /* cannot fail: it is closed when the last part has ended */
    }
    for (size_t i = 0; i < server->parts_count; i++) {
        int rc = start_part(server, i);
        if (rc != 0)
            error = rc;
    }
    return error;
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

static void wake_all_locked(tni_server *server)
{
    tni_os_mutex_assert_held(&server->lock);
    wake_parts_locked(server);
    for (tni_list_node *at = server->started.first; at != NULL; at = at->next)
        tni_task_wake(tni_container_of(at, tn_session, node)->task);
}

static void enter_phase(tni_server *server, tni_serve_phase phase)
{
    tni_os_mutex_lock(&server->lock);
    /* Release: publishes what the program did before it cancelled the token; partner: tni_serve_phase_of. */
    tni_a32_store(&server->phase, phase, TNI_RELEASE);
    wake_all_locked(server);
    tni_os_mutex_unlock(&server->lock);
    tn_cancel_token_cancel(server->token);
    if (phase == TNI_SERVE_ENDING)
        tn_cancel_source_cancel(&server->sessions);
}

typedef enum { END_WANTED, DRAIN_WANTED, NO_ACCEPTOR, ALL_ENDED, TIME_IS_UP } event;

/* The branches of a wait for the next event. */
typedef struct {
    tn_future *futures[4];
    event events[4];
    unsigned count;
    tn_cancel_token_future end;
    tn_cancel_token_future drain;
    tn_wait_group_future group;
    tn_sleep_future sleep;
} branches;

static void add(branches *to, tn_future *future, event what)
{
    to->futures[to->count] = future;
    to->events[to->count++] = what;
}

/* Returns an event, or TN_ECANCELED or TN_ETIMEDOUT of the calling task. */
static int wait_event(tni_server *server, tni_serve_phase phase, uint64_t until_ns)
{
    branches wait = {.count = 0};
    int result;
    int rc;

    if (server->options.end != NULL && phase != TNI_SERVE_ENDING) {
        tn_cancel_token_wait_init(&wait.end, server->options.end);
        add(&wait, &wait.end.base, END_WANTED);
    }
    if (server->options.drain != NULL && phase == TNI_SERVE_SERVING) {
        tn_cancel_token_wait_init(&wait.drain, server->options.drain);
        add(&wait, &wait.drain.base, DRAIN_WANTED);
    }
    if (phase == TNI_SERVE_SERVING) {
        tn_wait_group_wait_init(&wait.group, &server->acceptors);
        add(&wait, &wait.group.base, NO_ACCEPTOR);
    } else {
        tn_task_tracker_wait_init(&wait.group, &server->live);
        add(&wait, &wait.group.base, ALL_ENDED);
    }
    if (until_ns != TN_NEVER) {
        tn_sleep_init(&wait.sleep, until_ns);
        add(&wait, &wait.sleep.base, TIME_IS_UP);
    }
    rc = tn_race(wait.futures, wait.count, &result); /* also drops them if the caller is abandoned */
    return rc < 0 ? rc : (int)wait.events[rc];
}

/* Returns 0, or why the calling task ended it. */
static int serve_and_drain(tni_server *server)
{
    int rc = wait_event(server, TNI_SERVE_SERVING, TN_NEVER);

    if (rc < 0 || rc == END_WANTED)
        return rc < 0 ? rc : 0;
    enter_phase(server, TNI_SERVE_DRAINING);
    rc = wait_event(server, TNI_SERVE_DRAINING, tni_deadline_after(server->options.drain_ns));
    return rc < 0 ? rc : 0;
}

static void end_sessions(tni_server *server)
{
    tn_scope shield;

    enter_phase(server, TNI_SERVE_ENDING);
    tn_shield_enter(&shield, TN_NEVER);
    (void)wait_event(server, TNI_SERVE_ENDING, tni_deadline_after(server->options.cancel_ns));
    tn_scope_leave(&shield);
}

/* Returns 0, or TN_ENOMEM if there was no stack for a part. */
static int take_result(tni_server *server, tn_serve_result *result)
{
    bool unrun;

    tni_os_mutex_lock(&server->lock);
    *result = server->counts;
    unrun = server->unrun;
    tni_os_mutex_unlock(&server->lock);
    result->left = result->accepted - result->finished - result->cancelled;
    return unrun ? TN_ENOMEM : 0;
}

/* The reference of the calling task. */
typedef struct {
    tn_scope scope;
    tni_server *server;
} caller;

/* If the caller is abandoned, its server may be in a runtime that goes on. */
static void caller_ends(tn_scope *scope, bool abandoned)
{
    caller *self = tni_container_of(scope, caller, scope);

    if (abandoned)
        enter_phase(self->server, TNI_SERVE_ENDING);
    tni_serve_release(self->server);
}

static int run(tni_server *server, tn_serve_result *result)
{
    caller self = {.server = server};
    int unrun;
    int rc;

    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, caller_ends);
    rc = start_parts(server);
    if (rc == 0)
        rc = serve_and_drain(server);
    end_sessions(server);
    unrun = take_result(server, result);
    tn_scope_leave(&self.scope);
    return rc != 0 ? rc : unrun;
}

int tn_serve(tn_listener *const *listeners, size_t count, tn_session_fn handler, void *arg, const tn_serve_options *options,
             tn_serve_result *result)
{
    tn_serve_options wanted;
    tn_serve_result unwanted;
    tni_server *server = NULL;
    int rc = read_options(&wanted, options, count);

    if (result == NULL)
        result = &unwanted;
    memset(result, 0, sizeof *result);
    if (rc == 0)
        rc = make(&server, listeners, count, &wanted);
    if (rc != 0) {
        for (size_t i = 0; i < count; i++)
            tn_listener_close(listeners[i]);
        return rc;
    }
    server->handler = handler;
    server->arg = arg;
    return run(server, result);
}
