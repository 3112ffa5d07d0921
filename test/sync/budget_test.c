/* SPDX-License-Identifier: MIT */
/* Operations that are ready at once count against the task's budget of 128. A task that finds everything ready, again and
 * again, lets others run. */
#include "support/others_run.h"
#include "support/runtime.h"
#include "sync_support.h"

enum { BUDGET = 128 };
/* Until the other task runs: when the monitor has moved the queue of a late worker, it comes some budgets later. */
enum { TURNS_MAX = 16 * BUDGET };

/* What the operations need to be always ready. */
static struct {
    tn_mutex mutex;
    tn_rwlock lock;
    tn_semaphore semaphore;
    tn_notify notify;
    tn_barrier barrier;
    tn_wait_group group; /* counts nothing */
    tn_oneshot *oneshot;
    tn_mpsc *mpsc;
    tn_broadcast *broadcast;
    tn_broadcast_receiver listener;
    tn_watch *watch;
    tn_watch_receiver watcher;
    tn_cancel_token *token; /* cancelled */
    uint64_t element;
} all;

static union {
    tn_mutex_future mutex;
    tn_rwlock_future lock;
    tn_semaphore_future semaphore;
    tn_notify_future notify;
    tn_barrier_future barrier;
    tn_wait_group_future group;
    tn_oneshot_future oneshot;
    tn_mpsc_send_future send;
    tn_mpsc_recv_future recv;
    tn_broadcast_future broadcast;
    tn_watch_future watch;
    tn_cancel_token_future token;
    tn_sleep_future sleep;
    tn_interval_future tick;
    tn_timeout_future timeout;
} futures;

static tn_interval interval;
static tn_notify_future never;
static tn_future *only_branch;
static tn_select_future selection;

static void all_init(void)
{
    tn_barrier_init(&all.barrier, 1);
    tn_semaphore_init(&all.semaphore, 1);
    tt_check(tn_mpsc_create(&all.mpsc, sizeof all.element, 4, NULL) == 0);
    tt_check(tn_broadcast_create(&all.broadcast, sizeof all.element, 4, NULL) == 0);
    tn_broadcast_subscribe(all.broadcast, &all.listener);
    tt_check(tn_watch_create(&all.watch, sizeof all.element, &all.element, NULL) == 0);
    tn_watch_subscribe(all.watch, &all.watcher);
    tt_check(tn_cancel_token_create(&all.token, NULL, NULL) == 0);
    tn_cancel_token_cancel(all.token);
}

static void all_fini(void)
{
    tn_mpsc_release_sender(all.mpsc);
    tn_mpsc_release_receiver(all.mpsc);
    tn_broadcast_unsubscribe(&all.listener);
    tn_broadcast_release_sender(all.broadcast);
    tn_watch_unsubscribe(&all.watcher);
    tn_watch_release_sender(all.watch);
    tn_cancel_token_release(all.token);
}

/* --- The operations: what makes it ready; the call; its future; what undoes it ---------------------------------------------- */

typedef struct {
    const char *name;
    void (*ready)(void);
    int (*call)(void);
    tn_future *(*begin)(void);
    void (*undo)(void);
} operation;

static void nothing(void) {}

static int call_mutex(void)
{
    return tn_mutex_lock(&all.mutex);
}
static void undo_mutex(void)
{
    tn_mutex_unlock(&all.mutex);
}
static tn_future *begin_mutex(void)
{
    tn_mutex_lock_init(&futures.mutex, &all.mutex);
    return &futures.mutex.base;
}

static int call_read(void)
{
    return tn_rwlock_read(&all.lock);
}
static void undo_read(void)
{
    tn_rwlock_read_unlock(&all.lock);
}
static tn_future *begin_read(void)
{
    tn_rwlock_read_init(&futures.lock, &all.lock);
    return &futures.lock.base;
}

