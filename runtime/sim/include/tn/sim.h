/* SPDX-License-Identifier: MIT */
/* tournant_sim: runs a program that uses tournant on a simulated machine. Threads, time, network and chance come from a seed.
 *
 * A program is linked with the library tournant_sim instead of tournant. All other headers are the same. Its main function
 * calls tn_sim_main with a function that creates a runtime, starts servers and clients in it, and checks what they did. That
 * function is run once for each seed, each time in a new process. The same seed gives the same run.
 *
 * What a run may do: all calls of tournant, except those on files (tn/fs.h). Sockets connect to listeners of the same run.
 * Time passes only by calls of the library, and jumps when all threads sleep. Calls of the C library that wait, open sockets or
 * start threads are refused: the run fails with the name of the call. Clocks of the C library are virtual. Not noticed are
 * system calls made by other means, reads and writes of real files, and signals.
 *
 * One thread of the process runs all simulated threads. So thread-local variables of the program are shared by all of them. */
#ifndef TN_SIM_H
#define TN_SIM_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The function that is simulated. */
typedef void (*tn_sim_fn)(void *arg);

/* Reads the options of the command line, and runs `fn(arg)` for each seed; `--help` lists the options. Returns the exit status
 * for main: 0 if no run failed, 1 if one did, 2 if an option is wrong.
 *
 * A run fails if it ends by a signal or by exit, if tn_sim_check fails, or if no thread can continue. It also fails if it leaves
 * threads, sockets or memory of the library behind. Then a line is printed with which the run can be repeated.
 *
 * Suspends: until all runs have ended; the calling thread is blocked.
 * Callable from: the main thread, while the process has no other one.
 * Ownership: `arg` is borrowed.
 * Errors: none beside the exit status.
 * Cancellation: no. */
TN_API int tn_sim_main(int argc, char **argv, tn_sim_fn fn, void *arg);

/* Returns the seed of this run.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_sim_seed(void);

/* Returns a number below `count`, chosen by the seed. `count`: at least 1.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API uint32_t tn_sim_choose(uint32_t count);

/* Returns a number of the test, such as how many clients there are: `usual`, or what `--size NAME=NUMBER` says. A run that
 * fails is tried again with smaller numbers. `name`: at most 23 characters; at most 8 names.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: `name` is borrowed for the call.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_sim_size(const char *name, uint64_t usual);

/* Adds a line to the trace, which `--trace` prints.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: the arguments are borrowed for the call.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails the run: prints the place and `message`, and ends the process of the run.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: the arguments are borrowed for the call.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_sim_fail(const char *file, int line, const char *message) __attribute__((noreturn));

/* Fails the run unless `condition` holds. */
#define tn_sim_check(condition) ((condition) ? (void)0 : tn_sim_fail(__FILE__, __LINE__, #condition))

/* Faults that a run may meet. None is met unless the program says that it survives it. Short reads and writes, delays,
 * interrupted sleeps and small buffers are met in any case, because they change nothing that the library promises. */
typedef enum tn_sim_fault {
    TN_SIM_FAULT_RESET = 1u << 0,      /* connections are reset, at any byte */
    TN_SIM_FAULT_HALF_OPEN = 1u << 1,  /* a peer disappears and sends neither data nor an end */
    TN_SIM_FAULT_REFUSE = 1u << 2,     /* connections are refused */
    TN_SIM_FAULT_BLACK_HOLE = 1u << 3, /* connection attempts get no response, for 1 s to 127 s */
    TN_SIM_FAULT_BACKLOG = 1u << 4,    /* the backlog is full: an attempt takes 1 s and longer */
    TN_SIM_FAULT_ABORT = 1u << 5,      /* tn_accept skips a connection that has failed */
    TN_SIM_FAULT_FILES = 1u << 6,      /* TN_EMFILE */
    TN_SIM_FAULT_BUFFERS = 1u << 7,    /* -ENOBUFS */
    TN_SIM_FAULT_NAME = 1u << 8,       /* names are not resolved for now */
    TN_SIM_FAULT_ALLOC = 1u << 9,      /* allocations by the default allocator fail */
    TN_SIM_FAULT_MAP = 1u << 10,       /* memory for stacks cannot be mapped */
    TN_SIM_FAULT_THREAD = 1u << 11,    /* threads cannot be started */
    TN_SIM_FAULT_CALL = 1u << 12,      /* any call of the operating system that can fail does */
} tn_sim_fault;

/* Sets which faults the run may meet from now on: any of tn_sim_fault, joined by `|`; 0: none. How often each is met, or
 * whether at all, depends on the seed.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_sim_allow_faults(unsigned faults);

/* A way between the clients of a host and that host. */
typedef struct tn_sim_link {
    size_t size;               /* of this struct; tn_sim_link_default() sets it */
    uint64_t latency_ns;       /* how long a segment travels */
    uint64_t jitter_ns;        /* at most so much longer, by the seed; segments of one connection keep their order */
    uint64_t bytes_per_second; /* 0: no limit */
} tn_sim_link;

/* Returns a link without latency and without a limit.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_sim_link tn_sim_link_default(void)
{
    tn_sim_link link = {sizeof(tn_sim_link), 0, 0, 0};
    return link;
}

/* Sets the link of a host. `host`: a numeric address without a port, such as "10.0.0.1", to which clients connect. Hosts without
 * a link have one that the seed chooses. It holds for segments that are sent from now on.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: the arguments are borrowed for the call.
 * Errors: TN_EINVAL: not an address, or an option is refused (tn/base.h). TN_ENOMEM: there are too many hosts.
 * Cancellation: no. */
TN_API int tn_sim_set_link(const char *host, const tn_sim_link *link);

/* Cuts the link of a host, or heals it. While it is cut, segments in both directions are lost, and are sent again with growing
 * pauses. A connection that gets no response for 15 minutes ends with TN_ETIME, and an attempt to connect after 127 s.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: `host` is borrowed for the call.
 * Errors: TN_EINVAL: not an address. TN_ENOMEM: there are too many hosts.
 * Cancellation: no. */
TN_API int tn_sim_cut_link(const char *host, bool cut);

/* Adds an address to a name, for tn_resolve and tn_tcp_connect. "localhost" is known.
 *
 * Suspends: no.
 * Callable from: anywhere in a run.
 * Ownership: the arguments are borrowed for the call.
 * Errors: TN_EINVAL: not an address, or a name of more than 63 characters. TN_ENOMEM: there are too many names.
 * Cancellation: no. */
TN_API int tn_sim_add_name(const char *name, const char *address);

#ifdef __cplusplus
}
#endif

#endif
