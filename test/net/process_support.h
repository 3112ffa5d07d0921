/* SPDX-License-Identifier: MIT */
/* Shared by the tests of child processes: shell scripts as children, and what is left of them. */
#ifndef PROCESS_SUPPORT_H
#define PROCESS_SUPPORT_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn/process.h>

#include "support/runtime.h"

/* The script as an argv. */
#define PS_SCRIPT(text) ((const char *const[]){"/bin/sh", "-c", (text), NULL})

/* Starts the script. */
static inline tn_process *ps_start(const char *script, const tn_process_options *options)
{
    tn_process *process = NULL;

    tt_check_eq(tn_process_start(&process, PS_SCRIPT(script), options), 0);
    return process;
}

static inline void ps_ignore(int number)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    tt_check(sigaction(number, &ignore, NULL) == 0);
}

/* Whether this process has no child, not even a zombie. */
static inline bool ps_no_children(void *arg)
{
    siginfo_t info;

    (void)arg;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

static inline void ps_expect_no_children(void)
{
    tt_check(tt_wait_until(ps_no_children, NULL, 20 * TN_S));
}

/* Twice, because the test runner and the thread for children open some meanwhile. */
static inline void ps_run_without_new_files(tn_entry_fn fn)
{
    unsigned files;

    tt_run(fn, NULL);
    ps_expect_no_children();
    files = tt_files();
    tt_run(fn, NULL);
    ps_expect_no_children();
    tt_check(tt_files() <= files);
}

/* Waits for the end and closes. */
static inline tn_process_end ps_end(tn_process *process)
{
    tn_process_end end = {-2, -2, false};

    tt_check_eq(tn_process_wait(process, &end), 0);
    tn_process_close(process);
    return end;
}

/* Runs the script, and returns whether its output is `wanted`. */
static inline bool ps_says(const char *script, const tn_process_options *options, const char *wanted)
{
    tn_process_output output = tn_process_output_default();
    int rc = tn_process_run(&output, PS_SCRIPT(script), options);
    bool same = rc == 0 && output.out != NULL && strcmp(output.out, wanted) == 0;

    if (!same)
        fprintf(stderr, "%s: %d, \"%s\", errors \"%s\", not \"%s\"\n", script, rc, output.out ? output.out : "",
                output.err ? output.err : "", wanted);
    tn_process_output_free(&output);
    return same;
}

/* Whether a process with that number is there, and is no zombie. */
static inline bool ps_is_alive(pid_t id)
{
    char path[64];
    char text[256] = "";
    const char *end;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)id);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

static inline bool ps_is_gone(void *id)
{
    return !ps_is_alive(*(const pid_t *)id);
}

#endif
