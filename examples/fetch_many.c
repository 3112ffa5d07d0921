/* SPDX-License-Identifier: MIT */
/* fetch_many: fetches many URLs at the same time, each by an ordinary blocking call of libcurl in a fiber of its own.
 *
 * It shows what happens to a library that knows nothing of fibers: nothing. curl_easy_perform sleeps in poll() and keeps its
 * thread; the runtime sees that, and gives the core to another thread, so the other downloads begin and the clock below goes on.
 * Nobody has to say that the call blocks. (tn_block_in_place says so, and then the core goes a few milliseconds earlier;
 * tn_run_blocking has the call made by a thread of the pool, for thousands of downloads at once: as they stand here, no more wait
 * at the same time than there are workers and replacement threads, options.replacement_threads_max.)
 *
 * A core is given away after four milliseconds, and sooner each time while its next task blocks, too: with two workers forty
 * downloads are under way after some thirty milliseconds on an idle machine. What comes behind them in the queue, as the clock
 * may, waits as long once.
 *
 * Why it is safe: what a library keeps in thread-local variables (errno, OpenSSL's list of errors) stays right within a call,
 * because a fiber changes its thread only where it suspends, and nothing in libcurl does. Each fiber has its own easy handle. The
 * stack of a fiber (256 KiB) is enough: a download by HTTP has been seen to use 8 KiB of it (tn_options.measure_stacks).
 *
 * Run:   fetch_many http://127.0.0.1:8080/ http://127.0.0.1:8080/index.html …
 * See:   a line a URL: status, bytes, milliseconds, URL; every 100 ms on stderr how many are done; at the end how late that clock
 *        was at most
 */
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <tn.h>

enum { TICK_MS = 100, PATIENCE_S = 60 };

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
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* as in any program with threads */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)PATIENCE_S);
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

/* Tells every 100 ms how far they are, whatever the downloads do. */
static void *tell(void *arg)
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
    fprintf(stderr, "the clock was at most %.1f ms late\n", (double)worst_ns / 1e6);
    return NULL;
}

static void *fetch_all(void *arg)
{
    downloads *all = arg;
    download *each = calloc(all->count, sizeof *each);
    tn_task *clock = NULL;

    if (each == NULL || tn_spawn(&clock, tell, all) != 0) {
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
    tn_join(clock, NULL);
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
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) /* before there are threads */
        return 1;
    rc = tn_run(fetch_all, &all, NULL);
    if (rc < 0)
        fprintf(stderr, "fetch_many: cannot start: %s\n", tn_strerror(rc));
    curl_global_cleanup();
    return rc < 0 || atomic_load(&all.failed) > 0 ? 1 : 0;
}
