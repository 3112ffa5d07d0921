/* SPDX-License-Identifier: MIT */
/* The command line of the model checker: runs scenarios of this program (all, if none is named).
 *
 * PROGRAM [--list] [--bound N] [--beyond N] [--seconds N] [--replay TOKEN] [--full] [--outcomes] [--expect KIND]
 *   [--compare SEEDS] [SCENARIO...]
 *
 * --beyond: N preemptions more than the scenario's own bound. --seconds: stops after that time, which is no failure.
 * --compare: runs SEEDS programs at each bound up to 3 with and without the reduction; the sets of outcomes must be equal.
 * Exit status: 0 all results as expected, 1 not, 2 wrong use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

#define OUTCOMES_MAX 65536

static struct {
    int bound; /* -1: not given */
    unsigned beyond;
    double seconds; /* 0: until all is searched */
    const char *replay;
    const char *expect;
    unsigned compare;
    bool full; /* without the reduction */
    bool list;
    bool print_outcomes;
} options = {.bound = -1};

uint64_t model_seed;
static uint64_t outcomes[OUTCOMES_MAX];
static uint64_t other_outcomes[OUTCOMES_MAX];
static unsigned outcome_count;

void model_outcome(uint64_t outcome)
{
    unsigned i = 0;

    while (i < outcome_count && outcomes[i] < outcome)
        i++;
    if (outcome_count == OUTCOMES_MAX || (i < outcome_count && outcomes[i] == outcome))
        return;
    memmove(&outcomes[i + 1], &outcomes[i], (outcome_count - i) * sizeof outcomes[0]);
    outcomes[i] = outcome;
    outcome_count++;
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void progress(unsigned long executions, double begin)
{
    static double reported_at;
    double now = seconds();

    if (now - begin < 3 || now - reported_at < 3)
        return;
    reported_at = now;
    (void)fprintf(stderr, "  %s: %lu executions, %.0f s, %.0f per second\n", engine.scenario->name, executions, now - begin,
                  (double)executions / (now - begin));
}

/* Runs the token's execution again and prints it. False: it is no token. */
static bool replay(const char *token)
{
    if (!search_follow(token)) {
        (void)fprintf(stderr, "not a token: %s\n", token);
        return false;
    }
    engine.tracing = true;
    model_execute();
    trace_print();
    engine.tracing = false;
    if (engine.failure != NULL)
        printf("%s: %s\n", engine.failure, engine.message);
    return true;
}

static void print_outcomes(void)
{
    printf("  outcomes:");
    for (unsigned i = 0; i < outcome_count; i++)
        printf(" %llx", (unsigned long long)outcomes[i]);
    printf("\n");
}

static unsigned bound_of(const model_scenario *scenario)
{
    unsigned own = scenario->no_preemptions ? 0 : scenario->bound > 0 ? scenario->bound : 2;

    return options.bound >= 0 ? (unsigned)options.bound : own + options.beyond;
}

/* Whether --seconds have passed. */
static bool is_over(double begin)
{
    return options.seconds > 0 && seconds() - begin > options.seconds;
}

/* Returns whether the result is the expected one. */
static bool run(const model_scenario *scenario)
{
    unsigned bound = bound_of(scenario);
    const char *expect = options.expect != NULL ? options.expect : scenario->expect;
    unsigned long executions = 0;
    double begin = seconds();
    const char *kind;
    bool gave_up = false;
    static char token[65536];
    bool good;

    engine.scenario = scenario;
    outcome_count = 0;
    search_init(bound, !options.full);
    if (options.replay != NULL)
        return replay(options.replay) && engine.failure == NULL;
    do {
        model_execute();
        executions++;
        if (executions % 1024 != 0)
            continue;
        progress(executions, begin);
        gave_up = is_over(begin);
    } while (engine.failure == NULL && !gave_up && search_next());
    kind = engine.failure;
    printf("%s: bound %u, %lu executions, %u choices deep, %.2f s: %s\n", scenario->name, bound, executions, search_deepest(),
           seconds() - begin,
           kind != NULL ? kind
           : gave_up    ? "nothing found so far"
                        : "nothing found");
    if (options.print_outcomes)
        print_outcomes();
    if (kind == NULL)
        return expect == NULL || gave_up;
    (void)snprintf(token, sizeof token, "%s", search_token());
    good = replay(token) && engine.failure != NULL && strcmp(engine.failure, kind) == 0;
    if (!good)
        printf("the replay did not fail in the same way\n");
    good = good && expect != NULL && strcmp(kind, expect) == 0;
    printf("token: %s\n", token);
    return good;
}

static unsigned long explore(unsigned bound, bool reduce)
{
    unsigned long executions = 0;

    outcome_count = 0;
    search_init(bound, reduce);
    do {
        model_execute();
        executions++;
    } while (engine.failure == NULL && search_next());
    return executions;
}

/* The reduction must lose no outcome, at any bound. */
static bool compare(const model_scenario *scenario)
{
    unsigned long full = 0;
    unsigned long reduced = 0;

    engine.scenario = scenario;
    for (model_seed = 1; model_seed <= options.compare; model_seed++)
        for (unsigned bound = 0; bound <= 3; bound++) {
            unsigned count;
            full += explore(bound, false);
            count = outcome_count;
            memcpy(other_outcomes, outcomes, count * sizeof outcomes[0]);
            reduced += explore(bound, true);
            if (engine.failure != NULL || count != outcome_count ||
                memcmp(outcomes, other_outcomes, count * sizeof outcomes[0]) != 0) {
                printf("%s: seed %llu, bound %u: %u outcomes with the reduction, %u without; %s\n", scenario->name,
                       (unsigned long long)model_seed, bound, outcome_count, count, engine.failure != NULL ? engine.message : "");
                return false;
            }
        }
    printf("%s: %u programs, bounds 0 to 3: the same outcomes by %lu executions as by %lu\n", scenario->name, options.compare,
           reduced, full);
    return true;
}

static bool parse(int argc, char **argv, int *first)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--full") == 0)
            options.full = true;
        else if (strcmp(argv[i], "--list") == 0)
            options.list = true;
        else if (strcmp(argv[i], "--outcomes") == 0)
            options.print_outcomes = true;
        else if (value == NULL)
            return false;
        else if (strcmp(argv[i], "--bound") == 0)
            options.bound = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--beyond") == 0)
            options.beyond = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--compare") == 0)
            options.compare = (unsigned)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--replay") == 0)
            options.replay = argv[++i];
        else if (strcmp(argv[i], "--expect") == 0)
            options.expect = argv[++i];
        else
            return false;
    }
    *first = i;
    return true;
}

static bool is_named(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return count == 0;
}

int main(int argc, char **argv)
{
    int first;
    int ran = 0;
    int wrong = 0;

    if (!parse(argc, argv, &first)) {
        (void)fprintf(stderr,
                      "%s [--list] [--bound N] [--beyond N] [--seconds N] [--replay TOKEN] [--full] [--outcomes] "
                      "[--expect KIND] [--compare SEEDS] [SCENARIO...]\n",
                      argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    model_report_crashes();
    for (const model_scenario *s = model_scenarios; s->name != NULL; s++) {
        if (!is_named(s->name, argc - first, argv + first))
            continue;
        ran++;
        if (options.list)
            printf("%s\n", s->name);
        else if (!(options.compare > 0 ? compare(s) : run(s))) {
            wrong++;
            printf("%s: NOT as expected (%s)\n", s->name, s->expect != NULL ? s->expect : "holds");
        }
    }
    if (ran == 0)
        (void)fprintf(stderr, "no such scenario\n");
    return ran == 0 ? 2 : wrong > 0;
}