static int call_write(void)
{
    return tn_rwlock_write(&all.lock);
}
static void undo_write(void)
{
    tn_rwlock_write_unlock(&all.lock);
}
static tn_future *begin_write(void)
{
    tn_rwlock_write_init(&futures.lock, &all.lock);
    return &futures.lock.base;
}

static int call_semaphore(void)
{
    return tn_semaphore_acquire(&all.semaphore, 1);
}
static void undo_semaphore(void)
{
    tn_semaphore_release(&all.semaphore, 1);
}
static tn_future *begin_semaphore(void)
{
    tn_semaphore_acquire_init(&futures.semaphore, &all.semaphore, 1);
    return &futures.semaphore.base;
}

static void ready_notify(void)
{
    tn_notify_one(&all.notify);
}
static int call_notify(void)
{
    return tn_notify_wait(&all.notify);
}
static tn_future *begin_notify(void)
{
    tn_notify_wait_init(&futures.notify, &all.notify);
    return &futures.notify.base;
}

static int call_barrier(void)
{
    return tn_barrier_wait(&all.barrier) == TN_BARRIER_LEADER ? 0 : -1;
}
static tn_future *begin_barrier(void)
{
    tn_barrier_wait_init(&futures.barrier, &all.barrier);
    return &futures.barrier.base;
}

static int call_group(void)
{
    return tn_wait_group_wait(&all.group);
}
static tn_future *begin_group(void)
{
    tn_wait_group_wait_init(&futures.group, &all.group);
    return &futures.group.base;
}

static void ready_oneshot(void)
{
    tt_check(tn_oneshot_create(&all.oneshot, sizeof all.element, NULL) == 0);
    tt_check(tn_oneshot_send(all.oneshot, &all.element) == 0);
}
static int call_oneshot(void)
{
    return tn_oneshot_recv(all.oneshot, &all.element);
}
static void undo_oneshot(void)
{
    tn_oneshot_release(all.oneshot);
}
static tn_future *begin_oneshot(void)
{
    tn_oneshot_recv_init(&futures.oneshot, all.oneshot, &all.element);
    return &futures.oneshot.base;
}

static int call_send(void)
{
    return tn_mpsc_send(all.mpsc, &all.element);
}
static void undo_send(void)
{
    tt_check(tn_mpsc_try_recv(all.mpsc, &all.element) == 0);
}
static tn_future *begin_send(void)
{
    tn_mpsc_send_init(&futures.send, all.mpsc, &all.element);
    return &futures.send.base;
}

static void ready_recv(void)
{
    tt_check(tn_mpsc_try_send(all.mpsc, &all.element) == 0);
}
static int call_recv(void)
{
    return tn_mpsc_recv(all.mpsc, &all.element);
}
static tn_future *begin_recv(void)
{
    tn_mpsc_recv_init(&futures.recv, all.mpsc, &all.element);
    return &futures.recv.base;
}

static void ready_broadcast(void)
{
    tt_check(tn_broadcast_send(all.broadcast, &all.element) == 1);
}
static int call_broadcast(void)
{
    return tn_broadcast_recv(&all.listener, &all.element, NULL);
}
static tn_future *begin_broadcast(void)
{
    tn_broadcast_recv_init(&futures.broadcast, &all.listener, &all.element, NULL);
    return &futures.broadcast.base;
}

static void ready_watch(void)
{
    tn_watch_send(all.watch, &all.element);
}
static int call_watch(void)
{
    return tn_watch_changed(&all.watcher);
}
static tn_future *begin_watch(void)
{
    tn_watch_changed_init(&futures.watch, &all.watcher);
    return &futures.watch.base;
}

static int call_token(void)
{
    return tn_cancel_token_wait(all.token);
}
static tn_future *begin_token(void)
{
    tn_cancel_token_wait_init(&futures.token, all.token);
    return &futures.token.base;
}

static int call_sleep(void)
{
    tn_sleep_init(&futures.sleep, 1);
    return tn_await(&futures.sleep.base);
}
static tn_future *begin_sleep(void)
{
    tn_sleep_init(&futures.sleep, 1);
    return &futures.sleep.base;
}

