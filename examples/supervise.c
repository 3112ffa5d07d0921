/* SPDX-License-Identifier: MIT */
/* supervise: runs a program, and starts it again when it ends.
 *
 * It shows child processes: the lines that the program writes are read through a pipe, and written with its number in front. A
 * program that fails is started again after a pause, which grows twofold from 0.1 s to 10 s; one that has run for 10 s begins
 * with the shortest pause again. A program that ends with status 0 is not started again. SIGTERM and SIGINT are passed on. If the
 * program has not ended 5 s later, it is killed with all that it has started.
 *
 * Run:     supervise PROGRAM [ARGUMENT]...
 * Prints:  the program's output, and on stderr what happens to it
 */
#include <signal.h>
#include <stdio.h>

#include <tn.h>

#define PAUSE_MIN_NS (100 * TN_MS)
#define PAUSE_MAX_NS (10 * TN_S)
#define GOOD_RUN_NS (10 * TN_S)
#define GRACE_NS (5 * TN_S)

static const char *const *command;

/* In a fiber of its own, until the program and all that it has started have closed their output. */
static void *copy_lines(void *arg)
{
    tn_io out = tn_process_take_pipe(arg, 1);
    int id = (int)tn_process_id(arg);
    tn_reader reader;
    tn_bytes line;

    if (tn_reader_init(&reader, out, NULL) == 0) {
        while (tn_reader_line(&reader, &line, 65536) == 1)
            printf("[%d] %.*s\n", id, (int)line.size, (const char *)line.data);
        tn_reader_fini(&reader);
    }
    tn_io_close(out);
    (void)fflush(stdout);
    return NULL;
}

/* Waits for the end, and passes the first signal on. The program is killed if there is a second one, or if it has not ended some
 * time after the first. Returns the first one; 0: none. */
static int watch(tn_process *process, tn_signal *signals, tn_process_end *end)
{
    tn_process_future over;
    tn_signal_future arrived;
    tn_future *both[] = {&over.base, &arrived.base};
    tn_scope scope;
    int asked = 0;
    int result;

    tn_process_wait_init(&over, process);
    tn_signal_wait_init(&arrived, signals);
    tn_scope_enter(&scope, TN_NEVER);
    while (tn_select(both, 2, &result) == 1 && result > 0) {
        if (asked != 0)
            break; /* the second one is not passed on */
        asked = result;
        fprintf(stderr, "supervise: signal %d for %d\n", asked, (int)tn_process_id(process));
        (void)tn_process_send_group(process, asked);
        tn_future_drop(&arrived.base);
        tn_signal_wait_init(&arrived, signals);
        tn_scope_leave(&scope);
        tn_scope_enter_for(&scope, GRACE_NS);
    }
    tn_scope_leave(&scope);
    tn_future_drop(&over.base);
    tn_future_drop(&arrived.base);
    (void)tn_process_send_group(process, SIGKILL); /* no effect if it has ended */
    (void)tn_process_wait(process, end);
    return asked;
}

/* Another process may have inherited the pipe, and keep it open. */
static void end_reader(tn_task *reader)
{
    tn_scope scope;
    int rc;

    tn_scope_enter_for(&scope, TN_S);
    rc = tn_join(reader, NULL);
    tn_scope_leave(&scope);
    if (rc != TN_ETIMEDOUT)
        return;
    tn_cancel(reader);
    (void)tn_join(reader, NULL);
}

/* Runs the program once. Returns true if it shall be started again. */
static bool run_once(tn_signal *signals)
{
    tn_process_options options = tn_process_options_default();
    tn_process_end end = {.code = -1};
    const char *failed = NULL;
    tn_process *process;
    tn_task *reader;
    int asked;
    int rc;

    options.out = TN_PROCESS_PIPE;
    options.new_group = true;
    options.group_ends = true;
    options.failed = &failed;
    rc = tn_process_start(&process, command, &options);
    if (rc != 0) {
        fprintf(stderr, "supervise: %s: %s: %s\n", command[0], failed, tn_strerror(rc));
        return false;
    }
    rc = tn_spawn(&reader, copy_lines, process);
    asked = watch(process, signals, &end);
    if (rc == 0)
        end_reader(reader);
    if (end.signal != 0)
        fprintf(stderr, "supervise: %d ended by signal %d\n", (int)tn_process_id(process), end.signal);
    else
        fprintf(stderr, "supervise: %d ended with status %d\n", (int)tn_process_id(process), end.code);
    tn_process_close(process);
    return asked == 0 && end.code != 0;
}

/* Returns false if a signal ends the pause. */
static bool pause_for(tn_signal *signals, uint64_t ns)
{
    tn_scope scope;
    int rc;

    tn_scope_enter_for(&scope, ns);
    rc = tn_signal_wait(signals);
    tn_scope_leave(&scope);
    return rc == TN_ETIMEDOUT;
}

static void *supervise(void *arg)
{
    const int numbers[] = {SIGTERM, SIGINT};
    uint64_t pause_ns = PAUSE_MIN_NS;
    tn_signal *signals;
    int rc = tn_signal_open(&signals, NULL, numbers, 2);

    if (rc != 0)
        return (void *)(intptr_t)rc;
    for (;;) {
        uint64_t begin_ns = tn_now();
        if (!run_once(signals))
            break;
        if (tn_now() - begin_ns > GOOD_RUN_NS)
            pause_ns = PAUSE_MIN_NS;
        if (!pause_for(signals, pause_ns))
            break;
        pause_ns = pause_ns * 2 < PAUSE_MAX_NS ? pause_ns * 2 : PAUSE_MAX_NS;
    }
    tn_signal_close(signals);
    return arg;
}

int main(int argc, char **argv)
{
    int rc;

    if (argc < 2) {
        fprintf(stderr, "usage: supervise PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    command = (const char *const *)argv + 1;
    rc = tn_run(supervise, NULL, NULL);
    if (rc != 0)
        fprintf(stderr, "supervise: %s\n", tn_strerror(rc));
    return rc != 0;
}
