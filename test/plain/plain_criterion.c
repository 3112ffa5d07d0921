/* SPDX-License-Identifier: MIT */
/* The functions that Criterion's macros Test, TestSuite, cr_assert*, cr_expect*, cr_fail, cr_skip and cr_log* call, for runners
 * that are not Criterion's. Programs that use other parts of Criterion (parameterized tests, redirections, the assertions of
 * criterion/new/assert.h) do not link. */
#include "plain_criterion.h"

#include <criterion/logging.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* Criterion's declarations check the formats */

extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)), *__stop_cr_sts[] __attribute__((weak));

struct criterion_options criterion_options;

static struct criterion_test *running;
static atomic_bool failed;

/* --- What the macros call --------------------------------------------------------------------------------------------------- */

struct criterion_test_extra_data *plain_suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
        if (*suite != NULL && strcmp((*suite)->name, test->category) == 0)
            return (*suite)->data;
    return NULL;
}

void criterion_internal_test_setup(void)
{
    struct criterion_test_extra_data *suite = plain_suite_of(running);
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
    struct criterion_test_extra_data *suite = plain_suite_of(running);
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
    _exit(PLAIN_EXIT_FAILED);
}

void criterion_skip_test(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(PLAIN_EXIT_SKIPPED);
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

/* --- For the runners -------------------------------------------------------------------------------------------------------- */

int plain_run_here(const char *identifier)
{
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        if (*test == NULL || strcmp((*test)->data->identifier_, identifier) != 0)
            continue;
        running = *test;
        running->test();
        return atomic_load(&failed) ? PLAIN_EXIT_FAILED : EXIT_SUCCESS;
    }
    fprintf(stderr, "no test %s\n", identifier);
    return EXIT_FAILURE;
}
