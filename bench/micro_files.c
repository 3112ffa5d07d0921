/* SPDX-License-Identifier: MIT */
/* Files: the same work by plain threads, with the system's calls, and by as many tasks, in turn. All of it is to be in the page
 * cache: what is measured is what a task adds to the system's calls. Beside each somebody sleeps for a millisecond again and
 * again, a thread or a task, and notes how late he is. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "micro_cases.h"

enum { READERS_MAX = 16, SMALL_BYTES = 4096, PIECE_BYTES = 1 << 20, PASSES = 3, TICKS_MAX = 100000 };

typedef struct {
    char folder[32];
    unsigned files;       /* named by number */
    uint64_t large_bytes; /* of one more */
    atomic_uint_fast64_t next;
    atomic_bool over; /* the one who sleeps ends */
    uint64_t late_ns[TICKS_MAX];
    size_t ticks;
} library;

static library shared;

static void name_of(const library *self, uint64_t number, char out[64])
{
    measure_check(snprintf(out, 64, "%s/%u", self->folder, (unsigned)number) < 64);
}

static int create(const library *self, unsigned number)
{
    char path[64];
    int fd;

    name_of(self, number, path);
    fd = open(path, O_CREAT | O_RDWR, 0600);
    measure_check(fd >= 0);
    return fd;
}

/* The large file is a hole: it takes no room on the disk, and as much of the page cache as any, once it has been read. */
static library *make_library(unsigned files, uint64_t large_bytes)
{
    static const char data[SMALL_BYTES];
    library *self = &shared;

    self->files = files;
    self->large_bytes = large_bytes;
    memcpy(self->folder, "/tmp/tn-micro-XXXXXX", sizeof "/tmp/tn-micro-XXXXXX");
    measure_check(mkdtemp(self->folder) != NULL);
    for (unsigned i = 0; i <= files; i++) {
        int fd = create(self, i);
        measure_check(i == files ? ftruncate(fd, (off_t)large_bytes) == 0 : write(fd, data, SMALL_BYTES) == SMALL_BYTES);
        measure_check(close(fd) == 0);
    }
    return self;
}

static void remove_library(const library *self)
{
    char path[64];

    for (unsigned i = 0; i <= self->files; i++) {
        name_of(self, i, path);
        measure_check(unlink(path) == 0);
    }
    measure_check(rmdir(self->folder) == 0);
}

/* --- Who sleeps beside ------------------------------------------------------------------------------------------------------ */

static void tick(library *self, void (*sleep_a_millisecond)(void))
{
    self->ticks = 0;
    while (!atomic_load(&self->over) && self->ticks < TICKS_MAX) {
        uint64_t began_ns = tn_now();
        sleep_a_millisecond();
        self->late_ns[self->ticks++] = tn_now() - began_ns - TN_MS;
    }
}

static void sleep_as_thread(void)
{
    struct timespec pause = {0, 1000000};

    measure_check(nanosleep(&pause, NULL) == 0);
}

static void sleep_as_task(void)
{
    measure_check(tn_sleep(TN_MS) == 0);
}

static void *tick_as_thread(void *arg)
{
    tick(arg, sleep_as_thread);
    return NULL;
}

static void *tick_as_task(void *arg)
{
    tick(arg, sleep_as_task);
    return NULL;
}

/* --- One pass --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *wall;
    const char *cpu;
    const char *late;
} names;

/* Who reads: plain threads, or tasks of `runtime`. */
typedef struct {
    tn_runtime *runtime;
    void *(*read)(void *library);
    void *(*tick)(void *library);
    names rows; /* NULL: not noted */
} readers;

typedef struct {
    pthread_t thread;
    tn_task *task;
} runner;

static void start(const readers *who, runner *out, void *(*entry)(void *arg), library *self)
{
    measure_check((who->runtime == NULL ? pthread_create(&out->thread, NULL, entry, self)
                                        : tn_spawn_on(who->runtime, NULL, &out->task, entry, self)) == 0);
}

static void finish(const readers *who, runner *it)
{
    measure_check((who->runtime == NULL ? pthread_join(it->thread, NULL) : tn_join(it->task, NULL)) == 0);
}

static void run_pass(const readers *who, library *self, unsigned count, const char *const units[2], double operations)
{
    runner all[READERS_MAX];
    runner ticker;
    uint64_t cpu_ns = measure_cpu_ns();
    uint64_t began_ns = tn_now();
    double took;

    atomic_store(&self->next, 0);
    atomic_store(&self->over, false);
    start(who, &ticker, who->tick, self);
    for (unsigned i = 0; i < count; i++)
        start(who, &all[i], who->read, self);
    for (unsigned i = 0; i < count; i++)
        finish(who, &all[i]);
    took = (double)(tn_now() - began_ns);
    cpu_ns = measure_cpu_ns() - cpu_ns;
    atomic_store(&self->over, true);
    finish(who, &ticker);
    if (who->rows.wall == NULL)
        return;
    measure_note(who->rows.wall, units[0], took / operations, -1);
    measure_note(who->rows.cpu, units[1], (double)cpu_ns / operations, -1);
    measure_sort(self->late_ns, self->ticks);
    measure_note(who->rows.late, "us late", (double)measure_percentile(self->late_ns, self->ticks, 99) / 1e3, -1);
}

