/* SPDX-License-Identifier: MIT */
/* Lookups in flight. lookups.h has the protocol. */
#include "names/lookups.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/order.h"
#include "pool/pool_upcalls.h"
#include "scope/scope.h"

struct tni_lookups {
    tni_os_mutex lock;
    tni_list lookups;    /* T */
    unsigned references; /* T: the pool, and each lookup */
    tn_allocator allocator;
};

/* A caller of a lookup; in its frame. */
typedef struct {
    tn_future base;
    tn_scope scope; /* around the wait; its end leaves the lookup */
    tni_lookup *lookup;
    tni_list_node node; /* T */
    tn_waker *waker;    /* T: owned; NULL: none */
    bool linked;        /* T: in `waiters` */
} waiter;

/* --- The table -------------------------------------------------------------------------------------------------------------- */

static void table_unref(tni_lookups *table)
{
    tn_allocator allocator = table->allocator;
    bool last;

    tni_os_mutex_lock(&table->lock);
    last = --table->references == 0;
    tni_os_mutex_unlock(&table->lock);
    if (!last)
        return;
    tni_os_mutex_fini(&table->lock);
    tni_free(&allocator, table, sizeof *table);
}

void tni_lookups_release(void *table)
{
    if (table != NULL)
        table_unref(table);
}

/* The table of the pool, made by the first lookup; NULL: no memory. */
static tni_lookups *table_of(tni_pool *pool)
{
    const tn_allocator *allocator = &pool->runtime->allocator;
    /* Observes the table's initialization; partner: table_of. */
    void *found = tni_aptr_load(&pool->lookups, TNI_ACQUIRE);
    tni_lookups *table;

    tni_order_acquire(); /* another thread may have made the table's lock, which ThreadSanitizer sees */
    if (found != NULL)
        return found;
    table = tni_alloc(allocator, sizeof *table, _Alignof(tni_lookups));
    if (table == NULL)
        return NULL;
    tni_os_mutex_init(&table->lock);
    table->lookups = (tni_list){NULL, NULL};
    table->references = 1;
    table->allocator = *allocator;
    tni_order_release();
    /* Publishes the table; on failure observes that of the thread that was first. */
    if (tni_aptr_cas(&pool->lookups, &found, table, TNI_ACQ_REL))
        return table;
    tni_order_acquire();
    table_unref(table);
    return found;
}

/* --- Lookups ---------------------------------------------------------------------------------------------------------------- */

static void free_lookup(tni_lookup *lookup)
{
    tni_lookups *table = lookup->table;
    tn_allocator allocator = table->allocator;

    tn_names_fini(&lookup->names);
    tni_free(&allocator, lookup, sizeof *lookup);
    table_unref(table);
}

/* Lock held. True: the caller must free it, without the lock. */
static bool unref_locked(tni_lookup *lookup)
{
    tni_os_mutex_assert_held(&lookup->table->lock);
    return --lookup->references == 0;
}

static bool lookup_run(tni_work *work)
{
    tni_lookup *lookup = tni_container_of(work, tni_lookup, work);

    lookup->error = lookup->ask(&lookup->table->allocator, lookup->host, lookup->has_service ? lookup->service : NULL,
                                &lookup->names);
    return false;
}

static void lookup_complete(tni_work *work, int error)
{
    tni_lookup *lookup = tni_container_of(work, tni_lookup, work);
    tni_lookups *table = lookup->table;
    bool last;

    tni_os_mutex_lock(&table->lock);
    tni_list_remove(&table->lookups, &lookup->node);
    if (error != 0)
        lookup->error = error;
    lookup->done = true;
    while (lookup->waiters.first != NULL) {
        waiter *self = tni_container_of(tni_list_take_first(&lookup->waiters), waiter, node);
        self->linked = false;
        if (self->waker != NULL)
            tn_waker_wake(self->waker);
        self->waker = NULL;
    }
    last = unref_locked(lookup);
    tni_os_mutex_unlock(&table->lock);
    if (last)
        free_lookup(lookup);
}