static void ready_tick(void)
{
    tn_interval_init(&interval, 1, TN_MS, TN_MISSED_BURST);
}
static int call_tick(void)
{
    return tn_interval_tick(&interval, NULL);
}
static tn_future *begin_tick(void)
{
    tn_interval_tick_init(&futures.tick, &interval);
    return &futures.tick.base;
}

static tn_future *begin_select(void)
{
    only_branch = begin_notify();
    tn_select_init(&selection, &only_branch, 1);
    return &selection.base;
}
static int call_select(void)
{
    return tn_await(begin_select());
}

static void undo_select(void)
{
    drop(only_branch);
}

/* A timeout of a future that is never ready: the deadline is over at once. */
static tn_future *begin_timeout(void)
{
    tn_notify_wait_init(&never, &all.notify);
    tn_timeout_init(&futures.timeout, &never.base, 1);
    return &futures.timeout.base;
}
static int call_timeout(void)
{
    return tn_await(begin_timeout()) == TN_ETIMEDOUT ? 0 : -1;
}

static const operation operations[] = {
    {"mutex", nothing, call_mutex, begin_mutex, undo_mutex},
    {"read lock", nothing, call_read, begin_read, undo_read},
    {"write lock", nothing, call_write, begin_write, undo_write},
    {"semaphore", nothing, call_semaphore, begin_semaphore, undo_semaphore},
    {"notify", ready_notify, call_notify, begin_notify, nothing},
    {"barrier", nothing, call_barrier, begin_barrier, nothing},
    {"wait group", nothing, call_group, begin_group, nothing},
    {"oneshot", ready_oneshot, call_oneshot, begin_oneshot, undo_oneshot},
    {"send", nothing, call_send, begin_send, undo_send},
    {"receive", ready_recv, call_recv, begin_recv, nothing},
    {"broadcast", ready_broadcast, call_broadcast, begin_broadcast, nothing},
    {"watch", ready_watch, call_watch, begin_watch, nothing},
    {"token", nothing, call_token, begin_token, nothing},
    {"sleep", nothing, call_sleep, begin_sleep, nothing},
    {"interval", ready_tick, call_tick, begin_tick, nothing},
    {"select", ready_notify, call_select, begin_select, undo_select},
    {"timeout", nothing, call_timeout, begin_timeout, nothing},
};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

/* --- Other tasks run -------------------------------------------------------------------------------------------------------- */

static const operation *tried;

static void call_tried(void *arg)
{
    (void)arg;
    tried->ready();
    tt_check(tried->call() == 0);
    tried->undo();
}

static void *call_all(void *arg)
{
    all_init();
    for (tried = operations; tried < operations + OPERATIONS; tried++)
        tt_others_run(call_tried, NULL);
    all_fini();
    return arg;
}

Test(budget, calls_that_are_ready_let_others_run)
{
    run_on_one_worker(call_all, NULL);
}

/* In a stackless task. Polled again, it continues with the operation whose future it has not finished. */
typedef struct {
    tn_future base;
    tn_future *pending; /* has returned TN_PENDING because of the budget */
    int times;
} greedy;

/* One operation. Returns false when the budget of this run is used up. */
static bool poll_once(greedy *self, tn_waker *waker)
{
    int rc;

    if (self->pending == NULL) {
        tried->ready();
        self->pending = tried->begin();
    }
    rc = tn_future_poll(self->pending, waker);
    if (rc == TN_PENDING)
        return false;
    tt_check(rc == 0 || rc == TN_BARRIER_LEADER || rc == TN_ETIMEDOUT);
    tn_future_drop(self->pending);
    self->pending = NULL;
    tried->undo();
    return true;
}

static int greedy_poll(tn_future *base, tn_waker *waker)
{
    greedy *self = (greedy *)(void *)base;

    if (self->pending != NULL) {
        tt_check(self->times < BUDGET);
        tt_check(poll_once(self, waker)); /* what the budget refused is still ready */
        if (++tried == operations + OPERATIONS)
            return 0;
    }
    for (self->times = 0; poll_once(self, waker); self->times++)
        tt_check(self->times <= BUDGET);
    return TN_PENDING; /* the task has already been woken */
}

