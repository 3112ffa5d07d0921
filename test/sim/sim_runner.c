/* SPDX-License-Identifier: MIT */
/* Runs Criterion tests on the simulated machine: each test with several seeds.
 *
 *   PROGRAM [--filter=SUITE/NAME] [--leave-out=SUITE/NAME...] [OPTION...]     all tests that match
 *   PROGRAM [OPTION...] -- SUITE/NAME                                         one test
 *
 * OPTION: of tn_sim_main; without any: 20 seeds. Tests that end their process on purpose are skipped. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn/sim.h>

#include "plain/plain_criterion.h"

#define ARGUMENTS_MAX 64

static void run_test(void *arg)
{
    int status = plain_run_here(arg);

    if (status != 0)
        _exit(status);
}

static bool is_left_out(int argc, char **argv, const char *identifier)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--leave-out=", 12) == 0 && fnmatch(argv[i] + 12, identifier, 0) == 0)
            return true;
        if (strncmp(argv[i], "--filter=", 9) == 0 && fnmatch(argv[i] + 9, identifier, 0) != 0)
            return true;
    }
    return false;
}

/* Whether the end of its process is what the test is about. */
static bool ends_its_process(const struct criterion_test *test)
{
    const struct criterion_test_extra_data *suite = plain_suite_of(test);

    return test->data->signal != 0 || test->data->exit_code != 0 || (suite != NULL && suite->signal != 0);
}

/* Starts this program anew for one test. */
static bool run_program(int argc, char **argv, const char *identifier)
{
    char *arguments[ARGUMENTS_MAX];
    int count = 0;
    int status;
    pid_t child;

    arguments[count++] = argv[0];
    for (int i = 1; i < argc && count < ARGUMENTS_MAX - 5; i++)
        if (strncmp(argv[i], "--leave-out=", 12) != 0 && strncmp(argv[i], "--filter=", 9) != 0 && strncmp(argv[i], "-j", 2) != 0)
            arguments[count++] = argv[i];
    if (count == 1) {
        arguments[count++] = (char *)(uintptr_t) "--seeds";
        arguments[count++] = (char *)(uintptr_t) "20";
    }
    arguments[count++] = (char *)(uintptr_t) "--";
    arguments[count++] = (char *)(uintptr_t)identifier;
    arguments[count] = NULL;
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        (void)execv("/proc/self/exe", arguments);
        _exit(EXIT_FAILURE);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int run_all(int argc, char **argv)
{
    unsigned tested = 0;
    unsigned failing = 0;

    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        const char *identifier = *test != NULL ? (*test)->data->identifier_ : NULL;
        if (identifier == NULL || is_left_out(argc, argv, identifier))
            continue;
        if ((*test)->data->disabled || ends_its_process(*test)) {
            (void)printf("[SKIP] %s\n", identifier);
            continue;
        }
        (void)printf("[RUN ] %s\n", identifier);
        tested++;
        if (!run_program(argc, argv, identifier)) {
            (void)printf("[FAIL] %s\n", identifier);
            failing++;
        }
    }
    (void)printf("[====] Synthesis: Tested: %u | Passing: %u | Failing: %u\n", tested, tested - failing, failing);
    return failing == 0 && tested > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[argc - 2], "--") == 0)
        return tn_sim_main(argc, argv, run_test, argv[argc - 1]);
    return run_all(argc, argv);
}
