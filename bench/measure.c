/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct row {
    const char *name;
    const char *unit;
    bool has_cpu;
    size_t count;
    double values[MEASURE_ROUNDS_MAX];
    double cpus[MEASURE_ROUNDS_MAX];
};

static struct row rows[MEASURE_ROWS_MAX];
static size_t row_count;

void measure_failed(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    _exit(1); /* it may be a task that says so: no clean-up beside running workers */
}

/* --- Rows ------------------------------------------------------------------------------------------------------------------- */

void measure_note(const char *name, const char *unit, double value, double cpu)
{
    struct row *row = rows;

    while (row < rows + row_count && strcmp(row->name, name) != 0)
        row++;
    if (row == rows + row_count) {
        measure_check(row_count < MEASURE_ROWS_MAX);
        row_count++;
        row->name = name;
        row->unit = unit;
        row->has_cpu = cpu >= 0;
    }
    measure_check(row->count < MEASURE_ROUNDS_MAX);
    row->values[row->count] = value;
    row->cpus[row->count++] = cpu;
    fprintf(stderr, "  %s %.1f %s\n", name, value, unit);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts them. */
static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

void measure_print(FILE *out)
{
    fprintf(out, "%-24s %10s %10s %10s %10s  %s\n", "case", "median", "min", "max", "cpu", "unit");
    for (struct row *row = rows; row < rows + row_count; row++) {
        double middle = median(row->values, row->count);
        fprintf(out, "%-24s %10.1f %10.1f %10.1f ", row->name, middle, row->values[0], row->values[row->count - 1]);
        if (row->has_cpu)
            fprintf(out, "%10.1f", median(row->cpus, row->count));
        else
            fprintf(out, "%10s", "-");
        fprintf(out, "  %s\n", row->unit);
    }
}

void measure_print_lines(FILE *out)
{
    for (struct row *row = rows; row < rows + row_count; row++) {
        for (size_t i = 0; i < row->count; i++) {
            fprintf(out, "{\"case\": \"%s\", \"unit\": \"%s\", \"value\": %.3f", row->name, row->unit, row->values[i]);
            if (row->has_cpu)
                fprintf(out, ", \"cpu\": %.3f", row->cpus[i]);
            fputs("}\n", out);
        }
    }
}

/* --- Stretches -------------------------------------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    measure_check(clock_gettime(clock, &time) == 0);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

measure_stretch measure_begin(void)
{
    measure_stretch stretch = {.cpu_ns = measure_cpu_ns(), .began_ns = clock_ns(CLOCK_MONOTONIC)};

    return stretch;
}

void measure_end(measure_stretch stretch, const char *name, const char *unit, double operations)
{
    double took = (double)(clock_ns(CLOCK_MONOTONIC) - stretch.began_ns);

    measure_note(name, unit, took / operations, (double)(measure_cpu_ns() - stretch.cpu_ns) / operations);
}

/* --- Spreads ---------------------------------------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void measure_sort(uint64_t *times_ns, size_t count)
{
    qsort(times_ns, count, sizeof *times_ns, compare_times);
}

uint64_t measure_percentile(const uint64_t *sorted_ns, size_t count, double percent)
{
    size_t index = (size_t)((double)count * percent / 100);

    return sorted_ns[index < count ? index : count - 1];
}

/* The highest time of the bucket that `time_ns` falls into. */
static uint64_t bucket_top(uint64_t time_ns)
{
    uint64_t width = 1;

    while (time_ns / width >= 2 * MEASURE_BUCKETS)
        width *= 2;
    return time_ns / width * width + width - 1;
}

void measure_print_buckets(FILE *out, const uint64_t *sorted_ns, size_t count)
{
    fputc('[', out);
    for (size_t at = 0; at < count;) {
        uint64_t top = bucket_top(sorted_ns[at]);
        size_t first = at;
        while (at < count && sorted_ns[at] <= top)
            at++;
        fprintf(out, "%s[%llu, %zu]", first == 0 ? "" : ", ", (unsigned long long)top, at - first);
    }
    fputc(']', out);
}

void measure_histogram(FILE *out, const char *title, uint64_t *times_ns, size_t count)
{
    static const double limits_ms[] = {0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 1e9};
    size_t at = 0;

    measure_sort(times_ns, count);
    fprintf(out, "\n%s: %zu times\n", title, count);
    for (size_t i = 0; i < sizeof limits_ms / sizeof *limits_ms && at < count; i++) {
        size_t first = at;
        int stars;
        while (at < count && (double)times_ns[at] < limits_ms[i] * 1e6)
            at++;
        stars = (int)((at - first) * 60 / count);
        if (limits_ms[i] < 1e9)
            fprintf(out, "  < %5.1f ms %8zu ", limits_ms[i], at - first);
        else
            fprintf(out, "  more       %8zu ", at - first);
        fprintf(out, "%.*s%s\n", stars, "************************************************************",
                stars == 0 && at > first ? "." : "");
    }
    fprintf(out, "  p50 %.3f  p90 %.3f  p99 %.3f  max %.3f ms\n", (double)measure_percentile(times_ns, count, 50) / 1e6,
            (double)measure_percentile(times_ns, count, 90) / 1e6, (double)measure_percentile(times_ns, count, 99) / 1e6,
            (double)times_ns[count - 1] / 1e6);
}

/* --- What the process has used ---------------------------------------------------------------------------------------------- */

uint64_t measure_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* The number behind `key` in a file of lines such as "VmRSS:  1234 kB"; 0 when there is none. */
static uint64_t number_in(const char *path, const char *key)
{
    char line[256];
    uint64_t number = 0;
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return 0; /* a thread that has ended meanwhile */
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtoull(line + strlen(key), NULL, 10);
    fclose(file);
    return number;
}

size_t measure_resident_bytes(void)
{
    uint64_t resident_kib = number_in("/proc/self/status", "VmRSS:");

    measure_check(resident_kib > 0);
    return (size_t)(resident_kib + number_in("/proc/self/status", "VmPTE:")) * 1024;
}

static uint64_t wakes_of(const char *thread)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", thread);
    return number_in(path, "voluntary_ctxt_switches:");
}

uint64_t measure_wakes_of_others(void)
{
    DIR *threads = opendir("/proc/self/task");
    const struct dirent *thread;
    uint64_t wakes = 0;

    measure_check(threads != NULL);
    while ((thread = readdir(threads)) != NULL)
        if (thread->d_name[0] != '.' && strtol(thread->d_name, NULL, 10) != (long)gettid())
            wakes += wakes_of(thread->d_name);
    closedir(threads);
    return wakes;
}
