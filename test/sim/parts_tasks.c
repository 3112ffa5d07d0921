/* SPDX-License-Identifier: MIT */
/* The operations of parts.c that need no input and output: futures, timers, tasks that keep the run queue busy, pinned tasks,
 * cancellation, channels and permits. */
#include "parts.h"

#define CHILDREN_MAX 12
#define ROUNDS_MAX 1000000 /* more than there are while a thread has lost its processor a few times */

/* --- Futures ------------------------------------------------------------------------------------------------------------- */

/* A sleep, or a channel into which a task sends. */
typedef struct {
    tn_oneshot *oneshot;
    uint64_t ready_ns; /* since when it is ready; 0: it is not */
    uint64_t received;
    union {
        tn_sleep_future sleep;
        tn_oneshot_future receive;
    } future;
} source;

/* Now and then longer than a response may be late in the stricter variant. */
static uint64_t source_delay_ns(void)
{
    return some_ns() * (tn_sim_choose(4) == 0 ? 64 : 1);
}

static void *send_later(void *arg)
{
    source *self = arg;
    uint64_t value = 7;

    if (tn_sim_choose(2) == 0) /* otherwise while its future is polled for the first time */
        (void)tn_sleep(source_delay_ns());
    self->ready_ns = tn_now();
    tn_sim_check(tn_oneshot_send(self->oneshot, &value) == 0);
    return NULL;
}

static tn_future *source_open(source *self, tn_group *group)
{
    *self = (source){0};
    if (tn_sim_choose(2) == 0) {
        self->ready_ns = tn_now() + source_delay_ns();
        tn_sleep_init(&self->future.sleep, self->ready_ns);
        return &self->future.sleep.base;
    }
    tn_sim_check(tn_oneshot_create(&self->oneshot, sizeof(uint64_t), NULL) == 0);
    tn_oneshot_recv_init(&self->future.receive, self->oneshot, &self->received);
    spawn(group, send_later, self);
    return &self->future.receive.base;
}

/* Its future is ready with `rc`. */
static void source_check(const source *self, int rc)
{
    tn_sim_check(rc == 0 && self->ready_ns > 0 && tn_now() >= self->ready_ns);
    tn_sim_check(self->oneshot == NULL || self->received == 7);
}

static void source_close(source *self)
{
    if (self->oneshot != NULL)
        tn_oneshot_release(self->oneshot);
}

void do_set(void)
{
    source sources[CHILDREN_MAX];
    unsigned count = 1 + tn_sim_choose(CHILDREN_MAX);
    tn_future_set *set;
    tn_group group;
    tn_ready ready;
    tn_scope scope;

    tn_group_enter(&group, NULL);
    tn_sim_check(tn_future_set_create(&set, NULL) == 0);
    for (unsigned i = 0; i < count; i++)
        tn_sim_check(tn_future_set_add(set, source_open(&sources[i], &group), &sources[i], NULL) == 0);
    for (unsigned left = count; left > 0;) {
        bool early = enter_scope(&scope);
        if (!is_done(&scope, early, tn_future_set_next(set, &ready)))
            continue;
        source_check(ready.tag, ready.result);
        check_late(((source *)ready.tag)->ready_ns);
        tn_sim_check(tn_future_set_count(set) == --left);
    }
    tn_future_set_destroy(set);
    leave(&group);
    for (unsigned i = 0; i < count; i++)
        source_close(&sources[i]);
}

/* Selects until all have been ready. */
static void select_all(source *sources, tn_future **futures, unsigned count)
{
    int rc;

    for (unsigned left = count; left > 0; left--) {
        int index = tn_select(futures, count, &rc);
        tn_sim_check(index >= 0 && futures[index] != NULL);
        source_check(&sources[index], rc);
        check_late(sources[index].ready_ns);
        tn_future_drop(futures[index]);
        futures[index] = NULL;
    }
}

