#include "support/runtime.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long environment_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoul(text, NULL, 10) : otherwise;
}

tn_options tt_options(void)
{
    tn_options options = tn_options_default();

    options.workers = (unsigned)environment_number("TN_TEST_WORKERS", 2);
    options.force_migration = environment_number("TN_TEST_MIGRATE", 0) != 0;
    return options;
}

tn_runtime *tt_runtime_create(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    int rc = tn_runtime_create(&runtime, &options);

    cr_assert_eq(rc, 0, "tn_runtime_create: %s", tn_strerror(rc));
    return runtime;
}

void tt_runtime_destroy(tn_runtime *runtime)
{
    size_t left = tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 30 * TN_S);

    cr_assert_eq(left, 0, "%zu tasks did not end", left);
}

void tt_run(tn_entry_fn entry, void *arg)
{
    tn_runtime *runtime = tt_runtime_create();
    int rc = tn_block_on(runtime, entry, arg, NULL);

    cr_assert_eq(rc, 0, "tn_block_on: %s", tn_strerror(rc));
    tt_runtime_destroy(runtime);
}

unsigned long tt_scaled(unsigned long count)
{
    unsigned long scaled = count * environment_number("TN_TEST_SCALE", 100) / 100;

    return scaled > 0 ? scaled : 1;
}

static unsigned entries(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;

    cr_assert_not_null(dir, "cannot read %s", folder);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

unsigned tt_threads(void)
{
    return entries("/proc/self/task");
}

unsigned tt_files(void)
{
    return entries("/proc/self/fd") - 1;
}

size_t tt_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0;
    unsigned long resident = 0;

    cr_assert_not_null(file, "cannot read /proc/self/statm");
    cr_assert_eq(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}
