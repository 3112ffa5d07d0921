/* SPDX-License-Identifier: MIT */
/* tournant: child processes: starting programs, pipes to them, signals, their end, their output. */
#ifndef TN_PROCESS_H
#define TN_PROCESS_H

#include <tn/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A child process. Its end is noticed and its result is kept whether a task waits for it or not, so no zombie is ever left. This
 * also holds if the process is closed before its child has ended, if its task is abandoned, and if its runtime is destroyed. A
 * thread of its own does that for all runtimes of the program; it is there while there are children, and a second longer.
 *
 * The program must not collect the results of these children itself, as wait(2) does, and must not ignore SIGCHLD. If it does,
 * tn_process_wait returns TN_ENODATA. */
typedef struct tn_process tn_process;

/* What a standard descriptor of the child is. */
typedef enum tn_process_stream {
    TN_PROCESS_INHERIT, /* that of this process */
    TN_PROCESS_NULL,    /* /dev/null */
    TN_PROCESS_PIPE,    /* a pipe, whose other end tn_process_take_pipe returns */
    TN_PROCESS_STDOUT,  /* for error output alone: where the output goes */
} tn_process_stream;

/* A descriptor of this process that the child gets under the number `to`. */
typedef struct tn_process_fd {
    int from; /* stays the caller's */
    int to;   /* 0, 1 and 2 take precedence over the options for these streams */
} tn_process_fd;

/* A resource limit of the child; see setrlimit(2). */
typedef struct tn_process_limit {
    int resource;  /* RLIMIT_CPU and others */
    uint64_t soft; /* UINT64_MAX: none */
    uint64_t hard; /* UINT64_MAX: none */
} tn_process_limit;

/* The user under which the child runs. Only a privileged process may set it. */
typedef struct tn_process_user {
    uid_t user;
    gid_t group;
    const gid_t *groups; /* all supplementary groups; may be NULL if there are none */
    size_t group_count;
} tn_process_user;

