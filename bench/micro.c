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
    {"wake_join", "two fibers wake each other in turn by a hand-written future", micro_wake_join, false},
    {"timeout_unused", "a ready operation: alone, under a deadline, within a second from now", micro_timeout_unused, false},
    {"select_ready", "select over two ready futures", micro_select_ready, false},
    {"timers", "1,000,000 stackless tasks and 100,000 fibers asleep for 2 to 3 s", micro_timers, false},
    {"lateness", "how late sleeps of 1 to 50 ms end, on an idle and on a busy runtime", micro_lateness, false},
    {"idle", "what a runtime with nothing to do uses in 3 s", micro_idle, false},
};

enum { CASES = sizeof cases / sizeof *cases };

static int usage(FILE *out, int status)
{
    fputs("usage: micro [options] [case...]\n"
          "Measures single operations of the runtime; without a case, all of them. Prints a table.\n"
          "  --workers N     worker threads (default 2)\n"
          "  --rounds N      rounds, 1 to 100 (default 5)\n"
          "  --quick         a hundredth of the work or so: shows that it runs, the figures mean little\n"
          "  --json FILE     the table as JSON too\n"
          "  --commit NAME   what is measured, for the JSON (default unknown)\n"
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

static unsigned parse_number(const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > max)
        exit(usage(stderr, 2));
    return (unsigned)value;
}

/* It stands in a JSON text. */
static const char *parse_name(const char *text)
{
    if (strpbrk(text, "\"\\\n") != NULL)
        exit(usage(stderr, 2));
    return text;
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
    const char *json;
    const char *commit;
} command_line;

static command_line parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"workers", required_argument, NULL, 'w'}, {"rounds", required_argument, NULL, 'r'},
        {"quick", no_argument, NULL, 'q'},         {"json", required_argument, NULL, 'j'},
        {"commit", required_argument, NULL, 'c'},  {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    command_line line = {.settings = {.workers = 2, .quick = false}, .rounds = 5, .json = NULL, .commit = "unknown"};
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
            line.json = optarg;
            break;
        case 'c':
            line.commit = parse_name(optarg);
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
            line.settings.last_round = round == line.rounds;
            fprintf(stderr, "round %u of %u: %s\n", round, line.rounds, cases[i].name);
            cases[i].run(&line.settings);
        }
    }
    measure_print(stdout);
    return line.json != NULL && measure_write_json(line.json, line.commit, line.settings.workers) != 0 ? 1 : 0;
}