void do_combined(void)
{
    enum { COUNT = 3 };
    source sources[COUNT];
    tn_future *futures[COUNT];
    int results[COUNT];
    tn_group group;
    int rc;

    tn_group_enter(&group, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        futures[i] = source_open(&sources[i], &group);
    switch (tn_sim_choose(4)) {
    case 0:
        select_all(sources, futures, COUNT);
        break;
    case 1:
        rc = tn_race(futures, COUNT, &results[0]);
        tn_sim_check(rc >= 0 && rc < COUNT);
        source_check(&sources[rc], results[0]);
        check_late(sources[rc].ready_ns);
        break;
    case 2:
        tn_sim_check(tn_join_all(futures, results, COUNT) == 0);
        for (unsigned i = 0; i < COUNT; i++)
            source_check(&sources[i], results[i]);
        break;
    default:
        for (unsigned i = 0; i < COUNT; i++) {
            uint64_t until_ns = tn_now() + some_ns();
            rc = tn_timeout(futures[i], until_ns);
            tn_sim_check(rc == 0 || (rc == TN_ETIMEDOUT && tn_now() >= until_ns));
            if (tn_now() > until_ns)
                check_late(until_ns); /* whichever came first */
        }
    }
    leave(&group);
    for (unsigned i = 0; i < COUNT; i++)
        source_close(&sources[i]);
}

static void *release_one(void *semaphore)
{
    (void)tn_sleep(some_ns());
    tn_semaphore_release(semaphore, 1);
    return NULL;
}

/* A race that a permit loses leaves no request behind. */
void do_race(void)
{
    tn_semaphore semaphore;
    tn_semaphore_future permit;
    tn_sleep_future sleep;
    tn_future *futures[] = {&permit.base, &sleep.base};
    tn_group group;
    int rc;

    tn_semaphore_init(&semaphore, 0);
    tn_group_enter(&group, NULL);
    spawn(&group, release_one, &semaphore);
    tn_semaphore_acquire_init(&permit, &semaphore, 1);
    tn_sleep_init(&sleep, tn_now() + some_ns());
    rc = tn_race(futures, 2, NULL);
    tn_sim_check(rc == 0 || rc == 1);
    if (rc == 0)
        tn_semaphore_release(&semaphore, 1);
    leave(&group);
    tn_sim_check(tn_semaphore_available(&semaphore) == 1);
    tn_semaphore_fini(&semaphore);
}

/* --- Timers, and tasks that keep the run queue busy ---------------------------------------------------------------------- */

static void *sleep_until(void *until_ns)
{
    tn_sleep_future sleep;

    tn_sleep_init(&sleep, *(uint64_t *)until_ns);
    tn_sim_check(tn_await(&sleep.base) == 0);
    return NULL;
}

/* More timers than fire at a time, at nearly the same moment. The tasks do not read the clock: a thread that does so again and
 * again lets time pass. */
void do_timers(void)
{
    uint64_t until_ns[4 * CHILDREN_MAX];
    uint64_t base_ns = tn_now() + (tn_sim_choose(2) == 0 ? some_ns() : (1 + tn_sim_choose(8)) * TN_S);
    uint64_t spread_ns = some_ns();
    uint64_t last_ns = 0;
    tn_group group;

    tn_group_enter(&group, NULL);
    for (unsigned i = 0; i < 4 * CHILDREN_MAX; i++) {
        until_ns[i] = base_ns + (tn_sim_choose(2) == 0 ? 0 : tn_sim_choose((uint32_t)spread_ns));
        last_ns = until_ns[i] > last_ns ? until_ns[i] : last_ns;
        spawn(&group, sleep_until, &until_ns[i]);
    }
    leave(&group);
    tn_sim_check(tn_now() >= last_ns);
    check_late(last_ns);
}

/* Two tasks that wake each other until `over`. */
typedef struct {
    tn_notify turns[2];
    bool *over;
} pair;

static void wake_each_other(pair *self, unsigned side)
{
    for (unsigned round = 0; !*self->over; round++) {
        tn_sim_check(round < ROUNDS_MAX);
        tn_notify_one(&self->turns[!side]);
        tn_sim_check(tn_notify_wait(&self->turns[side]) == 0);
    }
    tn_notify_one(&self->turns[!side]);
}

static void *wake_second(void *arg)
{
    wake_each_other(arg, 0);
    return NULL;
}

static void *wake_first(void *arg)
{
    wake_each_other(arg, 1);
    return NULL;
}

/* Beside tasks that wake each other without end, one that yields makes progress. */
void do_yield_beside(void)
{
    pair pairs[4];
    unsigned count = 1 + tn_sim_choose(4);
    bool over = false;
    tn_group group;

    tn_group_enter(&group, NULL);
    for (unsigned i = 0; i < count; i++) {
        pairs[i].over = &over;
        tn_notify_init(&pairs[i].turns[0]);
        tn_notify_init(&pairs[i].turns[1]);
        spawn(&group, wake_second, &pairs[i]);
        spawn(&group, wake_first, &pairs[i]);
    }
    for (unsigned i = 1 + tn_sim_choose(8); i > 0; i--)
        tn_sim_check(tn_yield() == 0);
    over = true;
    leave(&group);
    for (unsigned i = 0; i < count; i++) {
        tn_notify_fini(&pairs[i].turns[0]);
        tn_notify_fini(&pairs[i].turns[1]);
    }
}

/* --- Pinned tasks -------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_notify notify;
    uint64_t notified_ns;
    unsigned rounds;
} pinned;

static void *run_pinned(void *arg)
{
    pinned *self = arg;

    while (self->rounds > 0) {
        tn_sim_check(tn_notify_wait(&self->notify) == 0);
        check_late(self->notified_ns);
        self->rounds--;
    }
    return NULL;
}

/* Wakes a pinned task of a worker that may sleep. */
void do_pinned(void)
{
    tn_spawn_options options = tn_spawn_options_default();
    pinned task = {.rounds = 1 + tn_sim_choose(6)};
    tn_group group;

    options.pinned = true;
    tn_notify_init(&task.notify);
    tn_group_enter(&group, NULL);
    tn_sim_check(tn_group_spawn(&group, &options, run_pinned, &task) == 0);
    while (tn_group_running(&group) > 0) {
        unsigned before = task.rounds;
        (void)tn_sleep(some_ns() / 16);
        task.notified_ns = tn_now();
        tn_notify_one(&task.notify);
        while (tn_group_running(&group) > 0 && task.rounds == before) {
            tn_sim_check(tn_now() - task.notified_ns < 2 * OPERATION_NS);
            (void)tn_sleep(TN_MS / 8);
        }
    }
    leave(&group);
    tn_notify_fini(&task.notify);
}

/* --- Cancellation -------------------------------------------------------------------------------------------------------- */

/* Tasks that wait for what never comes. */
typedef struct {
    tn_cancel_token *token;
    tn_semaphore none;
    tn_mutex held;
    uint64_t cancelled_ns; /* 0: not yet */
} hopeless;

static void hopeless_init(hopeless *self)
{
    *self = (hopeless){0};
    tn_semaphore_init(&self->none, 0);
    tn_mutex_init(&self->held);
    tn_mutex_lock_always(&self->held);
}

static void hopeless_fini(hopeless *self)
{
    tn_mutex_unlock(&self->held);
    tn_mutex_fini(&self->held);
    tn_semaphore_fini(&self->none);
}

static int wait_for_nothing(hopeless *self)
{
    switch (tn_sim_choose(prompt_ns() > 0 ? 3 : 4)) { /* without end: time passes as for a thread that spins */
    case 0:
        return tn_sleep(3600 * TN_S);
    case 1:
        return tn_semaphore_acquire(&self->none, 1 + tn_sim_choose(2));
    case 2:
        return tn_mutex_lock(&self->held);
    default:
        for (;;) {
            int rc = tn_yield();
            if (rc != 0)
                return rc;
        }
    }
}

static void *wait_until_cancelled(void *arg)
{
    hopeless *self = arg;

    tn_sim_check(wait_for_nothing(self) == TN_ECANCELED && self->cancelled_ns > 0);
    check_late(self->cancelled_ns);
    return NULL;
}

static void *wait_under_token(void *arg)
{
    hopeless *self = arg;
    tn_cancel_token_scope scope;

    tn_cancel_token_scope_enter(&scope, tn_now() + 3600 * TN_S, self->token);
    (void)wait_until_cancelled(self);
    tn_cancel_token_scope_leave(&scope);
    return NULL;
}

static void *cancel_token(void *arg)
{
    hopeless *self = arg;

    self->cancelled_ns = tn_now();
    tn_cancel_token_cancel(self->token);
    return NULL;
}

void do_token(void)
{
    hopeless self;
    tn_cancel_token *root;
    tn_group group;

    hopeless_init(&self);
    tn_sim_check(tn_cancel_token_create(&root, NULL, NULL) == 0);
    tn_sim_check(tn_cancel_token_create(&self.token, root, NULL) == 0);
    tn_group_enter(&group, NULL);
    for (unsigned i = tn_sim_choose(5); i > 0; i--)
        spawn(&group, wait_under_token, &self);
    (void)tn_sleep(some_ns());
    self.cancelled_ns = tn_now();
    if (tn_sim_choose(2) == 0)
        tn_cancel_token_cancel(root);
    else
        tn_sim_check(tn_run_blocking(cancel_token, &self, NULL) == 0);
    tn_sim_check(tn_cancel_token_wait(self.token) == 0);
    leave(&group);
    hopeless_fini(&self);
    tn_cancel_token_release(self.token);
    tn_cancel_token_release(root);
}

void do_cancel(void)
{
    hopeless self;
    tn_group group;

    hopeless_init(&self);
    tn_group_enter(&group, NULL);
    for (unsigned i = 1 + tn_sim_choose(4); i > 0; i--)
        spawn(&group, wait_until_cancelled, &self);
    (void)tn_sleep(some_ns());
    self.cancelled_ns = tn_now();
    tn_group_cancel(&group);
    leave(&group);
    hopeless_fini(&self);
}

/* --- Channels and permits ------------------------------------------------------------------------------------------------ */

typedef struct {
    tn_mpsc *channel;
    uint64_t sent;
} closing;

static void *send_some(void *arg)
{
    closing *self = arg;
    uint64_t one = 1;
    tn_scope scope;
    int rc = 0;

    for (unsigned i = 4; i > 0 && (rc == 0 || rc == TN_ETIMEDOUT); i--) {
        bool early = enter_scope(&scope);
        rc = tn_mpsc_send(self->channel, &one);
        tn_scope_leave(&scope);
        tn_sim_check(rc == 0 || rc == TN_EPIPE || rc == TN_ECANCELED || (rc == TN_ETIMEDOUT && early));
        self->sent += rc == 0;
    }
    tn_mpsc_release_sender(self->channel);
    return NULL;
}

/* The receiver closes a bounded channel while senders wait, time out, or are cancelled. */
void do_close_channel(void)
{
    closing self = {0};
    bool closes = tn_sim_choose(4) != 0; /* otherwise the channel ends with its last sender */
    uint64_t received = 0;
    uint64_t one;
    tn_scope scope;
    tn_group group;

    tn_sim_check(tn_mpsc_create(&self.channel, sizeof one, 1 + tn_sim_choose(2), NULL) == 0);
    tn_group_enter(&group, NULL);
    for (unsigned i = 1 + tn_sim_choose(4); i > 0; i--) {
        tn_mpsc_retain_sender(self.channel);
        spawn(&group, send_some, &self);
    }
    tn_scope_enter_for(&scope, 4 * some_ns());
    for (unsigned i = tn_sim_choose(8); i > 0 && tn_mpsc_recv(self.channel, &one) == 0; i--) {
        received++;
        if (tn_sim_choose(2) == 0)
            (void)tn_sleep(some_ns() / 16);
    }
    tn_scope_leave(&scope);
    if (tn_sim_choose(2) == 0)
        tn_group_cancel(&group);
    if (closes)
        tn_mpsc_close(self.channel);
    else
        tn_mpsc_release_sender(self.channel);
    while (tn_mpsc_recv(self.channel, &one) == 0)
        received++;
    if (closes)
        tn_mpsc_release_sender(self.channel);
    leave(&group);
    tn_sim_check(received == self.sent);
    tn_mpsc_release_receiver(self.channel);
}

typedef struct {
    tn_semaphore *semaphore;
    uint64_t count;
} acquirer;

static void *acquire(void *arg)
{
    acquirer *self = arg;
    tn_scope scope;
    bool early = enter_scope(&scope);

    if (is_done(&scope, early, tn_semaphore_acquire(self->semaphore, self->count))) {
        (void)tn_yield();
        tn_semaphore_release(self->semaphore, self->count);
    }
    return NULL;
}

/* A request for more permits than there are keeps others waiting, until it is satisfied or gives up. */
void do_permits(void)
{
    acquirer requests[4];
    tn_semaphore semaphore;
    tn_group group;

    tn_semaphore_init(&semaphore, 0);
    tn_group_enter(&group, NULL);
    for (unsigned i = 0; i < 4; i++) {
        requests[i] = (acquirer){&semaphore, i == 0 ? 3 + tn_sim_choose(3) : 1 + tn_sim_choose(2)};
        spawn(&group, acquire, &requests[i]);
    }
    (void)tn_sleep(some_ns() / 4);
    tn_semaphore_release(&semaphore, 2);
    (void)tn_sleep(some_ns());
    tn_semaphore_release(&semaphore, 4);
    leave(&group);
    tn_sim_check(tn_semaphore_available(&semaphore) == 6);
    tn_semaphore_fini(&semaphore);
}

/* --- Several workers ----------------------------------------------------------------------------------------------------- */

#define WORKERS_MAX 4

typedef struct {
    tn_notify notify;
    const uint64_t *until_ns;
    uint64_t ran_ns; /* 0: it has not run since it was woken */
} sleeper;

static void keep_thread(uint64_t until_ns)
{
    while (tn_now() < until_ns)
        ;
}

static void *run_and_keep_thread(void *arg)
{
    sleeper *self = arg;

    tn_sim_check(tn_notify_wait(&self->notify) == 0);
    self->ran_ns = tn_now();
    keep_thread(*self->until_ns);
    return NULL;
}

/* A task wakes as many others as there are workers, and all of them keep their threads. Each other worker runs one of them. */
void do_spread(void)
{
    sleeper sleepers[WORKERS_MAX] = {0};
    unsigned count = tn_runtime_workers(tn_runtime_current());
    unsigned ran = 0;
    uint64_t until_ns;
    tn_group group;

    tn_group_enter(&group, NULL);
    for (unsigned i = 0; i < count; i++) {
        tn_notify_init(&sleepers[i].notify);
        sleepers[i].until_ns = &until_ns;
        spawn(&group, run_and_keep_thread, &sleepers[i]);
    }
    (void)tn_sleep(TN_MS);
    until_ns = tn_now() + 2 * prompt_ns();
    for (unsigned i = 0; i < count; i++)
        tn_notify_one(&sleepers[i].notify);
    keep_thread(until_ns);
    for (unsigned i = 0; i < count; i++)
        ran += sleepers[i].ran_ns > 0 && sleepers[i].ran_ns < until_ns - prompt_ns();
    tn_sim_check(ran + 1 >= count);
    leave(&group);
    for (unsigned i = 0; i < count; i++)
        tn_notify_fini(&sleepers[i].notify);
}
