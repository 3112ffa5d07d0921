/* SPDX-License-Identifier: MIT */
/* tn_signal: tasks wait for signals of the kernel. None is lost, each listener receives each, and the former disposition comes
 * back. */
/* ctest: timeout=120 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <tn/combine.h>
#include <tn/scope.h>
#include <tn/signal.h>

#include "support/runtime.h"

enum { HOUR_S = 3600 };

static const int both[] = {SIGUSR1, SIGUSR2};

static tn_signal *open_signals(tn_runtime *runtime, const int *numbers, size_t count)
{
    tn_signal *signals;

    tt_check_eq(tn_signal_open(&signals, runtime, numbers, count), 0);
    return signals;
}

static void expect_none(tn_signal *signals)
{
    TN_SCOPE(scope, tn_now() + TN_MS);
    tt_check_eq(tn_signal_wait(signals), TN_ETIMEDOUT);
}

static void set_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    tt_check(sigaction(number, &action, NULL) == 0);
}

static bool has_handler(int number, void (*handler)(int))
{
    struct sigaction action;

    tt_check(sigaction(number, NULL, &action) == 0);
    return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == handler;
}

/* --- One listener ---------------------------------------------------------------------------------------------------------- */

static void *raise_and_wait(void *arg)
{
    tn_signal *signals = open_signals(NULL, both, 2);

    expect_none(signals);
    tt_check(raise(SIGUSR2) == 0 && raise(SIGUSR1) == 0 && raise(SIGUSR2) == 0);
    tt_check_eq(tn_signal_wait(signals), SIGUSR1);
    tt_check_eq(tn_signal_wait(signals), SIGUSR2); /* two count as one */
    expect_none(signals);
    tt_check(raise(SIGUSR1) == 0);
    tn_signal_close(signals);
    tn_signal_close(NULL);
    tt_check(has_handler(SIGUSR1, SIG_DFL) && has_handler(SIGUSR2, SIG_DFL));
    return arg;
}

Test(signals, are_returned_once_each)
{
    tt_run(raise_and_wait, NULL);
}

static void *wait_for_one(void *arg)
{
    return (void *)(intptr_t)tn_signal_wait(arg);
}

static void *select_and_cancel(void *arg)
{
    tn_signal *signals = open_signals(NULL, both, 2);
    tn_signal_future future;
    tn_sleep_future time;
    tn_future *futures[2] = {&future.base, &time.base};
    tn_task *task;
    int result;

    tn_signal_wait_init(&future, signals);
    tn_sleep_init(&time, tn_now() + TN_MS);
    tt_check_eq(tn_select(futures, 2, &result), 1);
    tt_check_eq(tn_signal_wait(signals), TN_EBUSY); /* the future still waits */
    tt_check(raise(SIGUSR2) == 0);
    tn_sleep_init(&time, tn_now() + HOUR_S * TN_S);
    tt_check_eq(tn_race(futures, 2, &result), 0);
    tt_check_eq(result, SIGUSR2);
    task = tt_spawn(wait_for_one, signals);
    tt_check(tn_sleep(TN_MS) == 0);
    tn_cancel(task);
    tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    tt_check(raise(SIGUSR1) == 0);
    task = tt_spawn(wait_for_one, signals);
    tt_check_eq((intptr_t)tt_join(task), SIGUSR1);
    tn_signal_close(signals);
    return arg;
}

Test(signals, can_be_selected_and_cancelled)
{
    tt_run(select_and_cancel, NULL);
}

static void *open_wrong(void *arg)
{
    static const int wrong[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 0, -1, 65, 1000};
    tn_signal *signals;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int numbers[2] = {SIGUSR1, wrong[i]};
        tt_check_eq(tn_signal_open(&signals, NULL, numbers, 2), TN_EINVAL);
        tt_check(signals == NULL && has_handler(SIGUSR1, SIG_DFL));
    }
    tt_check_eq(tn_signal_open(&signals, NULL, both, 0), TN_EINVAL);
    return arg;
}

Test(signals, that_cannot_be_caught_are_refused)
{
    tn_signal *signals;

    cr_assert_eq(tn_signal_open(&signals, NULL, both, 2), TN_EINVAL);
    tt_run(open_wrong, NULL);
}

/* --- None is lost ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_signal *ping;
    tn_async *pong;
    unsigned long rounds;
} court;

static void *return_pings(void *arg)
{
    court *c = arg;

    for (unsigned long i = 0; i < c->rounds; i++) {
        tt_check_eq(tn_signal_wait(c->ping), i % 2 == 0 ? SIGUSR1 : SIGUSR2);
        tn_async_send(c->pong);
    }
    return NULL;
}

/* The next signal is sent when the one before was received, so a lost one hangs the test. */
Test(signals, none_is_lost_between_two_waits)
{
    tn_runtime *runtime = tt_runtime_create();
    court c = {.ping = open_signals(runtime, both, 2), .rounds = tt_scaled(3000)};
    tn_task *task;

    cr_assert_eq(tn_async_open(&c.pong, runtime), 0);
    task = tt_spawn_on(runtime, return_pings, &c);
    for (unsigned long i = 0; i < c.rounds; i++) {
        cr_assert_eq(kill(getpid(), i % 2 == 0 ? SIGUSR1 : SIGUSR2), 0);
        cr_assert_eq(tn_async_wait(c.pong), 0);
    }
    (void)tt_join(task);
    tn_async_close(c.pong);
    tn_signal_close(c.ping);
    tt_runtime_destroy(runtime);
}

