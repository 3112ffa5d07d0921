/* SPDX-License-Identifier: MIT */
/* Helpers for tests of tasks that keep their threads: such tasks, and the reports about them. */
#ifndef TT_STUCK_STAND_H
#define TT_STUCK_STAND_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <tn.h>

#include "support/runtime.h"

#define LIMIT_NS (60 * TN_S)

/* --- A text to which lines are added ---------------------------------------------------------------------------------------- */

typedef struct {
    char text[65536];
    size_t length;
    pthread_mutex_t lock;
} page;

static inline void add_line(void *ctx, const char *line)
{
    page *p = ctx;
    size_t length = strlen(line);

    pthread_mutex_lock(&p->lock);
    if (p->length + length + 2 <= sizeof p->text) {
        memcpy(p->text + p->length, line, length);
        p->length += length;
        p->text[p->length++] = '\n';
        p->text[p->length] = '\0';
    }
    pthread_mutex_unlock(&p->lock);
}

static inline void log_line(void *ctx, tn_log_level level, const char *line)
{
    (void)level;
    add_line(ctx, line);
}

static inline unsigned count_of(page *p, const char *what)
{
    unsigned count = 0;

    pthread_mutex_lock(&p->lock);
    for (const char *at = p->text; (at = strstr(at, what)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&p->lock);
    return count;
}

/* --- Tasks that keep their threads ------------------------------------------------------------------------------------------ */

typedef struct {
    atomic_bool over;
    atomic_uint inside;
    void (*keep)(void);
    _Atomic(const void *) site; /* return address of keep_here: where the task keeps its thread */
    uint64_t limit_ns;
    page page;
    unsigned wanted; /* number of reports to wait for */
} stand;

static inline void sleep_some(void)
{
    tt_block_thread(20 * TN_MS);
}

/* Has a frame of its own while it calls `keep`, so that the stack sample shows its caller. */
__attribute__((noinline)) static void keep_here(stand *s)
{
    atomic_store(&s->site, __builtin_return_address(0));
    while (!atomic_load(&s->over)) {
        tt_check(tn_now() < s->limit_ns);
        s->keep();
    }
    __asm__ volatile("" ::: "memory");
}

static inline void *keep_thread(void *arg)
{
    stand *s = arg;

    atomic_fetch_add(&s->inside, 1);
    keep_here(s);
    return NULL;
}

static inline bool has_said_it(void *arg)
{
    stand *s = arg;

    return count_of(&s->page, "spawned at") >= s->wanted && count_of(&s->page, "    #") + count_of(&s->page, "    it") > 0;
}

static inline stand *new_stand(void (*keep)(void))
{
    static stand s;

    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.page.lock, NULL);
    s.keep = keep;
    s.limit_ns = tn_now() + LIMIT_NS;
    s.wanted = 1;
    return &s;
}

/* Forced migration sends each task to one worker, where it would wait for the task that keeps that worker. */
static inline tn_options options_for(stand *s)
{
    tn_options options = tt_options();

    options.force_migration = false;
    options.log = log_line;
    options.log_ctx = &s->page;
    options.report_stuck_ns = 10 * TN_MS;
    options.stuck_after_ns = UINT64_MAX;
    return options;
}

static inline tn_runtime *create(const tn_options *options)
{
    tn_runtime *runtime;

    cr_assert_eq(tn_runtime_create(&runtime, options), 0);
    return runtime;
}

static inline void *block_shortly(void *arg)
{
    tt_block_thread((uint64_t)(uintptr_t)arg);
    return NULL;
}

#endif
