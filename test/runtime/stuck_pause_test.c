/* SPDX-License-Identifier: MIT */
/* A process that is stopped again and again, as one that has used up its quota of processor time: no task is reported for the
 * time that the process did not have. */
/* ctest: timeout=120 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tn.h>

#include "stuck_stand.h"

#define PAUSES 25
#define RUNNING_NS (20 * TN_MS)
#define PAUSE_NS (100 * TN_MS)
/* Longer than any run, with much room, and shorter than a pause. */
#define REPORT_NS (80 * TN_MS)

static atomic_bool over;

static void compute(void)
{
    struct timespec used;
    uint64_t end_ns;

    tt_check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    end_ns = (uint64_t)used.tv_sec * TN_S + (uint64_t)used.tv_nsec + 3 * TN_MS;
    do
        tt_check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    while ((uint64_t)used.tv_sec * TN_S + (uint64_t)used.tv_nsec < end_ns);
}

static void *run_briefly(void *arg)
{
    while (!atomic_load(&over)) {
        if (arg == NULL)
            compute();
        else
            tt_block_thread(3 * TN_MS);
        tt_check(tn_yield() == 0);
    }
    return NULL;
}

/* A process that stops its parent. It ends with an error if the parent has gone. */
static pid_t start_pauses(void)
{
    pid_t parent = getpid();
    pid_t child = fork();

    if (child != 0)
        return child;
    for (int i = 0; i < PAUSES; i++) {
        tt_block_thread(RUNNING_NS);
        if (getppid() != parent || kill(parent, SIGSTOP) != 0)
            _exit(1);
        tt_block_thread(PAUSE_NS);
        (void)kill(parent, SIGCONT);
    }
    _exit(0);
}

static void run_with_pauses(void *arg)
{
    stand *s = new_stand(NULL);
    tn_options options = options_for(s);
    tn_task *tasks[4];
    tn_runtime *runtime;
    pid_t pauses = start_pauses(); /* before there are threads */
    int status = -1;

    (void)arg;
    tt_check(pauses > 0);
    options.report_stuck_ns = REPORT_NS;
    options.workers = 2;
    runtime = create(&options);
    for (intptr_t i = 0; i < 4; i++)
        tasks[i] = tt_spawn_on(runtime, run_briefly, (void *)(i % 2));
    tt_check(waitpid(pauses, &status, 0) == pauses && status == 0);
    atomic_store(&over, true);
    for (int i = 0; i < 4; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
    (void)fputs(s->page.text, stderr);
    if (count_of(&s->page, "has kept its thread") != 0)
        exit(1);
}

Test(stuck_pause, no_task_is_reported_for_a_pause_of_the_process)
{
    tt_child child = tt_fork(run_with_pauses, NULL);

    cr_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0, "%s", child.said);
}