/* --- Several listeners, several runtimes ----------------------------------------------------------------------------------- */

Test(signals, reach_each_listener)
{
    tn_runtime *first = tt_runtime_create();
    tn_runtime *second = tt_runtime_create();
    tn_signal *signals[3] = {open_signals(first, both, 1), open_signals(first, both, 2), open_signals(second, both, 2)};
    void *result;

    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(tn_block_on(first, wait_for_one, signals[0], &result), 0);
    cr_assert_eq((intptr_t)result, SIGUSR1);
    cr_assert_eq(tn_block_on(second, wait_for_one, signals[2], &result), 0);
    cr_assert_eq((intptr_t)result, SIGUSR1);
    cr_assert_eq(tn_signal_wait(signals[1]), SIGUSR1); /* in a plain thread */
    tn_signal_close(signals[2]);
    tt_runtime_destroy(second);
    tn_signal_close(signals[0]);
    cr_assert_eq(raise(SIGUSR2), 0); /* the last listener still keeps the default action away */
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(tn_signal_wait(signals[1]), SIGUSR1);
    cr_assert_eq(tn_signal_wait(signals[1]), SIGUSR2);
    tn_signal_close(signals[1]);
    cr_assert(has_handler(SIGUSR1, SIG_DFL) && has_handler(SIGUSR2, SIG_DFL));
    tt_runtime_destroy(first);
}

static void *send_to_process(void *arg)
{
    tt_check_eq(kill(getpid(), SIGUSR1), 0);
    return arg;
}

/* Its worker is the thread that is inside tn_block_on, which may sleep when the signal comes. */
Test(signals, work_in_a_current_thread_runtime)
{
    tn_options options = tt_options();
    tn_signal *signals;
    tn_runtime *runtime;
    pthread_t sender;
    void *result;

    options.flavor = TN_CURRENT_THREAD;
    options.workers = 0;
    options.worker_cpus = NULL;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, select_and_cancel, NULL, NULL), 0);
    signals = open_signals(runtime, both, 1);
    sender = tt_thread_start(send_to_process, NULL);
    cr_assert_eq(tn_block_on(runtime, wait_for_one, signals, &result), 0);
    cr_assert_eq((intptr_t)result, SIGUSR1);
    tt_thread_join(sender);
    tn_signal_close(signals);
    tt_runtime_destroy(runtime);
}

/* --- The former disposition ------------------------------------------------------------------------------------------------ */

static atomic_uint calls;

static void count_call(int number)
{
    (void)number;
    atomic_fetch_add(&calls, 1);
}

static void pass_on(int number)
{
    (void)number;
}

Test(signals, the_former_disposition_comes_back)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_signal *signals;

    set_handler(SIGUSR1, count_call);
    set_handler(SIGUSR2, SIG_IGN);
    signals = open_signals(runtime, both, 2);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(raise(SIGUSR2), 0);
    cr_assert_eq(atomic_load(&calls), 1);
    cr_assert_eq(tn_signal_wait(signals), SIGUSR1);
    cr_assert_eq(tn_signal_wait(signals), SIGUSR2);
    tn_signal_close(signals);
    cr_assert(has_handler(SIGUSR1, count_call) && has_handler(SIGUSR2, SIG_IGN));
    signals = open_signals(runtime, both, 2);
    set_handler(SIGUSR1, pass_on); /* it stays, because it was set later */
    tn_signal_close(signals);
    cr_assert(has_handler(SIGUSR1, pass_on) && has_handler(SIGUSR2, SIG_IGN));
    tt_runtime_destroy(runtime);
}

static void *wait_twice(void *arg)
{
    tn_signal *signals = open_signals(NULL, both, 1);

    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        tt_check(raise(SIGUSR1) == 0);
        tt_check_eq(tn_signal_wait(signals), SIGUSR1);
    }
    tn_signal_close(signals);
    return NULL;
}

Test(signals, work_in_tn_run_again_and_again)
{
    for (unsigned i = 0; i < 3; i++) {
        tn_options options = tt_options();
        cr_assert_eq(tn_run(wait_twice, NULL, &options), 0);
        cr_assert(has_handler(SIGUSR1, SIG_DFL));
    }
}

/* --- Other handlers of the program ----------------------------------------------------------------------------------------- */

static ucontext_t way_out;
static volatile sig_atomic_t has_left;

/* As by longjmp. */
static void leave(int number)
{
    has_left = number;
    (void)setcontext(&way_out);
}