static void greedy_drop(tn_future *self)
{
    (void)self;
}

static void *poll_all(void *arg)
{
    static const tn_future_ops ops = {greedy_poll, greedy_drop};
    greedy future = {.base = {&ops}};
    tn_task *task;

    (void)arg;
    all_init();
    tried = operations;
    tt_check(tn_spawn_future(NULL, NULL, &task, &future.base) == 0);
    tt_join(task);
    all_fini();
    return NULL;
}

Test(budget, polls_that_are_ready_let_others_run)
{
    run_on_one_worker(poll_all, NULL);
}

/* --- A task that makes itself ready ----------------------------------------------------------------------------------------- */

static struct {
    tn_mpsc *channel;
    bool stop;
    unsigned long turns;
} endless;

static void *stop_it(void *arg)
{
    (void)arg;
    endless.stop = true;
    return NULL;
}

/* In the middle of its run the endless task makes another task runnable. That one must run. */
static void count_turn(void)
{
    if (endless.turns++ == 10)
        tt_check(tn_spawn(NULL, stop_it, NULL) == 0);
}

static void *feed_oneself(void *arg)
{
    (void)arg;
    while (!endless.stop) {
        uint64_t element = 1;
        tt_check(tn_mpsc_send(endless.channel, &element) == 0);
        tt_check(tn_mpsc_recv(endless.channel, &element) == 0);
        count_turn();
    }
    return NULL;
}

typedef struct {
    tn_future base;
    tn_mpsc_send_future send;
    tn_mpsc_recv_future recv;
    uint64_t element;
    bool sending;
} feeding_future;

static int feeding_poll(tn_future *self, tn_waker *waker)
{
    feeding_future *future = (feeding_future *)(void *)self;

    while (!endless.stop) {
        tn_future *next = future->sending ? &future->send.base : &future->recv.base;
        int rc = next->ops->poll(next, waker);
        if (rc != 0)
            return rc;
        drop(next);
        future->sending = !future->sending;
        if (future->sending)
            tn_mpsc_send_init(&future->send, endless.channel, &future->element);
        else
            tn_mpsc_recv_init(&future->recv, endless.channel, &future->element);
        count_turn();
    }
    return 0;
}

static void feeding_drop(tn_future *self)
{
    (void)self;
}

static void *run_an_endless_fiber(void *arg)
{
    tn_task *task;

    (void)arg;
    tt_check(tn_mpsc_create(&endless.channel, sizeof(uint64_t), 4, NULL) == 0);
    task = tt_spawn(feed_oneself, NULL);
    tt_join(task);
    tt_check(endless.turns > 10 && endless.turns <= TURNS_MAX);
    tn_mpsc_release_sender(endless.channel);
    tn_mpsc_release_receiver(endless.channel);
    return NULL;
}

static void *run_an_endless_future(void *arg)
{
    static const tn_future_ops ops = {feeding_poll, feeding_drop};
    feeding_future future = {.base = {&ops}, .sending = true};
    tn_task *task;

    (void)arg;
    tt_check(tn_mpsc_create(&endless.channel, sizeof(uint64_t), 4, NULL) == 0);
    tn_mpsc_send_init(&future.send, endless.channel, &future.element);
    tt_check(tn_spawn_future(NULL, NULL, &task, &future.base) == 0);
    tt_join(task);
    tt_check(endless.turns > 10 && endless.turns <= TURNS_MAX);
    tn_mpsc_release_sender(endless.channel);
    tn_mpsc_release_receiver(endless.channel);
    return NULL;
}

Test(budget, an_endless_fiber_starves_nobody)
{
    run_on_one_worker(run_an_endless_fiber, NULL);
}

Test(budget, an_endless_future_starves_nobody)
{
    run_on_one_worker(run_an_endless_future, NULL);
}
