/* SPDX-License-Identifier: MIT */
/* Functions of the C library that wait, open sockets or start threads: refused inside a run. Clocks, random bytes and
 * socketpair: of the simulated machine inside a run. The definitions here take precedence over the C library's; outside of a run
 * they call those. */
#include "sim/sim_refuse.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "sim/os_socket_sim.h"
#include "sim/sim_choice.h"
#include "sim/sim_file.h"
#include "sim/sim_thread.h"
#include "sim/sim_time.h"

const int tni_sim_refuse_calls = 1;

void tni_sim_refuse(const char *name)
{
    tni_sim_run_fail("refused", "%s: the simulated machine does not have it", name);
}

/* What `name` would be without this file. */
static void *original(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (function == NULL)
        tni_sim_run_fail("refused", "%s: the C library does not have it", name);
    return function;
}

/* Defines NAME: refused inside a run. */
#define REFUSED(type, name, parameters, arguments) \
    TN_API type name parameters; \
    type name parameters \
    { \
        type(*next) parameters; \
        if (tni_sim_run_is_on()) \
            tni_sim_refuse(#name); \
        *(void **)(void *)&next = original(#name); \
        return next arguments; \
    }

#pragma GCC diagnostic ignored "-Wredundant-decls"

/* Threads, and waiting for them. */
REFUSED(int, pthread_create,
        (pthread_t *restrict thread, const pthread_attr_t *restrict attr, void *(*entry)(void *), void *restrict arg),
        (thread, attr, entry, arg))
REFUSED(int, pthread_cond_wait, (pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex), (cond, mutex))
REFUSED(int, pthread_cond_timedwait,
        (pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex, const struct timespec *restrict until),
        (cond, mutex, until))
REFUSED(int, sem_wait, (sem_t * semaphore), (semaphore))

/* Sleeping. */
REFUSED(unsigned, sleep, (unsigned seconds), (seconds))
REFUSED(int, usleep, (useconds_t us), (us))
REFUSED(int, nanosleep, (const struct timespec *wanted, struct timespec *left), (wanted, left))
REFUSED(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left),
        (clock, flags, wanted, left))
REFUSED(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
REFUSED(int, select,
        (int count, fd_set *restrict reads, fd_set *restrict writes, fd_set *restrict errors, struct timeval *restrict timeout),
        (count, reads, writes, errors, timeout))
REFUSED(int, epoll_wait, (int epoll, struct epoll_event *events, int max, int timeout), (epoll, events, max, timeout))

/* The network. */
REFUSED(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
REFUSED(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
REFUSED(int, accept, (int fd, struct sockaddr *restrict address, socklen_t *restrict length), (fd, address, length))
REFUSED(int, accept4, (int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags),
        (fd, address, length, flags))

/* --- Reading and writing simulated files ------------------------------------------------------------------------------------ */

/* Defines NAME: refused for the files of the simulated machine. Real files are left to the kernel. */
#define REFUSED_FILE(type, name, parameters, arguments) \
    TN_API type name parameters; \
    type name parameters \
    { \
        static type(*next) parameters; \
        if (fd >= TNI_SIM_FILE_FIRST && tni_sim_run_is_on()) \
            tni_sim_refuse(#name); \
        if (next == NULL) \
            *(void **)(void *)&next = original(#name); \
        return next arguments; \
    }

REFUSED_FILE(ssize_t, read, (int fd, void *buf, size_t size), (fd, buf, size))
REFUSED_FILE(ssize_t, write, (int fd, const void *buf, size_t size), (fd, buf, size))
REFUSED_FILE(ssize_t, recv, (int fd, void *buf, size_t size, int flags), (fd, buf, size, flags))
REFUSED_FILE(ssize_t, send, (int fd, const void *buf, size_t size, int flags), (fd, buf, size, flags))

/* The declarations that follow make the functions visible outside of the library. */
/* NOLINTBEGIN(readability-redundant-declaration) */

/* --- Pairs of sockets, and closing ------------------------------------------------------------------------------------------ */

TN_API int socketpair(int domain, int type, int protocol, int fds[2]);
int socketpair(int domain, int type, int protocol, int fds[2])
{
    int (*next)(int, int, int, int[2]);
    int rc;

    if (!tni_sim_run_is_on()) {
        *(void **)(void *)&next = original("socketpair");
        return next(domain, type, protocol, fds);
    }
    rc = domain == AF_UNIX ? tni_os_socket_sim_pair(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), fds) : -EOPNOTSUPP;
    errno = -rc;
    return rc == 0 ? 0 : -1;
}

TN_API int close(int fd);
int close(int fd)
{
    int (*next)(int);

    if (tni_sim_run_is_on() && fd >= TNI_SIM_FILE_FIRST) {
        tni_sim_file_close(fd);
        return 0;
    }
    *(void **)(void *)&next = original("close");
    return next(fd);
}

/* --- Clocks and random bytes ------------------------------------------------------------------------------------------------ */

static uint64_t calendar_ns(void)
{
    return TNI_SIM_TIME_CALENDAR_S * 1000000000 + (tni_sim_time_ns() - TNI_SIM_TIME_BEGIN_NS);
}

TN_API int clock_gettime(clockid_t clock, struct timespec *out);
int clock_gettime(clockid_t clock, struct timespec *out)
{
    int (*next)(clockid_t, struct timespec *);
    uint64_t ns;

    if (!tni_sim_run_is_on()) {
        *(void **)(void *)&next = original("clock_gettime");
        return next(clock, out);
    }
    tni_sim_thread_clock();
    ns = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI ? calendar_ns() : tni_sim_time_ns();
    out->tv_sec = (time_t)(ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

TN_API int gettimeofday(struct timeval *restrict out, void *restrict zone);
int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

TN_API time_t time(time_t *out);
time_t time(time_t *out)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

TN_API ssize_t getrandom(void *buf, size_t size, unsigned flags);
ssize_t getrandom(void *buf, size_t size, unsigned flags)
{
    ssize_t (*next)(void *, size_t, unsigned);
    char *to = buf;

    if (!tni_sim_run_is_on()) {
        *(void **)(void *)&next = original("getrandom");
        return next(buf, size, flags);
    }
    for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
        uint64_t bits = tni_sim_choice_bits(TNI_SIM_SEED);
        memcpy(to + done, &bits, size - done < sizeof bits ? size - done : sizeof bits);
    }
    return (ssize_t)size;
}

/* NOLINTEND(readability-redundant-declaration) */
