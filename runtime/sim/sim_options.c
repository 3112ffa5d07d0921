/* SPDX-License-Identifier: MIT */
/* Parsing and printing the options of a simulated program. */
#include "sim/sim_options.h"

#include <stdlib.h>
#include <string.h>

#include "sim/sim_choice.h"

#define PREEMPTIONS_USUAL 20000
#define VIRTUAL_SECONDS_USUAL 7200
#define EVENTS_USUAL 50000000
#define REAL_SECONDS_USUAL 120

static const char usage[] =
    "  --seeds COUNT        runs so many seeds (100)\n"
    "  --seed NUMBER        runs this seed alone\n"
    "  --first NUMBER       begins with this seed (1)\n"
    "  --fine               switches also before atomic operations of the library\n"
    "  --preemptions COUNT  fine mode: at most so many such switches a run (20000)\n"
    "  --trace              prints what each thread does, with virtual times, to stderr\n"
    "  --twice              makes each run twice and compares both traces\n"
    "  --fail KIND:NUMBER   lets the fault of this kind happen once, at its chance with this number, from 1\n"
    "  --without KIND       decisions or faults of this kind never happen\n"
    "  --starve THREAD      a thread of this name gets no processor: `tn-monitor` makes good what others have missed\n"
    "  --faults COUNT       no fault after so many\n"
    "  --size NAME=NUMBER   a number of the program (tn_sim_size)\n"
    "  --here               runs in this process, for debuggers\n"
    "  --stop-at EVENT      stops with SIGTRAP at this event of the trace\n"
    "  --keep-going         continues behind a failure\n"
    "  --virtual-seconds N  a run that takes more virtual time fails (7200)\n"
    "  --events COUNT       a run with more events fails (50000000)\n"
    "  --real-seconds N     a run that takes longer is killed (120)\n"
    "  --report             prints one line for each run, for tools/sim\n"
    "  -- ARGUMENT...       for the program\n";

static void print_usage(const char *program, FILE *to)
{
    (void)fprintf(to, "%s [OPTION...]: runs a simulation for each seed\n%s\nkinds:\n", program, usage);
#define KIND(name, text, meaning) (void)fprintf(to, "  %-11s %s\n", text, meaning);
    TNI_SIM_DECISIONS(KIND)
    (void)fprintf(to, "kinds of fault:\n");
    TNI_SIM_FAULTS(KIND)
#undef KIND
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0';
}

/* KIND:NUMBER; `first`: the first kind that is allowed. */
static bool parse_fail(tni_sim_choice_limits *limits, const char *text)
{
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    int kind = colon != NULL ? tni_sim_choice_find(text, (size_t)(colon - text)) : -1;

    return kind >= (int)TNI_SIM_FIRST_FAULT && parse_number(colon + 1, &limits->nth[kind]) && limits->nth[kind] > 0;
}

static bool parse_without(tni_sim_choice_limits *limits, const char *text)
{
    int kind = text != NULL ? tni_sim_choice_find(text, strlen(text)) : -1;

    if (kind >= 0)
        limits->without[kind] = true;
    return kind >= 0;
}

static bool parse_size(tni_sim_size *sizes, const char *text)
{
    const char *equals = text != NULL ? strchr(text, '=') : NULL;

    if (equals == NULL || (size_t)(equals - text) >= sizeof sizes->name || equals == text)
        return false;
    for (unsigned i = 0; i < TNI_SIM_SIZES_MAX; i++)
        if (sizes[i].name[0] == '\0') {
            memcpy(sizes[i].name, text, (size_t)(equals - text));
            return parse_number(equals + 1, &sizes[i].value);
        }
    return false;
}

/* The numbers among the options. NULL: `name` is none. */
static uint64_t *number_of(tni_sim_options *options, const char *name, uint64_t *real_seconds, uint64_t *virtual_seconds)
{
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"--seeds", &options->seeds},
        {"--first", &options->run.seed},
        {"--preemptions", &options->run.preemptions_max},
        {"--faults", &options->run.limits.faults_max},
        {"--stop-at", &options->run.stop_at},
        {"--events", &options->run.events_max},
        {"--real-seconds", real_seconds},
        {"--virtual-seconds", virtual_seconds},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return numbers[i].number;
    return NULL;
}

