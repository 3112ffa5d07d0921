/* SPDX-License-Identifier: MIT */
/* tn_signal: tasks wait for signals of the operating system. The handler is the process's; signal_table.h has the protocol
 * between it and the waiters. */
#include "future/signal.h"

#include <tn/signal.h>

#include "future/signal_table.h"
#include "os/os_sigaction.h"
#include "os/os_signal.h"
#include "sched/runtime.h"

struct tn_signal {
    tn_allocator allocator;
    tni_signal_listener listener;
};

static tni_signal_table table; /* its lock is tni_os_sigaction_lock() */

void tni_signal_in_child(void)
{
    tni_aptr_store(&table.first, NULL, TNI_RELAXED); /* relaxed, both: there is one thread */
    tni_a32_store(&table.running, 0, TNI_RELAXED);
}

static bool deliver(int number)
{
    return tni_signal_table_deliver(&table, number);
}

/* --- Opening and closing ---------------------------------------------------------------------------------------------------- */

static void uninstall_locked(uint64_t set)
{
    for (int number = 1; number <= TNI_OS_SIGNAL_MAX; number++)
        if ((set & tni_signal_bit(number)) != 0)
            tni_os_signal_uninstall_locked(number);
}

static int install_locked(uint64_t set)
{
    for (int number = 1; number <= TNI_OS_SIGNAL_MAX; number++) {
        int rc = (set & tni_signal_bit(number)) != 0 ? tni_os_signal_install_locked(number, deliver) : 0;
        if (rc != 0) {
            uninstall_locked(set & (tni_signal_bit(number) - 1));
            return rc;
        }
    }
    return 0;
}

/* The listener is in the list before a handler looks for it. */
static int listen_to(tni_signal_listener *listener)
{
    int rc;

    tni_os_sigaction_lock();
    tni_signal_table_add(&table, listener);
    rc = install_locked(listener->set);
    if (rc != 0)
        tni_signal_table_unlink(&table, listener);
    tni_os_sigaction_unlock();
    if (rc != 0)
        tni_signal_table_wait(&table);
    return rc;
}

/* Returns TN_EINVAL for a number that tni_os_signal_install_locked cannot be asked for. */
static int read_set(uint64_t *set, const int *numbers, size_t count)
{
    *set = 0;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] < 1 || numbers[i] > TNI_OS_SIGNAL_MAX)
            return TN_EINVAL;
        *set |= tni_signal_bit(numbers[i]);
    }
    return *set != 0 ? 0 : TN_EINVAL;
}

int tn_signal_open(tn_signal **out, tn_runtime *runtime, const int *numbers, size_t count)
{
    tn_signal *signals;
    uint64_t set;
    int rc = read_set(&set, numbers, count);

    *out = NULL;
    if (runtime == NULL)
        runtime = tn_runtime_current();
    if (rc != 0 || runtime == NULL)
        return TN_EINVAL;
    signals = tni_alloc(&runtime->allocator, sizeof *signals, _Alignof(tn_signal));
    if (signals == NULL)
        return TN_ENOMEM;
    signals->allocator = runtime->allocator;
    signals->listener.set = set;
    tni_a64_init(&signals->listener.pending, 0);
    tni_aptr_init(&signals->listener.next, NULL);
    rc = tn_async_open(&signals->listener.async, runtime);
    if (rc == 0) {
        rc = listen_to(&signals->listener);
        if (rc != 0)
            tn_async_close(signals->listener.async);
    }
    if (rc != 0)
        tni_free(&runtime->allocator, signals, sizeof *signals);
    else
        *out = signals;
    return rc;
}

void tn_signal_close(tn_signal *signals)
{
    tn_allocator allocator;

    if (signals == NULL)
        return;
    allocator = signals->allocator;
    tni_os_sigaction_lock();
    uninstall_locked(signals->listener.set);
    tni_signal_table_unlink(&table, &signals->listener);
    tni_os_sigaction_unlock();
    tni_signal_table_wait(&table);
    tn_async_close(signals->listener.async);
    tni_free(&allocator, signals, sizeof *signals);
}

/* --- Waiting ---------------------------------------------------------------------------------------------------------------- */

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_signal_future *future = tni_container_of(self, tn_signal_future, base);
    int rc;

    do {
        rc = tni_signal_listener_take(&future->signals->listener);
        if (rc == 0)
            rc = future->async.base.ops->poll(&future->async.base, waker);
    } while (rc == 0);
    return rc;
}

static void wait_drop(tn_future *self)
{
    tn_signal_future *future = tni_container_of(self, tn_signal_future, base);

    future->async.base.ops->drop(&future->async.base);
}

void tn_signal_wait_init(tn_signal_future *future, tn_signal *signals)
{
    static const tn_future_ops ops = {.poll = wait_poll, .drop = wait_drop, .name = "signal"};

    future->base.ops = &ops;
    future->signals = signals;
    tn_async_wait_init(&future->async, signals->listener.async);
}

int tn_signal_wait(tn_signal *signals)
{
    tn_signal_future future;

    tn_signal_wait_init(&future, signals);
    return tn_await(&future.base);
}
