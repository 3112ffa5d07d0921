/* SPDX-License-Identifier: MIT */
/* tn_resource_pool: resources that are used by one task at a time.
 *
 * A semaphore has a permit for each resource that may exist. A task takes a permit, then an idle resource, or makes one; it
 * gives the resource back, then the permit. So waiting, fairness and cancellation are those of the semaphore.
 *
 * Never more than `size_max`: a holder of a permit has at most one resource, one that it makes or checks included. A resource
 * is made only by a holder that found none idle, under the lock. At that moment all resources are of other holders, so there
 * are at most `size_max` - 1. From then on resources only pass between holders and the idle ones. A holder that puts a
 * resource back still has its permit, and one that closes a resource does so before it makes another, or gives its permit
 * back. A close of the pool closes idle resources without a permit: a resource that is made at that time was begun when none
 * was idle, and no other is made afterwards.
 *
 * Nothing leaks by cancellation: after the permit the only suspensions are in the functions of the options. If `open` fails
 * there is no resource; if `check` fails the resource is closed. In both cases the permit goes back. If the fiber is abandoned in
 * one of them, or in the `close` of a release or a trim, the end of a scope around them gives the permit back.
 *
 * No task starves: each acquire needs one permit, which the semaphore grants in the order of the calls. */
#include <tn/resource_pool.h>

#include <string.h>

#include <tn/semaphore.h>

#include "base/alloc.h"
#include "base/options.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "short_lock.h"

#define SIZE_DEFAULT 10
#define SIZE_LARGEST ((size_t)1 << 20)

typedef struct {
    void *resource;
    uint64_t since_ns; /* when it was put back */
} idle_entry;

struct tn_resource_pool {
    tn_semaphore permits;
    tn_resource_pool_options options; /* constant */
    tn_allocator allocator;
    tni_short_lock lock; /* protects what follows */
    bool closed;
    size_t in_use;
    uint64_t opened;
    uint64_t ended;
    size_t first; /* entries[first … end): the idle resources, the one that was used last at the end */
    size_t end;
    idle_entry entries[]; /* size_max */
};

/* --- Idle resources -------------------------------------------------------------------------------------------------------- */

/* Takes the one that was used last, and returns 0. TN_EAGAIN: the caller makes one, which counts as in use from now on.
 * TN_EPIPE: the pool is closed. */
static int take_last(tn_resource_pool *pool, idle_entry *out)
{
    int rc = TN_EAGAIN;

    tni_short_lock_acquire(&pool->lock);
    if (pool->closed) {
        rc = TN_EPIPE;
    } else if (pool->first < pool->end) {
        *out = pool->entries[--pool->end];
        rc = 0;
    }
    pool->in_use += rc != TN_EPIPE;
    tni_short_lock_release(&pool->lock);
    return rc;
}

/* Takes the one that has been idle longest if that is since before `before_ns`. */
static bool take_oldest(tn_resource_pool *pool, uint64_t before_ns, void **out)
{
    bool found;

    tni_short_lock_acquire(&pool->lock);
    found = pool->first < pool->end && pool->entries[pool->first].since_ns < before_ns;
    if (found) {
        *out = pool->entries[pool->first++].resource;
        pool->ended++;
    }
    tni_short_lock_release(&pool->lock);
    return found;
}

/* False: the pool is closed, and the resource must be. The caller still has its permit, so there is space. */
static bool put_back(tn_resource_pool *pool, void *resource, uint64_t now_ns)
{
    bool open;

    tni_short_lock_acquire(&pool->lock);
    open = !pool->closed;
    if (open) {
        if (pool->end == pool->options.size_max) {
            memmove(pool->entries, pool->entries + pool->first, (pool->end - pool->first) * sizeof pool->entries[0]);
            pool->end -= pool->first;
            pool->first = 0;
        }
        pool->entries[pool->end++] = (idle_entry){resource, now_ns};
        pool->in_use--;
    }
    tni_short_lock_release(&pool->lock);
    return open;
}

/* One that was in use does not exist any more, or was never made. */
static void count_ended(tn_resource_pool *pool, bool existed)
{
    tni_short_lock_acquire(&pool->lock);
    pool->in_use--;
    pool->ended += existed;
    tni_short_lock_release(&pool->lock);
}

static size_t close_older(tn_resource_pool *pool, uint64_t before_ns)
{
    void *resource;
    size_t count = 0;

    for (; take_oldest(pool, before_ns, &resource); count++)
        pool->options.close(pool->options.arg, resource);
    return count;
}

/* The caller has a permit, and no resource. */
static size_t close_expired(tn_resource_pool *pool, uint64_t now_ns)
{
    if (pool->options.idle_ns == 0 || now_ns < pool->options.idle_ns)
        return 0;
    return close_older(pool, now_ns - pool->options.idle_ns);
}

/* A call that has a permit, in the caller's frame. */
typedef struct {
    tn_scope scope; /* around the functions of the options */
    tn_resource_pool *pool;
    bool uses; /* a resource of this call counts as in use */
} holder;

/* If the fiber is abandoned there, its place is free again. The resource stays as it is. */
static void holder_end(tn_scope *scope, bool abandoned)
{
    const holder *self = tni_container_of(scope, holder, scope);

    if (!abandoned)
        return;
    if (self->uses)
        count_ended(self->pool, false);
    tn_semaphore_release(&self->pool->permits, 1);
}

static void holder_begin(holder *self)
{
    tn_scope_enter(&self->scope, TN_NEVER);
    tni_scope_on_end(&self->scope, holder_end);
}

