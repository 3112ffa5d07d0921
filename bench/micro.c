/* SPDX-License-Identifier: MIT */
/* micro: what single operations of the runtime cost. README.md has the definitions, which other runtimes' programs share.
 *
 * A case is a function that measures one round of it. The rounds are the outer loop, so that all cases see the same weather, and
 * each starts a runtime of its own and warms it up before the clock starts. Every case checks that what it counts has been done.
 *
 * Run:   micro spawn_join yield_many --workers 2 --rounds 5
 */
#include <getopt.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "micro_cases.h"

typedef struct {
    const char *name;
    const char *text;
    void (*run)(const micro_settings *settings);
    bool wanted;
} micro_case;

static micro_case cases[] = {
    {"switch_loop", "200 contexts switched in turn on one thread, without a scheduler", micro_switch_loop, false},
    {"spawn_join", "a task spawns an empty one and joins it", micro_spawn_join, false},
    {"spawn_many_local", "a task spawns 10,000 empty ones and waits until all ran", micro_spawn_many_local, false},
    {"spawn_many_remote", "the same from a thread outside", micro_spawn_many_remote, false},
    {"yield_many", "200 tasks yield 1000 times each", micro_yield_many, false},
    {"chained_spawn", "each task spawns the next, 1000 deep", micro_chained_spawn, false},
    {"wake_local", "two tasks of one worker wake each other in turn", micro_wake_local, false},
    {"await_ready", "a ready operation, alone and under one deadline for all", micro_await_ready, false},
    {"timeout_unused", "a ready operation, within a second from now", micro_timeout_unused, false},
    {"await_for", "the same by a scope", micro_await_for, false},
    {"select_ready", "select over two ready futures", micro_select_ready, false},
    {"chan_pingpong", "two tasks, two channels of capacity 1, there and back", micro_chan_pingpong, false},
    {"ping_pong", "1000 tasks, each spawns a partner and exchanges two oneshots", micro_ping_pong, false},
    {"mpsc_1", "one sender, one receiver, capacity 1000", micro_mpsc_1, false},
    {"mpsc_4", "four senders, one receiver, capacity 1000", micro_mpsc_4, false},
    {"mutex_free", "lock and unlock a mutex that nobody else wants", micro_mutex_free, false},
    {"mutex_2", "2 tasks count under one mutex", micro_mutex_2, false},
    {"mutex_64", "64 tasks count under one mutex", micro_mutex_64, false},
    {"mutex_wake", "4 tasks, one mutex, a yield while holding it", micro_mutex_wake, false},
    {"semaphore_wake", "two tasks wake each other in turn by two semaphores", micro_semaphore_wake, false},
    {"timers", "1,000,000 stackless tasks, then as many fibers, asleep for 2 to 3 s", micro_timers, false},
    {"first_touch", "1,000,000 pages that lie 256 KiB apart are written first, without a scheduler", micro_first_touch, false},
    {"lateness", "how late sleeps of 1 to 50 ms end, on an idle and on a busy runtime", micro_lateness, false},
    {"takeover", "a task blocks its thread, or computes: how long does one beside it wait", micro_takeover, false},
    {"thread_wake", "two plain threads wake each other in turn, without a scheduler of ours", micro_thread_wake, false},
    {"spawn_blocking_batch", "a task gives 1000 jobs to the blocking pool and joins them", micro_spawn_blocking_batch, false},
    {"spawn_blocking_roundtrip", "a task gives one job to the blocking pool and joins it", micro_spawn_blocking_roundtrip, false},
    {"blocking_run", "a task makes one call by the blocking pool, which may let the worker make it", micro_blocking_run, false},
    {"blocking_submitters", "1 and 16 threads give jobs to the blocking pool", micro_blocking_submitters, false},
    {"blocking_sleepers", "512 jobs that sleep 100 ms", micro_blocking_sleepers, false},
    {"block_declared", "a task says that it blocks, and that it does not any more", micro_block_declared, false},
    {"block_eager", "a task hands its core to a replacement thread, which runs the next one", micro_block_eager, false},
    {"files_small", "10,000 files of 4 KiB read by 16 threads, and by 16 tasks", micro_files_small, false},
    {"files_large", "a cached file of 4 GiB read by 4 threads, and by 4 tasks", micro_files_large, false},
    {"read_lines", "a task reads lines by tn_reader, 2048 at once", micro_reading, false},
    {"read_lines_hand", "the same by a loop written by hand", micro_reading, false},
    {"read_lines_each", "a task reads lines by tn_reader, one at once", micro_reading, false},
    {"read_lines_each_hand", "the same by a loop written by hand", micro_reading, false},
    {"read_frames", "a task reads frames by tn_reader, 2048 at once", micro_reading, false},
    {"read_frames_hand", "the same by a loop written by hand", micro_reading, false},
    {"read_frames_each", "a task reads frames by tn_reader, one at once", micro_reading, false},
    {"read_frames_each_hand", "the same by a loop written by hand", micro_reading, false},
    {"io_read", "a task reads 32 bytes by tn_io", micro_reading, false},
    {"io_read_stream", "the same by tn_stream", micro_reading, false},
    {"idle", "what a runtime with nothing to do uses in 3 s", micro_idle, false},
    {"burst", "20,000 fibers, then 300,000 stackless tasks: memory before, at the peak, after", micro_burst, false},
    {"live", "1,000,000 tasks that all wait: to spawn, to hold, to wake one", micro_live, false},
};

