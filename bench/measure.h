/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: rows of values, one a round, printed as a table and as JSON; histograms; what the process
 * has used so far. For one thread. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MEASURE_ROUNDS_MAX = 100, MEASURE_ROWS_MAX = 64, MEASURE_BUCKETS = 64 };

/* Adds one round's value to the row `name`, which begins with its first value. All names and units are literals, and less is
 * always better. `cpu`: processor time of the same work in the same unit; negative: not meant for this row. */
void measure_note(const char *name, const char *unit, double value, double cpu);

/* Median, smallest and largest value of each row, in the order in which they began. */
void measure_print(FILE *out);

/* A line of JSON for each value of each row, for tools/bench: {"case": …, "unit": …, "value": …, "cpu": …}. */
void measure_print_lines(FILE *out);

/* A stretch of work: its time by the wall, and that of all processors. */
typedef struct {
    uint64_t began_ns;
    uint64_t cpu_ns;
} measure_stretch;

measure_stretch measure_begin(void);

/* Notes what one of `operations` took. */
void measure_end(measure_stretch stretch, const char *name, const char *unit, double operations);

/* Prints how `count` times in nanoseconds are spread, one line a class, and their percentiles. Sorts them. */
void measure_histogram(FILE *out, const char *title, uint64_t *times_ns, size_t count);

/* Prints the histogram of `count` sorted times as a JSON array of [highest time in ns, number of times], one pair per bucket
 * that is not empty. The buckets are log-linear as in HdrHistogram: MEASURE_BUCKETS equal ones per doubling, so a time is
 * reported at most 1 / MEASURE_BUCKETS too long. Below 2 * MEASURE_BUCKETS ns a bucket is one nanosecond. */
void measure_print_buckets(FILE *out, const uint64_t *sorted_ns, size_t count);

/* The value below which `percent` of the sorted times are. */
uint64_t measure_percentile(const uint64_t *sorted_ns, size_t count, double percent);
void measure_sort(uint64_t *times_ns, size_t count);

/* Processor time of all threads of this process. */
uint64_t measure_cpu_ns(void);

/* Resident memory of this process, with its page tables. */
size_t measure_resident_bytes(void);

/* Times that threads of this process but the calling one have gone to sleep by themselves: each had been awake for it. */
uint64_t measure_wakes_of_others(void);

/* A benchmark that did not do its work has no result: says what is wrong and ends the process. */
#define measure_check(cond) ((cond) ? (void)0 : measure_failed(__FILE__, __LINE__, #cond))
_Noreturn void measure_failed(const char *file, int line, const char *text);

#endif