/* Options of a child; begin with tn_process_options_default(). Pointers are used during the call alone. */
typedef struct tn_process_options {
    size_t size;                    /* of this struct; tn_process_options_default() sets it */
    tn_runtime *runtime;            /* whose loops report the pipes; NULL: that of the calling task */
    const char *file;               /* the program; NULL: argv[0]. Without a slash it is looked for in PATH of this process */
    const char *const *environment; /* NAME=VALUE, ends with NULL; NULL: that of this process */
    const char *folder;             /* the working directory; NULL: that of this process. `file` may be relative to it */
    tn_process_stream in;           /* standard input */
    tn_process_stream out;          /* standard output */
    tn_process_stream err;          /* error output */
    bool inherit_fds;               /* the child also gets the other descriptors that are not closed on exec */
    bool new_session;               /* the child leads a session and a process group, without a terminal */
    bool new_group;                 /* the child leads a process group */
    bool group_ends;                /* with one of these two: when the child ends, the rest of its group is killed */
    bool kill_on_close;             /* tn_process_close kills the child, with new_group or new_session its group */
    bool default_signals;           /* signals that this process ignores have their default action in the child */
    bool inherit_mask;              /* the child blocks the signals that the calling task's thread blocks; else none */
    unsigned char reserved;         /* 0 */
    pid_t group;                    /* the process group that the child joins; 0: that of this process */
    const tn_process_fd *fds;       /* further descriptors */
    size_t fd_count;                /* at most 1024 */
    const tn_process_limit *limits; /* resource limits; the others are those of this process */
    size_t limit_count;             /* at most 64 */
    const tn_process_user *user;    /* NULL: that of this process */
    const char **failed;            /* if the start fails, it receives the name of the call that failed, static text; or NULL */
} tn_process_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
static inline tn_process_options tn_process_options_default(void)
{
    tn_process_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

/* Starts a program. `argv`: its arguments, ends with NULL; the first one is its name. `options`: NULL for the defaults. When the
 * call returns 0 the program runs: an error of each step before, also of execve(2), is returned here. With the option `failed`
 * the caller learns which step it was.
 *
 * All descriptors of this process but 0, 1, 2 and those of the options are closed in the child, unless inherit_fds is set.
 * Handlers of signals are reset, as execve does. The start does not copy the memory of this process, unless the child has another
 * user. It makes system calls that block, on a thread of the pool if the caller is a fiber. So a child that asks for a signal at
 * the end of its parent (PR_SET_PDEATHSIG) gets it when that thread ends, after tn_options.blocking_idle_ns.
 *
 * Suspends: until the program runs.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: on success the caller owns the process, and must close it before its runtime is destroyed.
 * Errors: those of the system calls, such as -ENOENT, -EACCES, -EPERM, -E2BIG. TN_EINVAL: an option is refused (tn/base.h), argv
 * is empty, or there is no runtime. TN_EAGAIN: the limit of processes or threads is reached. TN_EMFILE, TN_ENOMEM. TN_ENOTSUP: in
 * the simulator. TN_ESHUTDOWN, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no child was started. Once the start has begun, it is completed. */
TN_API int tn_process_start(tn_process **out, const char *const *argv, const tn_process_options *options);

/* Returns the number of the child. After the child has ended it may belong to another process.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the process.
 * Errors: none.
 * Cancellation: no. */
TN_API pid_t tn_process_id(const tn_process *process);

/* Takes this process's end of a pipe: of the standard descriptor `fd` (0, 1 or 2) of the child. 0 is written, the others are
 * read. A pipe can be aborted; to send the end to the child, close it. A write never raises SIGPIPE.
 *
 * Suspends: no.
 * Callable from: anywhere; one thread at a time.
 * Ownership: the caller owns the result, and must close it before its runtime is destroyed.
 * Errors: none; a tn_io without a table: that descriptor is no pipe, or has been taken.
 * Cancellation: no. */
TN_API tn_io tn_process_take_pipe(tn_process *process, int fd);

/* How a child has ended. */
typedef struct tn_process_end {
    int code;    /* its exit status; -1: a signal has ended it */
    int signal;  /* this signal; 0: none */
    bool dumped; /* it has left a core file */
} tn_process_end;

/* Waits until the child has ended. `*end` receives how; NULL is allowed. It may be called again, with the same result. The pipes
 * may still have data then, and other processes may still write to them.
 *
 * Suspends: unless the child has ended.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows the process.
 * Errors: TN_EBUSY: another task waits. TN_ENODATA: it has ended, but the program has taken its result. TN_ESHUTDOWN: in a child
 * of fork. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the child is not changed. */
TN_API int tn_process_wait(tn_process *process, tn_process_end *end);

/* A future that is ready when the child has ended. Its result is the one of tn_process_wait. */
typedef struct tn_process_future {
    tn_future base;
    tn_process *process; /* private */
    tn_waker *armed;     /* private */
    tn_runtime *held;    /* private */
    tn_process_end end;  /* valid when the result is 0 */
} tn_process_future;

/* Prepares `future` to wait for the end of the child.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's; the process is borrowed until the future is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_process_wait_init(tn_process_future *future, tn_process *process);

/* Sends a signal to the child. If it has ended, nothing is sent, and never to another process that has its number now.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the process.
 * Errors: TN_EINVAL: no such signal. -EPERM: the child belongs to another user. TN_ESHUTDOWN: in a child of fork.
 * Cancellation: no. */
TN_API int tn_process_send(tn_process *process, int signal);

/* Sends a signal to all processes of the child's group, if the child leads one (new_group, new_session). If the child has ended,
 * nothing is sent: the option group_ends is for that.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the process.
 * Errors: TN_EINVAL: no such signal, or the child leads no group. -EPERM. TN_ESHUTDOWN: in a child of fork.
 * Cancellation: no. */
TN_API int tn_process_send_group(tn_process *process, int signal);

/* Closes the process and the pipes that were not taken. No task may wait for it any more. The child goes on, unless the option
 * kill_on_close is set. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: consumes the process.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_process_close(tn_process *process);

/* A cancel scope (tn/scope.h) at whose end a child is killed. */
typedef struct tn_process_scope {
    tn_scope scope;
    tn_process *process; /* private */
} tn_process_scope;

/* Enters a scope that ends at `deadline_ns` (TN_NEVER: with those around it). At the end of the scope the child is killed by
 * SIGKILL, with new_group or new_session with its group, if it has not ended, and the process is closed. This also happens if the
 * task is abandoned inside the scope.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `scope` is in use until tn_process_scope_leave, and must not move. It consumes the process, which may be used in the
 * scope.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_process_scope_enter(tn_process_scope *scope, tn_process *process, uint64_t deadline_ns);

/* Leaves the scope. It must be the one that was entered last.
 *
 * Suspends: no.
 * Callable from: the task or thread that entered it.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_process_scope_leave(tn_process_scope *scope);

/* --- Output ---------------------------------------------------------------------------------------------------------------- */

/* What tn_process_run collects; begin with tn_process_output_default(). */
typedef struct tn_process_output {
    size_t size;            /* of this struct; tn_process_output_default() sets it */
    const char *input;      /* what the child reads as standard input; NULL: nothing */
    size_t input_size;      /* bytes of it */
    size_t limit;           /* so many bytes the child may write to each of its outputs; 0: 1 MiB */
    uint64_t timeout_ns;    /* it is killed after so many nanoseconds; 0: never */
    uint64_t linger_ns;     /* how long outputs are read after its end, if other processes have them open; 0: 100 ms */
    tn_process_end end;     /* out: how it has ended, if the result is 0 */
    char *out;              /* out: what it has written, with a 0 byte behind it; NULL: nothing */
    size_t out_size;        /* out: bytes of it */
    char *err;              /* out: its error output; NULL: nothing */
    size_t err_size;        /* out: bytes of it */
    tn_allocator allocator; /* private: of the texts */
} tn_process_output;

/* Returns the default options, and no output.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
static inline tn_process_output tn_process_output_default(void)
{
    tn_process_output output;

    memset(&output, 0, sizeof output);
    output.size = sizeof output;
    return output;
}

/* Runs a program, and waits for its end and the end of its outputs. It replaces the options for the three streams, except for
 * err = TN_PROCESS_STDOUT and for the descriptors of `fds`. A child that does not read its input to the end is no error.
 *
 * If the call fails after the start, the child is killed, with new_group or new_session with its group. What it had written is
 * in `output` in each case.
 *
 * Suspends: until the child has ended.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: the caller must call tn_process_output_free, whatever the result is.
 * Errors: those of tn_process_start and tn_process_wait. TN_EMSGSIZE: it has written more than `limit`. TN_ETIMEDOUT: also after
 * `timeout_ns`; tn_checkpoint (tn/scope.h) returns 0 then, if no other deadline has passed.
 * Cancellation: yes; the child is killed. */
TN_API int tn_process_run(tn_process_output *output, const char *const *argv, const tn_process_options *options);

/* Frees the texts of the output.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the struct stays the caller's; its texts are gone.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_process_output_free(tn_process_output *output);

#ifdef __cplusplus
}
#endif

#endif
