/* SPDX-License-Identifier: MIT */
/* Reports of stuck tasks do not disturb other uses of the signal by which the stack is sampled. */
/* ctest: timeout=120 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <tn.h>

#include "stuck_stand.h"
#include "support/runtime.h"

static void *read_byte(void *arg)
{
    int *ends = arg;
    char byte;

    tt_check(read(ends[0], &byte, 1) == 1);
    return NULL;
}

Test(stuck_signal, a_call_that_is_restarted_goes_on)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime = create(&options);
    tn_task *task;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    task = tt_spawn_on(runtime, read_byte, ends);
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    cr_assert_eq(write(ends[1], "", 1), 1);
    tt_join(task);
    tt_runtime_destroy(runtime);
    cr_assert(TT_TSAN || count_of(&s->page, "    #1") > 0, "%s", s->page.text); /* ThreadSanitizer delays the signal */
    close(ends[0]);
    close(ends[1]);
}

static atomic_uint urgent;

static void on_urgent(int number)
{
    (void)number;
    atomic_fetch_add(&urgent, 1);
}

static void *signal_myself(void *arg)
{
    int *number = arg;

    tt_check(pthread_kill(pthread_self(), *number) == 0);
    return NULL;
}

static bool is_ours(int number)
{
    struct sigaction now;

    cr_assert_eq(sigaction(number, NULL, &now), 0);
    return (now.sa_flags & SA_SIGINFO) != 0;
}

/* Two runtimes: the handler stays until the second one is destroyed. Then the previous handler is restored. */
static void others_use_it(int wanted, int number)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    struct sigaction before = {.sa_handler = on_urgent};
    struct sigaction after;
    tn_runtime *runtimes[2];

    atomic_store(&urgent, 0);
    cr_assert_eq(sigaction(number, &before, NULL), 0);
    options.stuck_signal = wanted;
    runtimes[0] = create(&options);
    runtimes[1] = create(&options);
    tt_join(tt_spawn_on(runtimes[0], signal_myself, &number));
    cr_assert_eq(atomic_load(&urgent), 1);
    tt_runtime_destroy(runtimes[0]);
    cr_assert(is_ours(number));
    tt_join(tt_spawn_on(runtimes[1], signal_myself, &number));
    cr_assert_eq(atomic_load(&urgent), 2);
    tt_join(tt_spawn_on(runtimes[1], block_shortly, (void *)(uintptr_t)(50 * TN_MS)));
    tt_runtime_destroy(runtimes[1]);
    cr_assert_eq(atomic_load(&urgent), 2);
    cr_assert_eq(sigaction(number, NULL, &after), 0);
    cr_assert_eq(after.sa_handler, on_urgent);
}

Test(stuck_signal, the_handler_before_is_chained)
{
    others_use_it(0, SIGURG);
    others_use_it(SIGRTMIN + 3, SIGRTMIN + 3);
}

typedef struct {
    int ends[2];
    _Atomic pthread_t thread; /* that reads */
    atomic_bool begun;
} reading;

static void *expect_interrupted_read(void *arg)
{
    reading *r = arg;
    char byte;

    atomic_store(&r->thread, pthread_self());
    atomic_store(&r->begun, true);
    tt_check(read(r->ends[0], &byte, 1) == -1 && errno == EINTR);
    return NULL;
}

static bool has_begun(void *arg)
{
    return atomic_load(&((reading *)arg)->begun);
}

/* A program may rely on it that its signal ends a call of its own. */
Test(stuck_signal, a_handler_that_interrupts_calls_still_does)
{
    struct sigaction before = {.sa_handler = on_urgent};
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    reading r = {.begun = false};
    tn_runtime *runtime;
    tn_task *task;

    cr_assert_eq(pipe(r.ends), 0);
    cr_assert_eq(sigaction(SIGURG, &before, NULL), 0);
    options.workers = 1;
    options.report_stuck_ns = 3600 * TN_S; /* the handler is there, and sends nothing */
    runtime = create(&options);
    task = tt_spawn_on(runtime, expect_interrupted_read, &r);
    cr_assert(tt_wait_until(has_begun, &r, LIMIT_NS / 2));
    while (!tn_task_is_finished(task)) {
        cr_assert_eq(pthread_kill(atomic_load(&r.thread), SIGURG), 0);
        tt_block_thread(TN_MS);
    }
    tt_join(task);
    tt_runtime_destroy(runtime);
    close(r.ends[0]);
    close(r.ends[1]);
}

Test(stuck_signal, an_unwanted_signal_of_ours_is_no_harm)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime = create(&options);
    int number = SIGURG;

    tt_join(tt_spawn_on(runtime, signal_myself, &number)); /* there is no other handler: ignored */
    cr_assert(is_ours(SIGURG));
    tt_runtime_destroy(runtime);
    cr_assert(!is_ours(SIGURG));
}

/* The disposition that a handler with SA_RESETHAND leaves. */
Test(stuck_signal, a_default_with_the_flags_of_a_handler)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    struct sigaction before = {.sa_flags = SA_SIGINFO};
    tn_runtime *runtime;
    int number = SIGURG;

    before.sa_handler = SIG_DFL;
    cr_assert_eq(sigaction(number, &before, NULL), 0);
    runtime = create(&options);
    tt_join(tt_spawn_on(runtime, signal_myself, &number));
    tt_runtime_destroy(runtime);
}

/* Another handler replaced ours, so destroy left it. Later that one goes away. The next runtime installs ours again. */
Test(stuck_signal, a_handler_that_was_replaced_is_set_again)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    struct sigaction in_front = {.sa_handler = on_urgent};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    tn_runtime *runtime;

    options.stuck_signal = SIGUSR1;
    runtime = create(&options);
    cr_assert_eq(sigaction(SIGUSR1, &in_front, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(sigaction(SIGUSR1, &standard, NULL), 0);
    runtime = create(&options);
    cr_assert(is_ours(SIGUSR1));
    tt_join(tt_spawn_on(runtime, block_shortly, (void *)(uintptr_t)(50 * TN_MS)));
    tt_runtime_destroy(runtime);
    cr_assert(!is_ours(SIGUSR1));
}

/* Asserts that the signal is blocked (1) or not (0) on a worker. */
static void *look_at_mask(void *arg)
{
    sigset_t mask;

    tt_check(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    tt_check(sigismember(&mask, SIGURG) == *(int *)arg);
    return NULL;
}

Test(stuck_signal, no_handler_unless_asked)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime;
    sigset_t set;
    int blocked = 1;

    cr_assert_eq(sigemptyset(&set) | sigaddset(&set, SIGURG), 0);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    options.report_stuck_ns = 0;
    runtime = create(&options);
    cr_assert(!is_ours(SIGURG));
    tt_join(tt_spawn_on(runtime, look_at_mask, &blocked));
    tt_runtime_destroy(runtime);
    options.report_stuck_ns = TN_S;
    blocked = 0;
    runtime = create(&options);
    tt_join(tt_spawn_on(runtime, look_at_mask, &blocked));
    tt_runtime_destroy(runtime);
}

Test(stuck_signal, a_signal_that_cannot_be_caught)
{
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime;

    options.stuck_signal = SIGKILL;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    options.stuck_signal = 1000;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    cr_assert_eq(count_of(&s->page, "stuck_signal"), 2, "%s", s->page.text);
}
