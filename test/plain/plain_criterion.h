/* SPDX-License-Identifier: MIT */
/* Criterion's tests without Criterion's runner: the list of tests, and running one of them. */
#ifndef PLAIN_CRITERION_H
#define PLAIN_CRITERION_H

#include <criterion/criterion.h>

enum {
    PLAIN_EXIT_FAILED = 101,
    PLAIN_EXIT_SKIPPED = 102,
};

/* The tests of the program; an entry may be NULL. */
extern struct criterion_test *__start_cr_tst[] __attribute__((weak)), *__stop_cr_tst[] __attribute__((weak));

/* NULL: the test is in no suite that has options. */
struct criterion_test_extra_data *plain_suite_of(const struct criterion_test *test);

/* Runs the test SUITE/NAME in this process, and returns the exit status for it. A failed assertion ends the process. */
int plain_run_here(const char *identifier);

#endif