/* The first pass brings everything into the page cache. */
static void run_in_turn(library *self, const readers *tasks, const readers *threads, unsigned count, const char *const units[2],
                        double operations)
{
    readers warm_up = *threads;

    warm_up.rows = (names){NULL, NULL, NULL};
    run_pass(&warm_up, self, count, units, operations);
    warm_up = *tasks;
    warm_up.rows = (names){NULL, NULL, NULL};
    run_pass(&warm_up, self, count, units, operations);
    for (unsigned i = 0; i < PASSES; i++) {
        run_pass(tasks, self, count, units, operations);
        run_pass(threads, self, count, units, operations);
    }
}

/* --- Many small ones -------------------------------------------------------------------------------------------------------- */

static void *threads_read_small(void *arg)
{
    library *self = arg;
    uint64_t number;

    while ((number = atomic_fetch_add(&self->next, 1)) < self->files) {
        struct stat status;
        char path[64];
        char *data;
        int fd;
        name_of(self, number, path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        measure_check(fd >= 0 && fstat(fd, &status) == 0);
        data = malloc((size_t)status.st_size + 1);
        measure_check(data != NULL && read(fd, data, (size_t)status.st_size + 1) == SMALL_BYTES);
        measure_check(read(fd, data, 1) == 0); /* the end has been seen, as tn_fs_read_file does */
        measure_check(close(fd) == 0);
        free(data);
    }
    return NULL;
}

static void *tasks_read_small(void *arg)
{
    library *self = arg;
    uint64_t number;

    while ((number = atomic_fetch_add(&self->next, 1)) < self->files) {
        tn_contents contents;
        char path[64];
        name_of(self, number, path);
        measure_check(tn_fs_read_file(path, SIZE_MAX, &contents) == 0 && contents.size == SMALL_BYTES);
        tn_contents_fini(&contents);
    }
    return NULL;
}

void micro_files_small(const micro_settings *settings)
{
    static const char *const units[2] = {"ns/file", "cpu_ns/file"};
    library *self = make_library(settings->quick ? 200 : 10000, 0);
    readers tasks = {
        micro_start(settings), tasks_read_small, tick_as_task, {"files_small", "files_small_cpu", "files_small_tick"}};
    readers threads = {
        NULL, threads_read_small, tick_as_thread, {"files_small_threads", "files_small_cpu_threads", "files_small_tick_threads"}};

    run_in_turn(self, &tasks, &threads, READERS_MAX, units, self->files);
    micro_stop(tasks.runtime);
    remove_library(self);
}

/* --- A large one ------------------------------------------------------------------------------------------------------------ */

static bool next_piece(library *self, int64_t *offset)
{
    *offset = (int64_t)(atomic_fetch_add(&self->next, 1) * PIECE_BYTES);
    return *offset < (int64_t)self->large_bytes;
}

static void *threads_read_large(void *arg)
{
    library *self = arg;
    char *buf = malloc(PIECE_BYTES);
    char path[64];
    int64_t offset;
    int fd;

    name_of(self, self->files, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    measure_check(fd >= 0 && buf != NULL);
    while (next_piece(self, &offset))
        measure_check(pread(fd, buf, PIECE_BYTES, offset) == PIECE_BYTES);
    measure_check(close(fd) == 0);
    free(buf);
    return NULL;
}

static void *tasks_read_large(void *arg)
{
    library *self = arg;
    char *buf = malloc(PIECE_BYTES);
    char path[64];
    int64_t offset;
    tn_file *file;

    name_of(self, self->files, path);
    measure_check(tn_file_open(&file, path, O_RDONLY, 0) == 0 && buf != NULL);
    while (next_piece(self, &offset))
        measure_check(tn_file_pread(file, buf, PIECE_BYTES, offset) == PIECE_BYTES);
    tn_file_close(file);
    free(buf);
    return NULL;
}

/* Percent of the large file that are not in the page cache. */
static double uncached(const library *self)
{
    size_t pages = self->large_bytes / (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *resident = malloc(pages);
    size_t missing = 0;
    char path[64];
    void *map;
    int fd;

    name_of(self, self->files, path);
    fd = open(path, O_RDONLY);
    map = mmap(NULL, self->large_bytes, PROT_READ, MAP_SHARED, fd, 0);
    measure_check(fd >= 0 && map != MAP_FAILED && resident != NULL && mincore(map, self->large_bytes, resident) == 0);
    for (size_t i = 0; i < pages; i++)
        missing += (resident[i] & 1) == 0;
    measure_check(munmap(map, self->large_bytes) == 0 && close(fd) == 0);
    free(resident);
    return 100 * (double)missing / (double)pages;
}

/* 4 GiB, or as much as half of the memory holds. */
static uint64_t large_size(const micro_settings *settings)
{
    uint64_t half = (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGESIZE) / PIECE_BYTES * PIECE_BYTES;
    uint64_t size = UINT64_C(4) << 30;

    if (settings->quick)
        return UINT64_C(16) << 20;
    return size < half ? size : half;
}

void micro_files_large(const micro_settings *settings)
{
    static const char *const units[2] = {"ms/GiB", "cpu_ms/GiB"};
    library *self = make_library(0, large_size(settings));
    readers tasks = {
        micro_start(settings), tasks_read_large, tick_as_task, {"files_large", "files_large_cpu", "files_large_tick"}};
    readers threads = {
        NULL, threads_read_large, tick_as_thread, {"files_large_threads", "files_large_cpu_threads", "files_large_tick_threads"}};

    run_in_turn(self, &tasks, &threads, 4, units, (double)self->large_bytes / (1 << 30) * 1e6);
    measure_note("files_large_uncached", "% of the file", uncached(self), -1);
    micro_stop(tasks.runtime);
    remove_library(self);
}
