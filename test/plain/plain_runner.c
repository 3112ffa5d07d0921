/* SPDX-License-Identifier: MIT */
/* Runs Criterion tests without Criterion's runner, for the sanitizers.
 *
 * Criterion 2.4.1 aborts at most starts under ThreadSanitizer ("Could not initialize inheritable arena"). It also counts a test
 * as passed once its body has returned, so a leak or a race that a sanitizer reports at exit does not fail the test. Here each
 * test runs in a process of its own, started by exec, and the exit status of that process is the result.
 *
 * plain_criterion.c has what the tests call.
 *
 *   PROGRAM [-jN] [--filter=SUITE/NAME]      all tests, or those that match the pattern; -jN is accepted and does nothing
 *   PROGRAM --run=SUITE/NAME                 one test in this process */
#include "plain_criterion.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOWNESS = 5 }; /* a sanitized program is slow: multiplies each test's own timeout */

static double timeout_of(const struct criterion_test *test)
{
    struct criterion_test_extra_data *suite = plain_suite_of(test);
    double timeout = test->data->timeout;
    if (timeout <= 0.0 && suite != NULL)
        timeout = suite->timeout;
    return timeout * SLOWNESS;
}

/* Waits for the child, and kills it when its time is up. SIGCHLD is blocked. */
static int wait_for(pid_t child, double timeout_s)
{
    struct timespec step = {.tv_nsec = 100000000};
    sigset_t ended;
    int status;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    for (double waited_s = 0.0; waitpid(child, &status, WNOHANG) == 0; waited_s += 0.1) {
        if (timeout_s > 0.0 && waited_s > timeout_s) {
            fprintf(stderr, "timed out\n");
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return status;
        }
        sigtimedwait(&ended, NULL, &step);
    }
    return status;
}

static int start_and_wait(const struct criterion_test *test)
{
    char option[256];
    sigset_t ended;
    snprintf(option, sizeof option, "--run=%s", test->data->identifier_);
    fflush(NULL);
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &ended, NULL);
        execl("/proc/self/exe", "test", option, (char *)NULL);
        _exit(EXIT_FAILURE);
    }
    if (child < 0)
        abort();
    return wait_for(child, timeout_of(test));
}

static bool ended_as_expected(const struct criterion_test *test, int status)
{
    struct criterion_test_extra_data *suite = plain_suite_of(test);
    int want_signal = test->data->signal == 0 && suite != NULL ? suite->signal : test->data->signal;
    if (want_signal != 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == want_signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == test->data->exit_code;
}

static int run_all(const char *pattern)
{
    int tested = 0, passing = 0, skipped = 0;
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        if (*test == NULL || fnmatch(pattern, (*test)->data->identifier_, 0) != 0)
            continue;
        if ((*test)->data->kind_ != CR_TEST_NORMAL)
            abort();
        int status = (*test)->data->disabled ? PLAIN_EXIT_SKIPPED << 8 : start_and_wait(*test);
        bool skip = WIFEXITED(status) && WEXITSTATUS(status) == PLAIN_EXIT_SKIPPED;
        bool pass = !skip && ended_as_expected(*test, status);
        printf("[%s] %s (wait status 0x%x)\n", skip ? "SKIP" : pass ? "PASS" : "FAIL", (*test)->data->identifier_, status);
        tested++;
        skipped += skip;
        passing += pass;
    }
    int failing = tested - passing - skipped;
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Skipped: %d\n", tested, passing, failing, skipped);
    return failing == 0 && tested > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *pattern = "*";
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--run=", 6) == 0)
            return plain_run_here(argv[i] + 6);
        if (strncmp(argv[i], "--filter=", 9) == 0) {
            pattern = argv[i] + 9;
        } else if (strncmp(argv[i], "-j", 2) != 0) {
            fprintf(stderr, "usage: %s [-jN] [--filter=SUITE/NAME] [--run=SUITE/NAME]\n", argv[0]);
            return 2;
        }
    }
    return run_all(pattern);
}
