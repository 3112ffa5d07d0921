/* SPDX-License-Identifier: MIT */
/* A dump when a signal arrives: while all workers are stuck, of several runtimes, and not any more after the stop. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tn/dump_signal.h>
#include <tn/time.h>

#include "support/runtime.h"

typedef struct {
    pthread_mutex_t lock;
    char text[65536];
    size_t length;
    unsigned dumps;
    unsigned blocked; /* dumps that came while the thread blocked SIGUSR2 */
    tn_runtime *runtime;
    tn_dump_signal *signal;
    tt_gate stuck;
    tt_gate free;
} scene;

static void take_line(void *ctx, tn_log_level level, const char *line)
{
    scene *s = ctx;

    sigset_t mask;

    (void)level;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_mutex_lock(&s->lock);
    s->blocked += strncmp(line, "runtime \"", 9) == 0 && sigismember(&mask, SIGUSR2) == 1;
    if (s->length < sizeof s->text)
        s->length += (size_t)snprintf(s->text + s->length, sizeof s->text - s->length, "%s\n", line);
    s->dumps += strncmp(line, "runtime \"", 9) == 0;
    pthread_mutex_unlock(&s->lock);
}

static bool log_has(scene *s, const char *text)
{
    bool has;

    pthread_mutex_lock(&s->lock);
    has = strstr(s->text, text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return has;
}

static unsigned dumps(scene *s)
{
    unsigned count;

    pthread_mutex_lock(&s->lock);
    count = s->dumps;
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* `report_stuck_ns`: not 0: stacks of tasks that run can be taken. */
static void begin(scene *s, const char *name, uint64_t report_stuck_ns)
{
    tn_options options = tt_options();

    *s = (scene){.stuck = TT_GATE_INIT, .free = TT_GATE_INIT};
    pthread_mutex_init(&s->lock, NULL);
    options.name = name;
    options.report_stuck_ns = report_stuck_ns;
    options.log = take_line;
    options.log_ctx = s;
    cr_assert_eq(tn_runtime_create(&s->runtime, &options), 0);
    cr_assert_eq(tn_dump_signal_start(&s->signal, s->runtime, SIGUSR1), 0);
}

static void end(scene *s)
{
    tn_dump_signal_stop(s->signal);
    tt_runtime_destroy(s->runtime);
    cr_assert_eq(s->blocked, 0, "the log of the program was called with signals blocked");
}

/* --- All workers are stuck ----------------------------------------------------------------------------------------------- */

static void *be_stuck(void *arg)
{
    scene *s = arg;

    tt_gate_open(&s->stuck);
    tt_gate_wait(&s->free, 1);
    return NULL;
}

/* Global, so that its name is known. */
void spawn_stuck(scene *s);
void spawn_stuck(scene *s)
{
    unsigned count = tn_runtime_workers(s->runtime);

    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(s->runtime, NULL, NULL, be_stuck, s), 0);
    tt_gate_wait(&s->stuck, count);
}

static bool is_dumped(void *arg)
{
    return log_has(arg, "tasks (fiber) run, or are about to") && log_has(arg, " be_stuck+");
}

Test(dump_signal, a_dump_while_all_workers_are_stuck)
{
    static scene s;

    begin(&s, "stuck", 3600 * TN_S);
    spawn_stuck(&s);
    for (int i = 0; i < 10 && !is_dumped(&s); i++) { /* a dump whose thread gets no processor has no stacks */
        cr_assert_eq(kill(getpid(), SIGUSR1), 0);
        (void)tt_wait_until(is_dumped, &s, 3 * TN_S);
    }
    cr_assert(is_dumped(&s));
    cr_assert(log_has(&s, "spawn_stuck"), "%s", s.text);
    tt_gate_open(&s.free);
    end(&s);
}

/* --- Several runtimes, several signals ----------------------------------------------------------------------------------- */

static bool has_two(void *arg)
{
    return dumps(arg) >= 2;
}

static bool has_one(void *arg)
{
    return dumps(arg) >= 1;
}

static atomic_int handled;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
}

Test(dump_signal, each_runtime_makes_its_own)
{
    static scene a;
    static scene b;
    struct sigaction before = {.sa_handler = count_signal};

    cr_assert_eq(sigaction(SIGUSR1, &before, NULL), 0);
    begin(&a, "first", 0);
    begin(&b, "second", 0);
    cr_assert_eq(kill(getpid(), SIGUSR1), 0);
    cr_assert(tt_wait_until(has_one, &a, 30 * TN_S) && tt_wait_until(has_one, &b, 30 * TN_S));
    cr_assert(log_has(&a, "runtime \"first\": 0 tasks") && log_has(&b, "runtime \"second\": 0 tasks"));
    cr_assert_not(log_has(&a, "second"));
    end(&a);
    cr_assert_eq(kill(getpid(), SIGUSR1), 0);
    cr_assert(tt_wait_until(has_two, &b, 30 * TN_S));
    cr_assert_eq(dumps(&a), 1);
    end(&b);
    atomic_store(&handled, 0);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(atomic_load(&handled), 1, "the handler that was there before is back");
}

Test(dump_signal, what_cannot_be_caught_is_refused)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_dump_signal *signal;

    cr_assert_eq(tn_dump_signal_start(&signal, runtime, SIGKILL), TN_EINVAL);
    cr_assert_null(signal);
    cr_assert_eq(tn_dump_signal_start(&signal, runtime, SIGSEGV), TN_EINVAL);
    cr_assert_eq(tn_dump_signal_start(&signal, runtime, 0), TN_EINVAL);
    tn_dump_signal_stop(NULL);
    tt_runtime_destroy(runtime);
}
