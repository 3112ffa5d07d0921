/* SPDX-License-Identifier: MIT */
/* The twins of os/cpus.c, os/os_sigaction.c, os/os_signal.c, os/os_sleeper.c, os/os_thread_signal.c, and fiber/stack_overflow.c:
 * the number of processors and the CPU quota, which the seed chooses; no signals, so no listeners and no stacks of stuck tasks;
 * no report of an overflow, which ends the run by SIGSEGV. */
#include <errno.h>

#include "fiber/stack_overflow.h"
#include "os/cpus.h"
#include "os/os_sigaction.h"
#include "os/os_signal.h"
#include "os/os_sleeper.h"
#include "os/os_thread_signal.h"
#include "sim/sim_choice.h"

unsigned tni_cpus_usable(void)
{
    return 1 + tni_sim_choice_below(TNI_SIM_SEED, 4);
}

/* Another one at each call. */
bool tni_cpus_quota_at(const char *root, unsigned *quota)
{
    (void)root;
    *quota = tni_sim_choice_below(TNI_SIM_SEED, 4);
    return true;
}

bool tni_cpus_may_use(const unsigned *cpus, size_t count)
{
    (void)cpus, (void)count;
    return true;
}

bool tni_cpus_bind(const unsigned *cpus, size_t count)
{
    (void)cpus, (void)count;
    return true;
}

void tni_os_sigaction_in_child(void) {}
void tni_os_sigaction_lock(void) {}
void tni_os_sigaction_unlock(void) {}

int tni_os_signal_install_locked(int number, tni_os_signal_fn fn)
{
    (void)number;
    (void)fn;
    return -ENOTSUP;
}

void tni_os_signal_uninstall_locked(int number)
{
    (void)number;
}

int tni_os_thread_signal_install(int number, tni_os_thread_signal_fn fn)
{
    (void)number;
    (void)fn;
    return -ENOTSUP;
}

void tni_os_thread_signal_uninstall(int number)
{
    (void)number;
}

void tni_os_thread_signal_open(int number)
{
    (void)number;
}

bool tni_os_thread_signal_send(int number, int thread_id)
{
    (void)number;
    (void)thread_id;
    return false;
}

/* A simulated thread that waits is not one that sleeps in the kernel. */
bool tni_os_sleeper_find(int id, tni_os_sleeper *out)
{
    (void)id;
    (void)out;
    return false;
}

bool tni_os_sleeper_still(int id, const tni_os_sleeper *at)
{
    (void)id;
    (void)at;
    return false;
}

int tni_stack_overflow_install(tni_stack_overflow_find find)
{
    (void)find;
    return 0;
}

void tni_stack_overflow_uninstall(void) {}

int tni_stack_overflow_thread_init(tni_stack_overflow_thread *thread)
{
    thread->memory = NULL;
    thread->size = 0;
    return 0;
}

void tni_stack_overflow_thread_fini(tni_stack_overflow_thread *thread)
{
    (void)thread;
}
