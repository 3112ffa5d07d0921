/* SPDX-License-Identifier: MIT */
/* Debug builds abort in a function that needs a lock, or a right of one thread, if the calling thread does not hold it. */
#include <signal.h>
#include <string.h>

#include "base/held.h"
#include "base/thread.h"
#include "support/child.h"
#include "support/runtime.h"

#ifdef NDEBUG
enum { CHECKS = 0 };
#else
enum { CHECKS = 1 };
#endif

/* In a debug build fn aborts with this message. Otherwise it returns. */
static void expect_refused(void (*fn)(void *), const char *message)
{
    child_end end;

    if (!CHECKS)
        return;
    end = child_run(fn, NULL);
    cr_assert(child_killed_by(end, SIGABRT), "%s: %s", message, end.text);
    cr_assert_not_null(strstr(end.text, message), "%s", end.text);
}

/* --- The record of a thread ----------------------------------------------------------------------------------------------- */

static tni_os_mutex lock;
static tni_os_mutex other;

static void needs_lock(void *arg)
{
    (void)arg;
    tni_os_mutex_assert_held(&lock);
}

static void needs_released_lock(void *arg)
{
    (void)arg;
    tni_os_mutex_lock(&lock);
    tni_os_mutex_lock(&other);
    tni_os_mutex_unlock(&lock);
    needs_lock(NULL);
}

static void locks_twice(void *arg)
{
    (void)arg;
    tni_os_mutex_lock(&lock);
    tni_os_mutex_lock(&lock);
}

static void unlocks_unheld(void *arg)
{
    (void)arg;
    tni_os_mutex_unlock(&lock);
}

static void holds_too_much(void *arg)
{
    for (char object[64], *next = object; next < object + sizeof object; next++)
        tni_held_add(next);
    (void)arg;
}

static void *call_needs_lock(void *arg)
{
    needs_lock(arg);
    return NULL;
}

/* The holder is another thread. */
static void needs_lock_of_another(void *arg)
{
    tni_thread thread;

    tni_os_mutex_lock(&lock);
    cr_assert_eq(tni_thread_start(&thread, call_needs_lock, arg), 0);
    tni_thread_join(&thread);
}

static void init_locks(void)
{
    tni_os_mutex_init(&lock);
    tni_os_mutex_init(&other);
}

TestSuite(held, .init = init_locks);

Test(held, a_held_lock_is_found)
{
    tni_os_mutex_lock(&lock);
    needs_lock(NULL);
    tni_os_mutex_lock(&other);
    needs_lock(NULL);
    tni_os_mutex_unlock(&other);
    needs_lock(NULL);
    tni_os_mutex_unlock(&lock);
}

Test(held, a_missing_lock_aborts)
{
    expect_refused(needs_lock, "needs_lock: the calling thread does not hold the lock");
    expect_refused(needs_released_lock, "does not hold the lock");
    expect_refused(needs_lock_of_another, "does not hold the lock");
}

Test(held, a_misused_lock_aborts)
{
    expect_refused(locks_twice, "a thread locks a mutex that it holds");
    expect_refused(unlocks_unheld, "a thread gives back what it does not hold");
    expect_refused(holds_too_much, "a thread holds too many locks");
}