static const tni_work_ops lookup_ops = {lookup_run, lookup_complete};

static tni_lookup *make(tni_lookups *table, tni_pool *pool, const char *host, const char *service)
{
    tni_lookup *lookup = tni_alloc(&table->allocator, sizeof *lookup, _Alignof(tni_lookup));

    if (lookup == NULL)
        return NULL;
    tni_pool_work_init(&lookup->work, &lookup_ops, TNI_POOL_NAMES);
    lookup->table = table;
    lookup->pool = pool;
    lookup->waiters = (tni_list){NULL, NULL};
    lookup->references = 1; /* the pool */
    lookup->done = false;
    lookup->error = 0;
    lookup->names = (tn_names){.free = table->allocator.free, .free_ctx = table->allocator.ctx};
    memcpy(lookup->host, host, strlen(host) + 1);
    lookup->has_service = service != NULL;
    if (service != NULL)
        memcpy(lookup->service, service, strlen(service) + 1);
    return lookup;
}

/* --- Joining and leaving ---------------------------------------------------------------------------------------------------- */

static bool is_equal(const tni_lookup *lookup, const char *host, const char *service)
{
    if (lookup->has_service != (service != NULL) || strcasecmp(lookup->host, host) != 0)
        return false;
    return service == NULL || strcmp(lookup->service, service) == 0;
}

static void join_locked(waiter *self, tni_lookup *lookup)
{
    tni_os_mutex_assert_held(&lookup->table->lock);
    lookup->references++;
    self->lookup = lookup;
    tni_list_append(&lookup->waiters, &self->node);
    self->linked = true;
}

static bool join_equal_locked(waiter *self, tni_lookups *table, const char *host, const char *service)
{
    tni_os_mutex_assert_held(&table->lock);
    for (tni_list_node *node = table->lookups.first; node != NULL; node = node->next) {
        tni_lookup *lookup = tni_container_of(node, tni_lookup, node);
        if (is_equal(lookup, host, service)) {
            join_locked(self, lookup);
            return true;
        }
    }
    return false;
}

static bool join_equal(waiter *self, tni_lookups *table, const char *host, const char *service)
{
    bool joined;

    tni_os_mutex_lock(&table->lock);
    joined = join_equal_locked(self, table, host, service);
    tni_os_mutex_unlock(&table->lock);
    return joined;
}

/* The caller has reserved a slot. Another one may have asked the same since it looked. */
static int enter(waiter *self, tni_lookups *table, tni_lookup *fresh, const char *host, const char *service)
{
    bool joined;

    if (fresh == NULL)
        return TN_ENOMEM;
    tni_os_mutex_lock(&table->lock);
    table->references++; /* of `fresh` */
    joined = join_equal_locked(self, table, host, service);
    if (!joined) {
        tni_list_append(&table->lookups, &fresh->node);
        join_locked(self, fresh);
    }
    tni_os_mutex_unlock(&table->lock);
    if (joined)
        free_lookup(fresh);
    else
        tni_pool_push(fresh->pool, &fresh->work);
    return joined ? TN_EBUSY : 0;
}

static int join_or_ask(waiter *self, tni_pool *pool, tni_lookup_ask *ask, const char *host, const char *service)
{
    tni_lookups *table = table_of(pool);
    tni_lookup *fresh;
    int rc;

    if (table == NULL)
        return TN_ENOMEM;
    if (join_equal(self, table, host, service))
        return 0;
    rc = tni_pool_reserve_waiting(pool, TNI_POOL_NAMES); /* a fiber that is abandoned here owns nothing yet */
    if (rc != 0)
        return rc;
    fresh = make(table, pool, host, service);
    if (fresh != NULL)
        fresh->ask = ask;
    rc = enter(self, table, fresh, host, service);
    if (rc != 0)
        tni_pool_unreserve(pool, TNI_POOL_NAMES);
    return rc == TN_EBUSY ? 0 : rc;
}

