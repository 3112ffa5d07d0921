/* SPDX-License-Identifier: MIT */
/* curl_demo: fetches files from a server by curl_task.h, and writes a hash of each (FNV-1a, 64 bits).
 *
 * Run:   curl_demo tasks BASE COUNT       COUNT files, BASE/0 to BASE/COUNT-1, by 20 tasks with a session each
 *        curl_demo session BASE COUNT     the same by one task, all at once in one session of 50 connections
 *        curl_demo deadline URL           a transfer that is ended by a deadline after a quarter of a second
 * See:   a line `number hash` for each file; exit status 1 if a transfer fails
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "curl_task.h"

enum { TASKS = 20, CONNECTIONS = 50 };

typedef struct file {
    CURL *easy;
    char url[256];
    uint64_t hash;
    bool fetched;
} file;

typedef struct demo {
    const char *command;
    const char *base;
    unsigned long count;
    file *files;
    unsigned long next; /* under the lock */
    tn_mutex lock;
} demo;

static size_t add_to_hash(char *data, size_t size, size_t count, void *arg)
{
    file *f = arg;

    for (size_t i = 0; i < size * count; i++)
        f->hash = (f->hash ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
    return size * count;
}

static void prepare(file *f)
{
    f->hash = UINT64_C(14695981039346656037);
    f->easy = curl_easy_init();
    if (f->easy == NULL)
        abort();
    (void)curl_easy_setopt(f->easy, CURLOPT_URL, f->url);
    (void)curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L); /* required in a program with threads */
    (void)curl_easy_setopt(f->easy, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, add_to_hash);
    (void)curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    (void)curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
}

static void finish(file *f, int rc, CURLcode result)
{
    f->fetched = rc == 0 && result == CURLE_OK;
    if (!f->fetched)
        (void)fprintf(stderr, "%s: %s, %s\n", f->url, tn_strerror(rc), curl_easy_strerror(result));
    curl_easy_cleanup(f->easy);
}

/* Takes the next file; NULL: there is none. */
static file *take(demo *d)
{
    file *f = NULL;

    if (tn_mutex_lock(&d->lock) != 0)
        return NULL;
    if (d->next < d->count)
        f = &d->files[d->next++];
    tn_mutex_unlock(&d->lock);
    return f;
}

static void *fetch_some(void *arg)
{
    demo *d = arg;
    curlt_session *session;
    file *f;

    if (curlt_open(&session, 0) != 0)
        abort();
    while ((f = take(d)) != NULL) {
        CURLcode result = CURLE_OK;
        prepare(f);
        int rc = curlt_perform(session, f->easy, &result);
        finish(f, rc, result);
    }
    curlt_close(session);
    return NULL;
}

static int run_tasks(demo *d)
{
    tn_task *tasks[TASKS];

    for (int i = 0; i < TASKS; i++)
        if (tn_spawn(&tasks[i], fetch_some, d) != 0)
            abort();
    for (int i = 0; i < TASKS; i++)
        (void)tn_join(tasks[i], NULL);
    return 0;
}

static int run_session(demo *d)
{
    curlt_session *session;
    CURL *easy;
    CURLcode result;
    int rc = curlt_open(&session, CONNECTIONS);

    if (rc != 0)
        return rc;
    for (unsigned long i = 0; i < d->count; i++) {
        prepare(&d->files[i]);
        if (curlt_add(session, d->files[i].easy) != CURLM_OK)
            abort();
    }
    while ((rc = curlt_next(session, &easy, &result)) == 0 && easy != NULL) {
        char *f;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &f);
        finish((file *)(void *)f, 0, result);
    }
    curlt_close(session);
    return rc;
}

static int run_deadline(demo *d)
{
    file f = {.easy = NULL};
    curlt_session *session;
    CURLcode result = CURLE_OK;
    tn_scope scope;
    int rc = curlt_open(&session, 0);

    if (rc != 0)
        return rc;
    (void)snprintf(f.url, sizeof f.url, "%s", d->base);
    prepare(&f);
    tn_scope_enter_for(&scope, TN_S / 4);
    rc = curlt_perform(session, f.easy, &result);
    tn_scope_leave(&scope);
    curl_easy_cleanup(f.easy);
    curlt_close(session);
    (void)printf("%s\n", tn_strerror(rc));
    return rc == TN_ETIMEDOUT ? 0 : -EIO;
}

static int fetch_all(demo *d)
{
    int rc;

    d->files = calloc(d->count, sizeof *d->files);
    if (d->files == NULL)
        return TN_ENOMEM;
    for (unsigned long i = 0; i < d->count; i++)
        (void)snprintf(d->files[i].url, sizeof d->files[i].url, "%s/%lu", d->base, i);
    rc = strcmp(d->command, "tasks") == 0 ? run_tasks(d) : run_session(d);
    for (unsigned long i = 0; i < d->count; i++) {
        if (d->files[i].fetched)
            (void)printf("%lu %016llx\n", i, (unsigned long long)d->files[i].hash);
        else
            rc = -EIO;
    }
    free(d->files);
    return rc;
}

static void *main_task(void *arg)
{
    demo *d = arg;

    return (void *)(intptr_t)(strcmp(d->command, "deadline") == 0 ? run_deadline(d) : fetch_all(d));
}

int main(int argc, char **argv)
{
    demo d = {.lock = TN_MUTEX_INIT};
    int rc;

    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "curl_demo: tasks|session BASE COUNT, or deadline URL\n");
        return 2;
    }
    d.command = argv[1];
    d.base = argv[2];
    d.count = argc == 4 ? strtoul(argv[3], NULL, 10) : 1;
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = tn_run(main_task, &d, NULL);
    curl_global_cleanup();
    if (rc != 0)
        (void)fprintf(stderr, "curl_demo: %s\n", tn_strerror(rc));
    return rc == 0 ? 0 : 1;
}
