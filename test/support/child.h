/* SPDX-License-Identifier: MIT */
/* Runs a function in a child process: for tests of failures that end the process. */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

#include <stdbool.h>

/* How the child ended, and what it wrote to stderr. */
typedef struct {
    int status;      /* of waitpid */
    char text[1024]; /* terminated; longer output is cut */
} child_end;

/* Runs fn(arg) in a child process until fn returns (exit status 0) or the process ends. Signals that report errors have their
 * default actions there. */
child_end child_run(void (*fn)(void *), void *arg);

bool child_killed_by(child_end end, int signal_number);
bool child_exited(child_end end, int code);

#endif
