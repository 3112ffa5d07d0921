#include "measure.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
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

/* The processor's name, of plain characters; "unknown" where the system does not tell. */
static void processor_name(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");

    snprintf(name, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        size_t length = 0;
        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        for (colon += strspn(colon, ": \t"); *colon != '\0' && length + 1 < size; colon++)
            if (*colon >= ' ' && *colon <= '~' && *colon != '"' && *colon != '\\')
                name[length++] = *colon;
        name[length] = '\0';
        break;
    }
    if (file != NULL)
        fclose(file);
}

int measure_write_json(const char *path, const char *commit, unsigned workers)
{
    FILE *out = fopen(path, "w");
    struct utsname system;
    char processor[128];
    bool ok;

    if (out == NULL) {
        fprintf(stderr, "cannot write %s: %m\n", path);
        return -1;
    }
    measure_check(uname(&system) == 0);
    processor_name(processor, sizeof processor);
    fprintf(out, "{\"machine\": {\"processor\": \"%s\", \"cpus\": %ld, \"system\": \"%s %s %s\"},\n", processor,
            sysconf(_SC_NPROCESSORS_ONLN), system.sysname, system.release, system.machine);
    fprintf(out, " \"commit\": \"%s\",\n \"rows\": [", commit);
    for (struct row *row = rows; row < rows + row_count; row++) {
        double middle = median(row->values, row->count);
        fprintf(out,
                "%s\n  {\"case\": \"%s\", \"params\": {\"workers\": %u}, \"unit\": \"%s\", \"better\": \"lower\",\n"
                "   \"results\": {\"tournant\": {\"median\": %.3f, \"min\": %.3f, \"max\": %.3f, \"runs\": %zu}}}",
                row == rows ? "" : ",", row->name, workers, row->unit, middle, row->values[0], row->values[row->count - 1],
                row->count);
    }
    fprintf(out, "\n ]}\n");
    ok = ferror(out) == 0;
    ok = fclose(out) == 0 && ok;
    if (!ok)
        fprintf(stderr, "cannot write %s\n", path);
    return ok ? 0 : -1;
}

/* --- Spreads ---------------------------------------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void measure_sort(uint64_t *times_ns, size_t count) { qsort(times_ns, count, sizeof *times_ns, compare_times); }

uint64_t measure_percentile(const uint64_t *sorted_ns, size_t count, double percent)
{
    size_t index = (size_t)((double)count * percent / 100);

    return sorted_ns[index < count ? index : count - 1];
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
    struct timespec used;

    measure_check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

size_t measure_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    char line[256];
    char *resident;

    measure_check(file != NULL);
    measure_check(fgets(line, sizeof line, file) != NULL);
    fclose(file);
    resident = strchr(line, ' '); /* the second number */
    measure_check(resident != NULL);
    return strtoul(resident, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t wakes_of(const char *thread)
{
    static const char key[] = "voluntary_ctxt_switches:";
    char path[64];
    char line[256];
    uint64_t wakes = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", thread);
    file = fopen(path, "r");
    if (file == NULL)
        return 0; /* it has ended meanwhile */
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, sizeof key - 1) == 0)
            wakes = strtoull(line + sizeof key - 1, NULL, 10);
    fclose(file);
    return wakes;
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
