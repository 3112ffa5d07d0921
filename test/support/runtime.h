/* A runtime for tests, made as the environment says, so that each test runs in several shapes:
 *   TN_TEST_WORKERS=N   workers (2)
 *   TN_TEST_MIGRATE=1   every resume on another worker than the last
 *   TN_TEST_SCALE=P     percent of the usual counts, for slow builds (100) */
#ifndef TT_RUNTIME_H
#define TT_RUNTIME_H

#include <criterion/criterion.h>

#include "tn_runtime.h"

/* The options that the environment asks for. */
tn_options tt_options(void);

/* A runtime with those options; fails the test where it cannot be had. */
tn_runtime *tt_runtime_create(void);

/* Destroys it and asserts that no task was left; fails the test after 30 s. */
void tt_runtime_destroy(tn_runtime *runtime);

/* Runs `entry(arg)` as the first task of a fresh runtime, waits for all tasks and destroys the runtime. */
void tt_run(tn_entry_fn entry, void *arg);

/* `count` scaled by the environment, at least 1. */
unsigned long tt_scaled(unsigned long count);

/* Threads of this process; open files of it. */
unsigned tt_threads(void);
unsigned tt_files(void);

/* Resident memory of this process in bytes. */
size_t tt_resident_bytes(void);

#endif
