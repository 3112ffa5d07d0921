/* Files: the same work by plain threads, with the system's calls, and by as many tasks. All of it is in the page cache: what is
 * measured is what the way to the pool and back costs. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"
#include "micro_cases.h"

enum { READERS_MAX = 16, SMALL_BYTES = 4096, PIECE_BYTES = 1 << 20 };

typedef struct {
    char folder[32];
    unsigned files;       /* named by number */
    uint64_t large_bytes; /* of the last one */
    uint64_t pieces;      /* to be read of that */
    atomic_uint_fast64_t next;
    atomic_bool over;
} library;

static void name_of(const library *self, uint64_t number, char out[64])
{
    measure_check(snprintf(out, 64, "%s/%u", self->folder, (unsigned)number) < 64);
}

static void make_library(library *self, unsigned files, uint64_t large_bytes)
{
    static const char data[PIECE_BYTES];

    memset(self, 0, sizeof *self);
    memcpy(self->folder, "/tmp/tn-micro-XXXXXX", sizeof "/tmp/tn-micro-XXXXXX");
    self->files = files;
    self->large_bytes = large_bytes;
    measure_check(mkdtemp(self->folder) != NULL);
    for (unsigned i = 0; i <= files; i++) {
        size_t piece = i < files ? SMALL_BYTES : PIECE_BYTES;
        uint64_t size = i < files ? SMALL_BYTES : large_bytes;
        char path[64];
        int fd;
        name_of(self, i, path);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        for (uint64_t done = 0; done < size; done += piece)
            measure_check(write(fd, data, piece) == (ssize_t)piece);
        measure_check(close(fd) == 0);
    }
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

/* Runs it `count` times at once, by plain threads, or by tasks of `runtime`, and notes the time. */
static void run_at_once(tn_runtime *runtime, void *(*entry)(void *arg), library *self, unsigned count, const char *name,
                        const char *unit, double operations)
{
    pthread_t threads[READERS_MAX];
    tn_task *tasks[READERS_MAX];
    uint64_t cpu_ns = measure_cpu_ns();
    uint64_t began_ns = tn_now();

    atomic_store(&self->next, 0);
    for (unsigned i = 0; i < count; i++)
        measure_check((runtime == NULL ? pthread_create(&threads[i], NULL, entry, self)
                                       : tn_spawn_on(runtime, NULL, &tasks[i], entry, self)) == 0);
    for (unsigned i = 0; i < count; i++)
        measure_check((runtime == NULL ? pthread_join(threads[i], NULL) : tn_join(tasks[i], NULL)) == 0);
    measure_note(name, unit, (double)(tn_now() - began_ns) / operations, (double)(measure_cpu_ns() - cpu_ns) / operations);
}

/* --- Many small ones ------------------------------------------------------------ */

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
    unsigned files = settings->quick ? 200 : 10000;
    tn_runtime *runtime = micro_start(settings);
    library self;

    make_library(&self, files, 0);
    run_at_once(NULL, threads_read_small, &self, READERS_MAX, "files_small_warm_up", "ns/file", files);
    run_at_once(runtime, tasks_read_small, &self, READERS_MAX, "files_small_tasks", "ns/file", files);
    run_at_once(NULL, threads_read_small, &self, READERS_MAX, "files_small_threads", "ns/file", files);
    micro_stop(runtime);
    remove_library(&self);
}

/* --- A large one ------------------------------------------------------------ */

static void *threads_read_large(void *arg)
{
    library *self = arg;
    char *buf = malloc(PIECE_BYTES);
    char path[64];
    uint64_t piece;
    int fd;

    name_of(self, self->files, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    measure_check(fd >= 0 && buf != NULL);
    while ((piece = atomic_fetch_add(&self->next, 1)) < self->pieces)
        measure_check(pread(fd, buf, PIECE_BYTES, (off_t)(piece * PIECE_BYTES % self->large_bytes)) == PIECE_BYTES);
    measure_check(close(fd) == 0);
    free(buf);
    return NULL;
}

static void *tasks_read_large(void *arg)
{
    library *self = arg;
    char *buf = malloc(PIECE_BYTES);
    char path[64];
    uint64_t piece;
    tn_file *file;

    name_of(self, self->files, path);
    measure_check(tn_file_open(&file, path, O_RDONLY, 0) == 0 && buf != NULL);
    while ((piece = atomic_fetch_add(&self->next, 1)) < self->pieces)
        measure_check(tn_file_pread(file, buf, PIECE_BYTES, (int64_t)(piece * PIECE_BYTES % self->large_bytes)) == PIECE_BYTES);
    tn_file_close(file);
    free(buf);
    return NULL;
}

static void *tick(void *arg)
{
    enum { TICKS_MAX = 100000 };
    static uint64_t late_ns[TICKS_MAX];
    library *self = arg;
    size_t count = 0;

    while (!atomic_load(&self->over) && count < TICKS_MAX) {
        uint64_t began_ns = tn_now();
        measure_check(tn_sleep(TN_MS) == 0);
        late_ns[count++] = tn_now() - began_ns - TN_MS;
    }
    measure_sort(late_ns, count);
    measure_note("files_large_tick_p99", "µs late", (double)measure_percentile(late_ns, count, 99) / 1e3, -1);
    return NULL;
}

void micro_files_large(const micro_settings *settings)
{
    uint64_t size = settings->quick ? UINT64_C(16) << 20 : UINT64_C(1) << 30;
    tn_runtime *runtime = micro_start(settings);
    double gib = 4 * (double)size / (1 << 30) * 1e6;
    tn_task *ticker;
    library self;

    make_library(&self, 0, size);
    self.pieces = 4 * (size / PIECE_BYTES);
    run_at_once(NULL, threads_read_large, &self, 4, "files_large_threads", "ms/GiB", gib);
    measure_check(tn_spawn_on(runtime, NULL, &ticker, tick, &self) == 0);
    run_at_once(runtime, tasks_read_large, &self, 4, "files_large_tasks", "ms/GiB", gib);
    atomic_store(&self.over, true);
    measure_check(tn_join(ticker, NULL) == 0);
    micro_stop(runtime);
    remove_library(&self);
}