size_t tn_resource_pool_trim(tn_resource_pool *pool)
{
    holder self = {.pool = pool};
    size_t count;

    if (tn_semaphore_try_acquire(&pool->permits, 1) != 0)
        return 0; /* all are in use, so none is idle; or the pool is closed */
    holder_begin(&self);
    count = close_expired(pool, tn_now());
    tn_scope_leave(&self.scope);
    tn_semaphore_release(&pool->permits, 1);
    return count;
}

/* --- Acquire and release --------------------------------------------------------------------------------------------------- */

static bool is_usable(const tn_resource_pool *pool, const idle_entry *entry)
{
    const tn_resource_pool_options *options = &pool->options;
    uint64_t now_ns = tn_now();
    uint64_t idle_ns = now_ns > entry->since_ns ? now_ns - entry->since_ns : 0;

    if (options->idle_ns != 0 && idle_ns > options->idle_ns)
        return false;
    return options->check == NULL || idle_ns < options->check_ns || options->check(options->arg, entry->resource) == 0;
}

/* The caller has a permit. */
static int get(tn_resource_pool *pool, void **resource)
{
    idle_entry entry;
    int rc;

    while ((rc = take_last(pool, &entry)) == 0) {
        if (is_usable(pool, &entry)) {
            *resource = entry.resource;
            return 0;
        }
        pool->options.close(pool->options.arg, entry.resource);
        count_ended(pool, true);
        rc = tn_checkpoint(); /* if a scope has ended the check, it also ends this call */
        if (rc != 0)
            return rc;
    }
    if (rc == TN_EPIPE)
        return rc;
    rc = pool->options.open(pool->options.arg, resource);
    if (rc != 0) {
        count_ended(pool, false);
        return rc;
    }
    tni_short_lock_acquire(&pool->lock);
    pool->opened++;
    tni_short_lock_release(&pool->lock);
    return 0;
}

int tn_resource_pool_acquire(tn_resource_pool *pool, void **resource)
{
    holder self = {.pool = pool, .uses = true};
    int rc = tn_semaphore_acquire(&pool->permits, 1);

    if (rc != 0)
        return rc;
    holder_begin(&self);
    rc = get(pool, resource);
    tn_scope_leave(&self.scope);
    if (rc != 0)
        tn_semaphore_release(&pool->permits, 1);
    return rc;
}

void tn_resource_pool_release(tn_resource_pool *pool, void *resource, bool reusable)
{
    holder self = {.pool = pool, .uses = true};
    uint64_t now_ns = tn_now();

    holder_begin(&self);
    if (!reusable || !put_back(pool, resource, now_ns)) {
        pool->options.close(pool->options.arg, resource);
        count_ended(pool, true);
    }
    self.uses = false;
    (void)close_expired(pool, now_ns);
    tn_scope_leave(&self.scope);
    tn_semaphore_release(&pool->permits, 1);
}

int tn_resource_pool_count(tn_resource_pool *pool, tn_resource_pool_counters *counters)
{
    tn_resource_pool_counters found = {.size = counters->size};

    if (counters->size < TNI_OPTIONS_END(counters, closed) || counters->size > sizeof found)
        return TN_EINVAL;
    tni_short_lock_acquire(&pool->lock);
    found.idle = pool->end - pool->first;
    found.in_use = pool->in_use;
    found.opened = pool->opened;
    found.closed = pool->ended;
    tni_short_lock_release(&pool->lock);
    *counters = found;
    return 0;
}

/* --- Making and ending ----------------------------------------------------------------------------------------------------- */

static int options_copy(tn_resource_pool_options *out, const tn_resource_pool_options *given)
{
    static const char call[] = "tn_resource_pool_create";
    int rc = tni_options_read(out, allocator, given, tni_runtime_log_here(), call);

    if (rc != 0)
        return rc;
    if (out->open == NULL || out->close == NULL)
        return tni_options_refuse(tni_runtime_log_here(), call, "open or close is missing: set both");
    if (out->size_max > SIZE_LARGEST)
        return tni_options_refuse(tni_runtime_log_here(), call, "size_max is too large: at most 2^20");
    if (out->size_max == 0)
        out->size_max = SIZE_DEFAULT;
    return tni_options_check_allocator(out->allocator, tni_runtime_log_here(), call);
}

int tn_resource_pool_create(tn_resource_pool **out, const tn_resource_pool_options *options)
{
    tn_resource_pool_options chosen = tn_resource_pool_options_default();
    const tn_allocator *allocator;
    tn_resource_pool *pool;
    int rc = options_copy(&chosen, options);

    if (rc != 0)
        return rc;
    allocator = chosen.allocator != NULL ? chosen.allocator : &tni_alloc_default;
    pool = tni_alloc(allocator, sizeof *pool + chosen.size_max * sizeof pool->entries[0], _Alignof(tn_resource_pool));
    if (pool == NULL)
        return TN_ENOMEM;
    memset(pool, 0, sizeof *pool);
    pool->allocator = *allocator;
    pool->options = chosen;
    tn_semaphore_init(&pool->permits, chosen.size_max);
    *out = pool;
    return 0;
}

void tn_resource_pool_close(tn_resource_pool *pool)
{
    tn_semaphore_close(&pool->permits);
    tni_short_lock_acquire(&pool->lock);
    pool->closed = true;
    tni_short_lock_release(&pool->lock);
    (void)close_older(pool, UINT64_MAX);
}

void tn_resource_pool_destroy(tn_resource_pool *pool)
{
    tn_allocator allocator;

    if (pool == NULL)
        return;
    tn_resource_pool_close(pool);
    tni_assert(pool->in_use == 0, "tn_resource_pool_destroy: a resource is in use");
    tn_semaphore_fini(&pool->permits);
    allocator = pool->allocator;
    tni_free(&allocator, pool, sizeof *pool + pool->options.size_max * sizeof pool->entries[0]);
}
