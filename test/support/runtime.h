/* SPDX-License-Identifier: MIT */
/* Runtimes, tasks and threads for tests. The environment chooses the runtime's options, so that each test runs in several
 * configurations:
 *
 *   TN_TEST_WORKERS=N   number of workers (2)
 *   TN_TEST_MIGRATE=1   each resume is on another worker than the last
 *   TN_TEST_SCALE=P     percent of the usual counts, for slow builds (100; 10 under ThreadSanitizer, 25 under AddressSanitizer)
 */
#ifndef TT_RUNTIME_H
#define TT_RUNTIME_H

#include <criterion/criterion.h>
#include <pthread.h>

#include <tn/runtime.h>

#include "support/sanitizers.h"

/* Returns the options that the environment chooses. */
tn_options tt_options(void);

/* Creates a runtime with those options; fails the test if it cannot be created. */
tn_runtime *tt_runtime_create(void);

/* Destroys it and asserts that no task was left; fails the test after 30 s. */
void tt_runtime_destroy(tn_runtime *runtime);

/* Runs `entry(arg)` as the first task of a new runtime, waits for all tasks and destroys the runtime. */
void tt_run(tn_entry_fn entry, void *arg);

/* Returns `count` scaled by the environment, at least 1. */
unsigned long tt_scaled(unsigned long count);

/* Returns the number of threads of this process that have a name of their own, as those of a runtime do (the test runner
 * starts some without one at any time); the number of open files. */
unsigned tt_threads(void);
/* Waits until there are `count`: a thread that was joined is listed until its last steps are done. */
void tt_expect_threads(unsigned count);
unsigned tt_files(void);

/* Returns the resident memory of this process in bytes. */
size_t tt_resident_bytes(void);

/* --- For tasks and threads ------------------------------------------------------------------------------------------------ */

/* As cr_assert, but on any thread and in any task: Criterion's own assertions jump back to the main thread's stack. Prints
 * the place of a failure and aborts. */
#define tt_check(cond) ((cond) ? (void)0 : tt_check_failed(__FILE__, __LINE__, #cond))
_Noreturn void tt_check_failed(const char *file, int line, const char *text);

/* The same for two numbers; the message shows both. */
#define tt_check_eq(a, b) tt_check_same((long long)(a), (long long)(b), __FILE__, __LINE__, #a)
void tt_check_same(long long found, long long wanted, const char *file, int line, const char *text);

/* As tn_spawn and tn_join, which must not fail here. */
tn_task *tt_spawn(tn_entry_fn entry, void *arg);
tn_task *tt_spawn_on(tn_runtime *runtime, tn_entry_fn entry, void *arg);
void *tt_join(tn_task *task);

/* Starts and joins a plain thread. */
pthread_t tt_thread_start(void *(*entry)(void *arg), void *arg);
void tt_thread_join(pthread_t thread);

/* A gate that opens once, or a number of times. Waiting blocks the thread, also that of a task. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned opened;
} tt_gate;

/* clang-format off */
#define TT_GATE_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}
/* clang-format on */

void tt_gate_open(tt_gate *gate);
/* Waits until it was opened `times` times; aborts after 60 s. */
void tt_gate_wait(tt_gate *gate, unsigned times);
/* How many times it was opened. */
unsigned tt_gate_opened(tt_gate *gate);

/* Waits until condition(arg) holds, with a check each millisecond; returns false after `limit_ns`. Blocks the thread. */
bool tt_wait_until(bool (*condition)(void *arg), void *arg, uint64_t limit_ns);

/* Blocks the thread (no cancellation point). */
void tt_block_thread(uint64_t ns);
/* Keeps the processor busy (no cancellation point). */
void tt_burn(uint64_t ns);

/* --- Another process ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int status;      /* of waitpid */
    char said[8192]; /* what it wrote to stderr, cut at the size of the array */
} tt_child;

/* Runs fn(arg) and then _exit(0) in a child process, and waits for it. Only while the process has one thread. */
tt_child tt_fork(void (*fn)(void *arg), void *arg);

/* Returns whether the child ended by SIGABRT after it wrote `text`. */
bool tt_child_aborted(const tt_child *child, const char *text);

#endif
