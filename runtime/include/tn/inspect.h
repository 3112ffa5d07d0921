/* SPDX-License-Identifier: MIT */
/* What tasks are doing. Tasks give themselves names and notes. There is a list of all tasks for programs, and a dump for people
 * that shows each stack once. tn_dump (tn/runtime.h) shows every task. */
#ifndef TN_INSPECT_H
#define TN_INSPECT_H

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the calling task another name. At most 23 bytes are kept. Outside of a task it does nothing. A thread that reads the name
 * at this moment, as a dump does, may find parts of both names.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task; elsewhere without effect.
 * Ownership: `name` is copied.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_set_name(const char *name);

/* Notes what the calling task is doing: dumps and lists show the text. NULL takes the note away. It is one store, so a server can
 * set it for each request. A reader copies at most 63 bytes, through the kernel: memory that is gone meanwhile shows as no note.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task; elsewhere without effect.
 * Ownership: `note` is borrowed until the next call or the task's end. Text that changes meanwhile is shown as it is found.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_task_note(const char *note);

typedef enum tn_task_state {
    TN_TASK_WAITS,           /* for a future */
    TN_TASK_RUNS,            /* or it is about to, in a queue */
    TN_TASK_WAITS_FOR_STACK, /* it has not begun, because no stack is free */
    TN_TASK_BLOCKS,          /* its worker's thread sleeps inside of a call; only tn_tasks_each_running shows it */
} tn_task_state;

/* Most addresses of a stack. */
enum { TN_TASK_FRAMES = 48 };

/* One task. New members are added at the end; a program gets as many as it was built with. */
typedef struct tn_task_info {
    uint64_t id;
    uint64_t parent;        /* the task that spawned it, which may have ended; 0: none did */
    tn_task_state state;    /* as found */
    bool is_fiber;          /* false: a stackless task */
    bool is_cancelled;      /* tn_cancel was called */
    char name[24];          /* empty: it has none */
    char note[64];          /* of tn_task_note; empty: none */
    char waits_for[32];     /* TN_TASK_WAITS: the kind of future, empty if that has no name */
    uint64_t waited_ns;     /* TN_TASK_WAITS: for how long, to within some ms */
    uint64_t deadline_ns;   /* of a fiber that waits: the deadline of its cancel scopes, a time of tn_now; UINT64_MAX: none */
    const void *spawned_at; /* code address of the spawn */
    unsigned frames;        /* addresses of the fiber's stack; 0: unknown, or it has none */
    /* Where the fiber's code continues, then the return addresses of its callers. */
    const void *frame[TN_TASK_FRAMES];
} tn_task_info;

/* Receives one task. `info` is borrowed for the call. False ends the list. */
typedef bool (*tn_task_info_fn)(void *ctx, const tn_task_info *info);

/* Calls `fn` for each task that has not ended. A task that begins or ends meanwhile may be left out. A task that waits is held
 * for a microsecond while it is read, so any number of tasks can be listed while a server runs. No lock is taken and nothing is
 * allocated; `fn` may do both.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the runtime and `ctx`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_tasks_each(tn_runtime *runtime, tn_task_info_fn fn, void *ctx);

/* Calls `fn` for each task that a worker is inside of at this moment: for a profile, if it is called many times a second. With
 * tn_options.report_stuck_ns the stacks are known, in a runtime with worker threads. A thread that computes then gets a signal,
 * as for tn_dump. The call waits for such threads for at most 20 ms in total. If a dump takes stacks at this moment, they are
 * unknown. It takes no lock that code of the program can hold, and allocates nothing; `fn` may do both.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the runtime and `ctx`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_tasks_each_running(tn_runtime *runtime, tn_task_info_fn fn, void *ctx);

/* Writes the name of the function at a code address: "name+0x12 (file+0x345)", or the part of it that is known. No lock of the
 * dynamic linker is taken. It may read the file that has the code.
 *
 * Suspends: no; reading the file may block the thread.
 * Callable from: anywhere but a signal handler.
 * Ownership: the text is written to `out`, cut to `size` bytes.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_code_name(const void *address, char *out, size_t size);

/* As tn_dump, but tasks that wait at the same place are one group: its stack, how many tasks it has, and which of them waits
 * longest. Large groups come first. Tasks that run are grouped by where they were spawned, and by their stacks. With
 * tn_options.report_stuck_ns those are taken as for tn_dump, within 50 ms in total. It maps about a mebibyte of memory, whatever
 * the number of tasks. Beyond 256 groups the further tasks are counted together.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the runtime and `ctx`.
 * Errors: TN_ENOMEM: nothing was written.
 * Cancellation: no. */
TN_API int tn_dump_grouped(tn_runtime *runtime, tn_dump_fn line, void *ctx);

/* Receives the `ctx` of the dump. Not 0: the dump ends. */
typedef int (*tn_dump_pause_fn)(void *ctx);

/* As tn_dump_grouped, and calls `pause(ctx)` after each 1024 tasks that it has read, before the first line. There the caller can
 * let other tasks run (tn_yield), or end the dump.
 *
 * Suspends: if `line` or `pause` do.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the runtime and `ctx`.
 * Errors: TN_ENOMEM: nothing was written. What `pause` has returned: the same.
 * Cancellation: no. */
TN_API int tn_dump_grouped_pausing(tn_runtime *runtime, tn_dump_fn line, tn_dump_pause_fn pause, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
