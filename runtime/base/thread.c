/* SPDX-License-Identifier: MIT */
/* The functions of thread.h for Linux: pthreads, futexes, clocks, random numbers. */
#include "base/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Adaptive: it spins for about a microsecond before it sleeps. The sections it protects take little more, and without spinning
 * a thread that spawns many tasks through the injector sleeps again and again (bench/README.md has the figures). */
void tni_os_mutex_init(tni_os_mutex *m)
{
    pthread_mutexattr_t kind;
    int rc = pthread_mutexattr_init(&kind);

    if (rc == 0)
        rc = pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (rc == 0)
        rc = pthread_mutex_init(&m->mutex, &kind);
    tni_assert(rc == 0, "pthread_mutex_init failed");
    (void)pthread_mutexattr_destroy(&kind);
}

void tni_os_mutex_fini(tni_os_mutex *m)
{
    int rc = pthread_mutex_destroy(&m->mutex);
    tni_assert(rc == 0, "a mutex is destroyed while it is held");
}

void tni_os_mutex_lock(tni_os_mutex *m)
{
    int rc;

    tni_held_assert_not(m, "a thread locks a mutex that it holds");
    rc = pthread_mutex_lock(&m->mutex);
    tni_assert(rc == 0, "pthread_mutex_lock failed");
    tni_held_add(m);
}

void tni_os_mutex_unlock(tni_os_mutex *m)
{
    int rc;

    tni_held_remove(m);
    rc = pthread_mutex_unlock(&m->mutex);
    tni_assert(rc == 0, "a thread unlocks a mutex that it does not hold");
}

/* Is there if the program runs under ThreadSanitizer. */
__attribute__((weak)) extern void __tsan_acquire(void *address);

enum { TSAN_WAIT_NS = 10 * 1000 * 1000 };

/* ThreadSanitizer calls a program's handler of a signal at the thread's next call that it intercepts. It does not intercept
 * syscall(2), so a thread that sleeps below would hold back the signals that the kernel gave it for as long as it sleeps. With
 * ThreadSanitizer the sleep is short, and nanosleep(2) after it is such a call. */
static uint64_t end_of_wait(uint64_t deadline_ns)
{
    uint64_t soon_ns;

    if (__tsan_acquire == NULL)
        return deadline_ns;
    (void)nanosleep(&(struct timespec){0}, NULL);
    soon_ns = tni_clock_ns() + TSAN_WAIT_NS;
    return soon_ns < deadline_ns ? soon_ns : deadline_ns;
}

void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns)
{
    uint64_t end_ns = end_of_wait(deadline_ns);
    struct timespec until = {
        .tv_sec = (time_t)(end_ns / UINT64_C(1000000000)),
        .tv_nsec = (long)(end_ns % UINT64_C(1000000000)),
    };
    /* WAIT_BITSET, because its time is absolute (CLOCK_MONOTONIC). After EAGAIN, EINTR and ETIMEDOUT the caller checks the word
     * again. */
    (void)syscall(SYS_futex, &word->value, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                  end_ns == TNI_FOREVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void tni_futex_wake(tni_a32 *word, int count)
{
    (void)syscall(SYS_futex, &word->value, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

void tni_thread_mask_get(tni_thread_mask *out)
{
    int rc = pthread_sigmask(SIG_SETMASK, NULL, &out->set);
    tni_assert(rc == 0, "pthread_sigmask failed");
}

void tni_thread_mask_set(const tni_thread_mask *mask)
{
    int rc = pthread_sigmask(SIG_SETMASK, &mask->set, NULL);
    tni_assert(rc == 0, "pthread_sigmask failed");
}

int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg)
{
    sigset_t blocked;
    sigset_t before;
    int rc;

    /* The new thread inherits this mask. If it set the mask itself, a signal could arrive before that. Synchronous signals stay
     * unblocked: they report a fault of the running code. */
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGTRAP);
    sigdelset(&blocked, SIGSYS);
    sigdelset(&blocked, SIGPROF);
    rc = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    tni_assert(rc == 0, "pthread_sigmask failed");
    rc = pthread_create(&out->id, NULL, main, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int tni_thread_at_fork(void (*in_child)(void))
{
    return -pthread_atfork(NULL, NULL, in_child);
}

void tni_thread_stack(void **base, size_t *size)
{
    pthread_attr_t attributes;

    *base = NULL;
    *size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    (void)pthread_attr_getstack(&attributes, base, size);
    (void)pthread_attr_destroy(&attributes);
}

void tni_thread_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name); /* fails if the name is too long */
}

void tni_thread_join(tni_thread *thread)
{
    int rc = pthread_join(thread->id, NULL);
    tni_assert(rc == 0, "pthread_join failed");
}

void tni_thread_detach(tni_thread *thread)
{
    int rc = pthread_detach(thread->id);
    tni_assert(rc == 0, "pthread_detach failed");
}

void tni_thread_clock_init(tni_thread_clock *clock)
{
    int rc = pthread_getcpuclockid(pthread_self(), &clock->id);
    /* No other clock would do: the thread that reads it is another one. */
    tni_assert(rc == 0, "pthread_getcpuclockid failed");
}

uint64_t tni_thread_clock_ns(const tni_thread_clock *clock)
{
    struct timespec now;

    if (clock_gettime(clock->id, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void tni_thread_yield(void)
{
    (void)sched_yield();
}

/* The most processors that Linux can be built for. */
enum { CPUS_MAX = 8192, CPU_WORD = 8 * sizeof(unsigned long) };

typedef struct {
    unsigned long words[CPUS_MAX / CPU_WORD];
} cpu_mask;

/* Returns 0 when the thread runs on that processor; EINVAL: no thread of the process may use it; or another error. */
static int visit(unsigned cpu)
{
    cpu_mask mask = {{0}};

    mask.words[cpu / CPU_WORD] = 1UL << cpu % CPU_WORD;
    return sched_setaffinity(0, sizeof mask, (const cpu_set_t *)(const void *)&mask) == 0 ? 0 : errno;
}

/* The kernel returns from the first call when the thread runs on that processor, so the thread that ran there is off it. Its
 * switch is a full barrier, and so is the one by which it runs again. A thread that has moved from a processor that is still to
 * come was switched too. */

bool tni_thread_visit_cpus(void)
{
    cpu_mask before = {{0}};
    /* The call itself, not the C library's function: it returns how many bytes the kernel's masks have. */
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof before, &before);
    int failure = 0;

    for (unsigned cpu = 0; failure == 0 && cpu < (unsigned long)(bytes > 0 ? bytes : 0) * 8; cpu++) {
        int rc = visit(cpu);
        failure = rc == EINVAL ? 0 : rc;
    }
    if (bytes > 0)
        (void)sched_setaffinity(0, sizeof before, (const cpu_set_t *)(const void *)&before);
    return bytes > 0 && failure == 0;
}

uint64_t tni_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t tni_random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = tni_clock_ns();
    return seed | 1; /* xorshift never leaves 0 */
}