/* The last waiter has left a lookup that is not done. True: the pool's reference is the caller's. */
static bool withdraw_locked(tni_lookup *lookup)
{
    tni_os_mutex_assert_held(&lookup->table->lock);
    if (!tni_pool_withdraw(lookup->pool, &lookup->work))
        return false;
    tni_list_remove(&lookup->table->lookups, &lookup->node);
    lookup->done = true;
    (void)unref_locked(lookup); /* not the last one: the caller has one */
    return true;
}

static void leave(waiter *self)
{
    tni_lookup *lookup = self->lookup;
    tni_lookups *table = lookup->table;
    tni_pool *detach = NULL;
    bool last;

    tni_os_mutex_lock(&table->lock);
    if (self->linked)
        tni_list_remove(&lookup->waiters, &self->node);
    self->linked = false;
    if (!lookup->done && lookup->waiters.first == NULL && !withdraw_locked(lookup)) {
        detach = lookup->pool;
        tni_runtime_retain(detach->runtime); /* a thread of the pool holds it: it has yet to take this lock */
    }
    tni_os_mutex_unlock(&table->lock);
    if (detach != NULL) {
        tni_pool_detach(detach, &lookup->work);
        tni_runtime_release(detach->runtime);
    }
    tni_os_mutex_lock(&table->lock);
    last = unref_locked(lookup);
    tni_os_mutex_unlock(&table->lock);
    if (last)
        free_lookup(lookup);
}

/* --- Waiting ---------------------------------------------------------------------------------------------------------------- */

static int wait_poll(tn_future *future, tn_waker *waker)
{
    waiter *self = tni_container_of(future, waiter, base);
    tni_os_mutex *lock = &self->lookup->table->lock;
    tn_waker *old = NULL;
    bool done;

    tni_os_mutex_lock(lock);
    done = self->lookup->done;
    if (!done) {
        old = self->waker;
        self->waker = tn_waker_retain(waker);
    }
    tni_os_mutex_unlock(lock);
    if (old != NULL)
        tn_waker_release(old);
    return done ? 0 : TN_PENDING;
}

static void wait_drop(tn_future *future)
{
    waiter *self = tni_container_of(future, waiter, base);
    tni_os_mutex *lock = &self->lookup->table->lock;
    tn_waker *old;

    tni_os_mutex_lock(lock);
    old = self->waker;
    self->waker = NULL;
    tni_os_mutex_unlock(lock);
    if (old != NULL)
        tn_waker_release(old);
}

static const tn_future_ops wait_ops = {wait_poll, wait_drop, "lookup of a name"};

static void wait_end(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        leave(tni_container_of(scope, waiter, scope));
}

static int copy_names(const tni_lookup *lookup, tn_names *out)
{
    const tn_allocator *allocator = &lookup->table->allocator;
    size_t bytes = lookup->names.count * sizeof *out->text;

    *out = (tn_names){.free = allocator->free, .free_ctx = allocator->ctx};
    if (bytes == 0)
        return 0;
    out->text = tni_alloc(allocator, bytes, sizeof(void *));
    if (out->text == NULL)
        return TN_ENOMEM;
    memcpy(out->text, lookup->names.text, bytes);
    out->count = out->capacity = lookup->names.count;
    return 0;
}

int tni_lookups_resolve(tni_pool *pool, tni_lookup_ask *ask, const char *host, const char *service, tn_names *out)
{
    waiter self = {.base = {&wait_ops}};
    int rc = join_or_ask(&self, pool, ask, host, service);

    if (rc != 0)
        return rc;
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, wait_end);
    rc = tn_await(&self.base);
    tn_scope_leave(&self.scope);
    if (rc == 0)
        rc = self.lookup->error;
    if (rc == 0)
        rc = copy_names(self.lookup, out);
    leave(&self);
    return rc;
}