enum { CASES = sizeof cases / sizeof *cases };

static int usage(FILE *out, int status)
{
    fputs("usage: micro [options] [case...]\n"
          "Measures single operations of the runtime; without a case, all of them. Prints a table.\n"
          "  --workers N     worker threads (default 2)\n"
          "  --rounds N      rounds, 1 to 100 (default 5)\n"
          "  --quick         a hundredth of the work or so: shows that it runs, the figures mean little\n"
          "  --count N       iterations of a case's loop; tasks in timers and live, pages in first_touch\n"
          "  --tasks KIND    stackless or fibers: timers and live measure only these\n"
          "  --lines         a line of JSON a figure instead of the table\n"
          "  --list          the cases\n"
          "  --help          this text\n",
          out);
    return status;
}

static int list(void)
{
    for (int i = 0; i < CASES; i++)
        printf("%-18s %s\n", cases[i].name, cases[i].text);
    return 0;
}

static micro_kind parse_kind(const char *text)
{
    if (strcmp(text, "stackless") == 0)
        return MICRO_STACKLESS;
    if (strcmp(text, "fibers") == 0)
        return MICRO_FIBERS;
    exit(usage(stderr, 2));
}

static unsigned parse_number(const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > max)
        exit(usage(stderr, 2));
    return (unsigned)value;
}

static void want(const char *name)
{
    for (int i = 0; i < CASES; i++)
        if (strcmp(cases[i].name, name) == 0) {
            cases[i].wanted = true;
            return;
        }
    fprintf(stderr, "micro: no case %s; --list shows them\n", name);
    exit(2);
}

typedef struct {
    micro_settings settings;
    unsigned rounds;
} command_line;

static command_line parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"workers", required_argument, NULL, 'w'}, {"rounds", required_argument, NULL, 'r'}, {"quick", no_argument, NULL, 'q'},
        {"count", required_argument, NULL, 'c'},   {"lines", no_argument, NULL, 'j'},        {"list", no_argument, NULL, 'l'},
        {"tasks", required_argument, NULL, 't'},   {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    command_line line = {.settings = {.workers = 2}, .rounds = 5};
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'w':
            line.settings.workers = parse_number(optarg, 1024);
            break;
        case 'r':
            line.rounds = parse_number(optarg, MEASURE_ROUNDS_MAX);
            break;
        case 'q':
            line.settings.quick = true;
            break;
        case 'j':
            line.settings.lines = true;
            break;
        case 'c':
            line.settings.count = (long)parse_number(optarg, 10000000);
            break;
        case 't':
            line.settings.kind = parse_kind(optarg);
            break;
        case 'l':
            exit(list());
        case 'h':
            exit(usage(stdout, 0));
        default:
            exit(usage(stderr, 2));
        }
    }
    for (int i = optind; i < argc; i++)
        want(argv[i]);
    for (int i = 0; i < CASES && optind == argc; i++)
        cases[i].wanted = true;
    return line;
}

int main(int argc, char **argv)
{
    command_line line = parse(argc, argv);

    for (unsigned round = 1; round <= line.rounds; round++) {
        for (int i = 0; i < CASES; i++) {
            if (!cases[i].wanted)
                continue;
            line.settings.name = cases[i].name;
            line.settings.last_round = round == line.rounds;
            fprintf(stderr, "round %u of %u: %s\n", round, line.rounds, cases[i].name);
            cases[i].run(&line.settings);
        }
    }
    if (line.settings.lines)
        measure_print_lines(stdout);
    else
        measure_print(stdout);
    return 0;
}
