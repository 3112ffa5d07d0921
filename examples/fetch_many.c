/* SPDX-License-Identifier: MIT */
/* fetch_many: fetches many URLs at the same time, each by an ordinary blocking call of libcurl in its own fiber.
 *
 * It shows that a library works unchanged if it does not know of fibers. curl_easy_perform sleeps in poll() and keeps its
 * thread. The runtime notices that and hands the core over to a replacement thread. So the other downloads begin, and the
 * progress report below continues. The program does not have to announce that the call blocks.
 *
 * Two calls do more. With tn_block_in_place the core is handed over a few milliseconds earlier. With tn_run_blocking a thread
 * of the blocking pool makes the call, so thousands of downloads can run at once. Here at most as many wait at the same time as
 * there are workers and replacement threads (options.replacement_threads_max).
 *
 * A core is handed over after four milliseconds, and sooner each time while its next task blocks too. With two workers, forty
 * downloads are under way after some thirty milliseconds on an idle machine. Tasks behind them in the queue, such as the
 * progress report, may be delayed by that time once.
 *
 * Why it is safe: thread-local variables of a library (errno, OpenSSL's error queue) stay valid within a call, because a fiber
 * changes its thread only where it suspends, and libcurl does not suspend. Each fiber has its own easy handle. The stack of a
 * fiber (256 KiB) is large enough: a download by HTTP used 8 KiB of it (tn_options.measure_stacks).
 *
 * Run:   fetch_many http://127.0.0.1:8080/ http://127.0.0.1:8080/index.html …
 * See:   one line per URL: status, bytes, milliseconds, URL; every 100 ms on stderr how many are done; at the end how late a
 *        progress report was at most
 */
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <tn.h>

enum { TICK_MS = 100, TIMEOUT_S = 60 };

typedef struct downloads {
    char **urls;
    unsigned count;
    atomic_uint done;
    atomic_uint failed;
} downloads;

typedef struct download {
    downloads *all;
    const char *url;
    tn_task *task;
    size_t bytes;
} download;

static size_t count_bytes(char *data, size_t size, size_t count, void *arg)
{
    download *self = arg;

    (void)data;
    self->bytes += size * count;
    return size * count;
}

static CURLcode perform(download *self, long *status)
{
    CURL *curl = curl_easy_init();
    CURLcode rc;

    if (curl == NULL)
        return CURLE_OUT_OF_MEMORY;
    curl_easy_setopt(curl, CURLOPT_URL, self->url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* required in a program with threads */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, self);
    rc = curl_easy_perform(curl); /* blocks */
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_easy_cleanup(curl);
    return rc;
}

static void *fetch(void *arg)
{
    download *self = arg;
    uint64_t began_ns = tn_now();
    long status = 0;
    CURLcode rc = perform(self, &status);

    if (rc == CURLE_OK)
        printf("%ld %zu bytes %.0f ms %s\n", status, self->bytes, (double)(tn_now() - began_ns) / 1e6, self->url);
    else
        printf("failed: %s: %s\n", self->url, curl_easy_strerror(rc));
    if (rc != CURLE_OK || status != 200)
        atomic_fetch_add(&self->all->failed, 1);
    atomic_fetch_add(&self->all->done, 1);
    return NULL;
}

/* Reports every 100 ms how many downloads are done, and at the end how late a report was at most. */
static void *report_progress(void *arg)
{
    downloads *all = arg;
    uint64_t worst_ns = 0;
    unsigned done;

    while ((done = atomic_load(&all->done)) < all->count) {
        uint64_t due_ns = tn_now() + TICK_MS * TN_MS;
        if (tn_sleep(TICK_MS * TN_MS) != 0)
            break;
        if (tn_now() - due_ns > worst_ns)
            worst_ns = tn_now() - due_ns;
        fprintf(stderr, "%u of %u done\n", done, all->count);
    }
    fprintf(stderr, "progress reports were at most %.1f ms late\n", (double)worst_ns / 1e6);
    return NULL;
}

static void *fetch_all(void *arg)
{
    downloads *all = arg;
    download *each = calloc(all->count, sizeof *each);
    tn_task *reporter = NULL;

    if (each == NULL || tn_spawn(&reporter, report_progress, all) != 0) {
        atomic_store(&all->failed, all->count);
        free(each);
        return NULL;
    }
    for (unsigned i = 0; i < all->count; i++) {
        each[i] = (download){.all = all, .url = all->urls[i]};
        if (tn_spawn(&each[i].task, fetch, &each[i]) == 0)
            continue;
        atomic_fetch_add(&all->failed, 1); /* and each[i].task is NULL */
        atomic_fetch_add(&all->done, 1);
    }
    for (unsigned i = 0; i < all->count; i++)
        if (each[i].task != NULL)
            tn_join(each[i].task, NULL);
    tn_join(reporter, NULL);
    free(each);
    return NULL;
}

int main(int argc, char **argv)
{
    downloads all = {.urls = argv + 1, .count = (unsigned)argc - 1};
    int rc;

    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: fetch_many URL...\n");
        return 2;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) /* before other threads exist */
        return 1;
    rc = tn_run(fetch_all, &all, NULL);
    if (rc < 0)
        fprintf(stderr, "fetch_many: cannot start: %s\n", tn_strerror(rc));
    curl_global_cleanup();
    return rc < 0 || atomic_load(&all.failed) > 0 ? 1 : 0;
}