static void block(int how, const int *numbers, unsigned count)
{
    sigset_t set;

    sigemptyset(&set);
    for (unsigned i = 0; i < count; i++)
        sigaddset(&set, numbers[i]);
    cr_assert_eq(pthread_sigmask(how, &set, NULL), 0);
}

/* Both signals are pending. If a handler of the program ran on top of the library's, that would never end. */
Test(signals, survive_a_handler_that_leaves_by_longjmp, .disabled = TT_TSAN) /* which runs handlers later */
{
    tn_runtime *runtime = tt_runtime_create();
    tn_signal *signals = open_signals(runtime, both, 1);

    set_handler(SIGUSR2, leave);
    for (int i = 0; i < 10; i++) {
        block(SIG_BLOCK, both, 2);
        cr_assert_eq(raise(SIGUSR1), 0);
        cr_assert_eq(raise(SIGUSR2), 0);
        has_left = 0;
        cr_assert_eq(getcontext(&way_out), 0);
        if (!has_left)
            block(SIG_UNBLOCK, both, 2);
        block(SIG_UNBLOCK, both, 2);
        TN_SCOPE(scope, tn_now() + 20 * TN_S);
        cr_assert_eq(tn_signal_wait(signals), SIGUSR1);
    }
    tn_signal_close(signals);
    tt_runtime_destroy(runtime);
}

static sigset_t mask_inside;

static void note_mask(int number)
{
    (void)number;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
}

/* The handler that was there has the mask that the kernel would give it, not that of the library's. */
Test(signals, the_former_handler_has_its_own_mask)
{
    static const int hup[] = {SIGHUP};
    tn_runtime *runtime = tt_runtime_create();
    struct sigaction action = {.sa_handler = note_mask};
    tn_signal *signals;

    sigaddset(&action.sa_mask, SIGWINCH);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    signals = open_signals(runtime, both, 1);
    block(SIG_BLOCK, hup, 1);
    cr_assert_eq(raise(SIGUSR1), 0);
    block(SIG_UNBLOCK, hup, 1);
    for (int number = 1; number < 32; number++)
        cr_assert_eq(sigismember(&mask_inside, number), number == SIGUSR1 || number == SIGWINCH || number == SIGHUP, "%d",
                     number);
    tn_signal_close(signals);
    tt_runtime_destroy(runtime);
}

/* --- Fork ------------------------------------------------------------------------------------------------------------------ */

/* In the child the signal has its default action. */
Test(signals, nothing_listens_in_a_child_of_fork)
{
    static const int term[] = {SIGTERM};
    tn_runtime *runtime = tt_runtime_create();
    tn_signal *signals = open_signals(runtime, term, 1);
    int status;
    pid_t child = TT_TSAN ? -1 : fork(); /* ThreadSanitizer delivers no signal in a child of several threads */

    if (child == 0) {
        (void)raise(SIGTERM);
        _exit(7);
    }
    if (!TT_TSAN) {
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    }
    expect_none(signals);
    tn_signal_close(signals);
    tt_runtime_destroy(runtime);
}

/* --- Stress ---------------------------------------------------------------------------------------------------------------- */

static atomic_bool stop;

/* The first goes to any thread. ThreadSanitizer does not handle it on a thread that sleeps in a futex, but the others at once. */
static void *send_storm(void *arg)
{
    while (!atomic_load(&stop)) {
        tt_check(kill(getpid(), SIGUSR1) == 0);
        tt_check(pthread_kill(pthread_self(), SIGUSR1) == 0);
        tt_check(pthread_kill(pthread_self(), SIGUSR2) == 0);
    }
    return arg;
}

static void *open_and_close(void *arg)
{
    for (unsigned long i = 0; i < tt_scaled(300); i++) {
        tn_signal *signals = open_signals(NULL, both, 1 + i % 2);
        TN_SCOPE(scope, tn_now() + (i % 3 == 0 ? TN_US : TN_S));
        int rc = tn_signal_wait(signals);
        tt_check(rc == SIGUSR1 || rc == SIGUSR2 || (rc == TN_ETIMEDOUT && i % 3 == 0));
        tn_signal_close(signals);
    }
    return arg;
}

/* Handlers run while listeners come and go; none is freed under a handler. */
Test(signals, listeners_come_and_go_in_a_storm)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[4];
    pthread_t senders[2];

    set_handler(SIGUSR1, SIG_IGN);
    set_handler(SIGUSR2, count_call);
    for (unsigned i = 0; i < 2; i++)
        senders[i] = tt_thread_start(send_storm, NULL);
    for (unsigned i = 0; i < 4; i++)
        tasks[i] = tt_spawn_on(runtime, open_and_close, NULL);
    for (unsigned i = 0; i < 4; i++)
        (void)tt_join(tasks[i]);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        tt_thread_join(senders[i]);
    cr_assert(has_handler(SIGUSR1, SIG_IGN) && has_handler(SIGUSR2, count_call));
    tt_runtime_destroy(runtime);
}