static bool *flag_of(tni_sim_options *options, bool *fine, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"--fine", fine},           {"--trace", &options->run.print}, {"--twice", &options->twice},
        {"--here", &options->here}, {"--report", &options->report},   {"--keep-going", &options->keep_going},
    };

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(flags[i].name, name) == 0)
            return flags[i].flag;
    return NULL;
}

/* An option with a value that is no number, or `--seed`. */
static bool parse_other(tni_sim_options *out, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0) {
        out->seeds = 1;
        return parse_number(value, &out->run.seed);
    }
    if (strcmp(name, "--starve") == 0) {
        out->run.starved = value;
        return value != NULL;
    }
    if (strcmp(name, "--fail") == 0)
        return parse_fail(&out->run.limits, value);
    if (strcmp(name, "--without") == 0)
        return parse_without(&out->run.limits, value);
    return strcmp(name, "--size") == 0 && parse_size(out->run.sizes, value);
}

int tni_sim_options_parse(tni_sim_options *out, int argc, char **argv)
{
    uint64_t real_seconds = REAL_SECONDS_USUAL;
    uint64_t virtual_seconds = VIRTUAL_SECONDS_USUAL;
    bool fine = false;

    *out = (tni_sim_options){.seeds = 100, .run = {.seed = 1, .events_max = EVENTS_USUAL}};
    out->run.limits.faults_max = UINT64_MAX;
    out->run.preemptions_max = PREEMPTIONS_USUAL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool *flag = flag_of(out, &fine, argv[i]);
        uint64_t *number = number_of(out, argv[i], &real_seconds, &virtual_seconds);
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--help") == 0) {
            print_usage(argv[0], stdout);
            return TNI_SIM_OPTIONS_HELP;
        }
        if (flag != NULL) {
            *flag = true;
        } else if (number != NULL ? parse_number(value, number) : parse_other(out, argv[i], value)) {
            i++;
        } else {
            (void)fprintf(stderr, "%s: %s: wrong option or value\n", argv[0], argv[i]);
            print_usage(argv[0], stderr);
            return 2;
        }
    }
    if (!fine)
        out->run.preemptions_max = 0;
    out->real_seconds = (unsigned)real_seconds;
    out->virtual_seconds = virtual_seconds;
    out->run.virtual_max_ns = virtual_seconds < 1000000000 ? virtual_seconds * 1000000000 : UINT64_MAX;
    return 0;
}

static void print_unless(FILE *to, const char *name, uint64_t value, uint64_t usual)
{
    if (value != usual)
        (void)fprintf(to, " %s %llu", name, (unsigned long long)value);
}

void tni_sim_options_print(const tni_sim_options *options, FILE *to)
{
    const tni_sim_choice_limits *limits = &options->run.limits;

    if (options->run.preemptions_max > 0)
        (void)fprintf(to, " --fine");
    if (options->run.preemptions_max > 0 && options->run.preemptions_max != PREEMPTIONS_USUAL)
        (void)fprintf(to, " --preemptions %llu", (unsigned long long)options->run.preemptions_max);
    for (unsigned kind = 0; kind < TNI_SIM_KINDS; kind++) {
        if (limits->nth[kind] != 0)
            (void)fprintf(to, " --fail %s:%llu", tni_sim_choice_name(kind), (unsigned long long)limits->nth[kind]);
        if (limits->without[kind])
            (void)fprintf(to, " --without %s", tni_sim_choice_name(kind));
    }
    if (options->run.starved != NULL)
        (void)fprintf(to, " --starve %s", options->run.starved);
    print_unless(to, "--faults", limits->faults_max, UINT64_MAX);
    print_unless(to, "--events", options->run.events_max, EVENTS_USUAL);
    print_unless(to, "--virtual-seconds", options->virtual_seconds, VIRTUAL_SECONDS_USUAL);
    print_unless(to, "--real-seconds", options->real_seconds, REAL_SECONDS_USUAL);
    for (unsigned i = 0; i < TNI_SIM_SIZES_MAX && options->run.sizes[i].name[0] != '\0'; i++)
        (void)fprintf(to, " --size %s=%llu", options->run.sizes[i].name, (unsigned long long)options->run.sizes[i].value);
}
