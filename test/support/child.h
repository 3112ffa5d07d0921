/* SPDX-License-Identifier: MIT */
/* For tests of what ends a process: it happens in a child. */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

#include <stdbool.h>

/* How it ended, and what it wrote to stderr. */
typedef struct {
    int status;      /* of waitpid */
    char text[1024]; /* terminated; what was more is lost */
} child_end;

/* Runs fn(arg) in a child process, with the default actions for signals that report errors, until fn returns (exit status 0) or
 * the process ends. */
child_end child_run(void (*fn)(void *), void *arg);

bool child_killed_by(child_end end, int signal_number);
bool child_exited(child_end end, int code);

#endif
