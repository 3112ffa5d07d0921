/* SPDX-License-Identifier: MIT */
/* The command line of a simulated program. */
#ifndef TNI_SIM_OPTIONS_H
#define TNI_SIM_OPTIONS_H

#include <stdio.h>

#include "sim/sim_run.h"

typedef struct {
    tni_sim_run_options run;  /* with the first seed */
    uint64_t seeds;           /* how many, from that one on */
    bool twice;               /* each run is made twice, and the digests are compared */
    bool here;                /* one run, in this process, for debuggers */
    bool report;              /* lines for tools/sim */
    bool keep_going;          /* behind a failure */
    unsigned real_seconds;    /* a run that takes longer is killed */
    uint64_t virtual_seconds; /* as given; run.virtual_max_ns has the limit */
} tni_sim_options;

/* Returns 0, or an exit status after a message: 0 plus 256 for --help, 2. */
int tni_sim_options_parse(tni_sim_options *out, int argc, char **argv);

/* Prints the options that differ from the defaults, for a line that repeats a run. */
void tni_sim_options_print(const tni_sim_options *options, FILE *to);

enum { TNI_SIM_OPTIONS_HELP = 256 };

#endif
