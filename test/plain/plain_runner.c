/* SPDX-License-Identifier: MIT */
/* Runs Criterion tests without Criterion's runner, for the sanitizers.
 *
 * Criterion 2.4.1 aborts at most starts under ThreadSanitizer ("Could not initialize inheritable arena"). It also counts a test
 * as passed once its body has returned, so a leak or a race that a sanitizer reports at exit does not fail the test. Here each
 * test runs in a process of its own, started by exec, and the exit status of that process is the result.
 *
 * This file defines the functions that the macros Test, TestSuite, cr_assert*, cr_expect*, cr_fail, cr_skip and cr_log* call.
 * Programs that use other parts of Criterion (parameterized tests, redirections, the assertions of criterion/new/assert.h) do
 * not link.
 *
 *   PROGRAM [-jN] [--filter=SUITE/NAME]      all tests, or those that match the pattern; -jN is accepted and does nothing
 *   PROGRAM --run=SUITE/NAME                 one test in this process */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* Criterion's declarations check the formats */

enum {
    SLOWNESS = 5, /* a sanitized program is slow: multiplies each test's own timeout */
    EXIT_FAILED_TEST = 101,
    EXIT_SKIPPED_TEST = 102,
};

extern struct criterion_test *__start_cr_tst[] __attribute__((weak)), *__stop_cr_tst[] __attribute__((weak));
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)), *__stop_cr_sts[] __attribute__((weak));

struct criterion_options criterion_options;

static struct criterion_test *running;
static atomic_bool failed;

/* --- What the macros call --------------------------------------------------------------------------------------------------- */

static struct criterion_test_extra_data *suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
        if (*suite != NULL && strcmp((*suite)->name, test->category) == 0)
            return (*suite)->data;
    return NULL;
}

void criterion_internal_test_setup(void)
{
    struct criterion_test_extra_data *suite = suite_of(running);
    if (suite != NULL && suite->init != NULL)
        suite->init();
    if (running->data->init != NULL)
        running->data->init();
}

void criterion_internal_test_main(void (*fn)(void))
{
    fn();
}

void criterion_internal_test_teardown(void)
{
    struct criterion_test_extra_data *suite = suite_of(running);
    if (running->data->fini != NULL)
        running->data->fini();
    if (suite != NULL && suite->fini != NULL)
        suite->fini();
}

int cr_vasprintf(char **out, const char *format, va_list args)
{
    return vasprintf(out, format, args);
}

int cr_asprintf(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vasprintf(out, format, args);
    va_end(args);
    return length;
}

void cr_asprintf_free(char *text)
{
    free(text);
}

/* The arguments are texts of the expression: one or two, none for a plain cr_fail. */
char *cr_translate_assert_msg(int index, ...)
{
    va_list args;
    char *message = NULL;
    va_start(args, index);
    const char *expression = index == CRITERION_ASSERT_MSG_FAIL ? "cr_fail" : va_arg(args, const char *);
    va_end(args);
    if (asprintf(&message, "does not hold: %s", expression) < 0)
        abort();
    return message;
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (!stats->passed)
        fprintf(stderr, "[----] %s:%u: %s\n", stats->file, stats->line, stats->message);
}

void cri_asserts_passed_incr(void) {}

void criterion_continue_test(void)
{
    atomic_store(&failed, true);
}

/* Ends the process. The caller may be a fiber on another thread, so there is no frame to jump back to. */
void criterion_abort_test(void)
{
    _exit(EXIT_FAILED_TEST);
}

void criterion_skip_test(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(EXIT_SKIPPED_TEST);
}

void criterion_test_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    abort();
}

void cr_log(enum criterion_severity severity, const char *format, ...)
{
    va_list args;
    (void)severity;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* --- The runner ------------------------------------------------------------------------------------------------------------- */

static int run_here(const char *identifier)
{
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        if (*test == NULL || strcmp((*test)->data->identifier_, identifier) != 0)
            continue;
        running = *test;
        running->test();
        return atomic_load(&failed) ? EXIT_FAILED_TEST : EXIT_SUCCESS;
    }
    fprintf(stderr, "no test %s\n", identifier);
    return EXIT_FAILURE;
}

static double timeout_of(const struct criterion_test *test)
{
    struct criterion_test_extra_data *suite = suite_of(test);
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
    struct criterion_test_extra_data *suite = suite_of(test);
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
        int status = (*test)->data->disabled ? EXIT_SKIPPED_TEST << 8 : start_and_wait(*test);
        bool skip = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED_TEST;
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
            return run_here(argv[i] + 6);
        if (strncmp(argv[i], "--filter=", 9) == 0) {
            pattern = argv[i] + 9;
        } else if (strncmp(argv[i], "-j", 2) != 0) {
            fprintf(stderr, "usage: %s [-jN] [--filter=SUITE/NAME] [--run=SUITE/NAME]\n", argv[0]);
            return 2;
        }
    }
    return run_all(pattern);
}
