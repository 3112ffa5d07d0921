/* SPDX-License-Identifier: MIT */
/* The OS layer for child processes: starting a program, signals to it, and its end. Errors are negative errno values. */
#ifndef TNI_OS_PROCESS_H
#define TNI_OS_PROCESS_H

#include <sys/types.h>

#include "base/defs.h"

#define TNI_OS_PROCESS_KILL 9 /* SIGKILL, which has this number on all processors */

/* A descriptor of this process, and its number in the child. */
typedef struct {
    int from;
    int to;
    int copy; /* private */
} tni_os_process_fd;

typedef struct {
    int resource; /* RLIMIT_* */
    uint64_t soft;
    uint64_t hard; /* both: UINT64_MAX: none */
} tni_os_process_limit;

typedef struct {
    unsigned user;
    unsigned group;
    const gid_t *groups; /* the supplementary ones */
    size_t group_count;
} tni_os_process_user;

/* What to start. All of it stays unchanged during the call, except `fds`. */
typedef struct {
    const char *const *paths;        /* the files to try, in this order; ends with NULL */
    const char *const *argv;         /* ends with NULL */
    const char *const *environment;  /* NULL: that of this process */
    const char *folder;              /* NULL: that of this process */
    const tni_os_process_user *user; /* NULL: that of this process */
    const tni_os_process_limit *limits;
    size_t limit_count;
    tni_os_process_fd *fds;
    size_t fd_count;
    bool inherit_fds;     /* other descriptors stay open if they are not closed on exec; otherwise only 0, 1 and 2 do */
    bool new_session;     /* the child leads a session and a process group */
    bool new_group;       /* the child leads a process group */
    int group;            /* the process group that it joins; 0: that of this process */
    bool default_signals; /* no signal is ignored */
    bool clear_mask;      /* no signal is blocked; otherwise those of the calling thread */
} tni_os_process_program;

/* A child that has not been reaped. */
typedef struct {
    pid_t id;
    int fd; /* a pidfd; -1: the kernel has none */
} tni_os_process;

typedef struct {
    bool known;  /* false: another part of the program, or the kernel, has taken the result */
    int code;    /* the exit status; -1: a signal has ended it */
    int number;  /* that signal; 0: none */
    bool dumped; /* it has left a core file */
} tni_os_process_end;

/* Starts a program. It returns when the program runs, or when a step has failed; then nothing is left of the child, and *failed
 * is the name of the call that failed. It blocks the thread, usually for less than a millisecond. */
int tni_os_process_start(const tni_os_process_program *how, tni_os_process *out, const char **failed);

/* If the child has ended, fills in *end, removes the child from the kernel, closes its pidfd, and returns true. `kill_group`:
 * the child leads a process group; what is left of that is killed before the number of the group is free. */
bool tni_os_process_reap(tni_os_process *process, bool kill_group, tni_os_process_end *end);

/* Sends a signal to the child, or to its process group. The child has not been reaped. */
int tni_os_process_send(const tni_os_process *process, int number, bool group);

/* A set of pidfds, and one of an event (os_event.h). The functions of a set may be called on several threads. */
int tni_os_process_set_open(void);
void tni_os_process_set_close(int set);
int tni_os_process_set_add(int set, int fd, void *data);
void tni_os_process_set_remove(int set, int fd);
/* Waits for at most `timeout_ms` (-1: for ever). Returns how many of `data` it has written: those of children that have ended,
 * and of an event that was posted. */
size_t tni_os_process_set_wait(int set, int timeout_ms, void **data, size_t max);

/* Returns both ends of a pipe, closed on exec. [0] is read, [1] is written. */
int tni_os_process_pipe(int ends[2]);

/* Opens /dev/null. */
int tni_os_process_null(void);

/* The value of PATH in this process, or that of the C library if it is not set. */
const char *tni_os_process_search_path(void);

/* Whether a non-blocking read or write of a pipe would return at once, also with an error or the end. */
bool tni_os_process_pipe_ready(int fd, bool to_write);

#endif
