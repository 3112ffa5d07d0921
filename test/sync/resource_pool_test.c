/* SPDX-License-Identifier: MIT */
/* Pools of resources: their size, order, idle time, checks, failures, cancellation. It runs on the simulated machine too. */
#include <stdatomic.h>

#include <tn/resource_pool.h>

#include "sync_support.h"

/* What the functions of a pool make: numbers from 1 on. */
typedef struct {
    atomic_uint made;
    atomic_uint alive;
    atomic_uint most; /* alive at once */
    uint64_t open_ns; /* how long an open takes */
    int open_rc;
    unsigned bad; /* the check of this one fails */
    atomic_uint checks;
} workshop;

static int shop_open(void *arg, void **resource)
{
    workshop *shop = arg;
    unsigned alive = atomic_fetch_add(&shop->alive, 1) + 1;
    unsigned most = atomic_load(&shop->most);
    int rc = shop->open_rc;

    while (most < alive && !atomic_compare_exchange_weak(&shop->most, &most, alive))
        ;
    if (rc == 0 && shop->open_ns > 0)
        rc = tn_sleep(shop->open_ns);
    if (rc != 0) {
        atomic_fetch_sub(&shop->alive, 1);
        return rc;
    }
    *resource = (void *)(uintptr_t)(atomic_fetch_add(&shop->made, 1) + 1);
    return 0;
}

static void shop_close(void *arg, void *resource)
{
    workshop *shop = arg;

    tt_check(resource != NULL);
    tt_check(atomic_fetch_sub(&shop->alive, 1) > 0);
}

static int shop_check(void *arg, void *resource)
{
    workshop *shop = arg;

    atomic_fetch_add(&shop->checks, 1);
    return (uintptr_t)resource == shop->bad ? TN_ECONNRESET : 0;
}

static tn_resource_pool *pool_of(workshop *shop, size_t size_max, uint64_t idle_ns)
{
    tn_resource_pool_options options = tn_resource_pool_options_default();
    tn_resource_pool *pool;

    options.size_max = size_max;
    options.idle_ns = idle_ns;
    options.open = shop_open;
    options.close = shop_close;
    options.check = shop_check;
    options.arg = shop;
    tt_check_eq(tn_resource_pool_create(&pool, &options), 0);
    return pool;
}

static uintptr_t get(tn_resource_pool *pool)
{
    void *resource;

    tt_check_eq(tn_resource_pool_acquire(pool, &resource), 0);
    return (uintptr_t)resource;
}

static void put(tn_resource_pool *pool, uintptr_t resource)
{
    tn_resource_pool_release(pool, (void *)resource, true);
}

static void check_counts(tn_resource_pool *pool, size_t idle, size_t in_use, uint64_t opened, uint64_t closed)
{
    tn_resource_pool_counters counters = {.size = sizeof counters};

    tt_check_eq(tn_resource_pool_count(pool, &counters), 0);
    tt_check_eq(counters.idle, idle);
    tt_check_eq(counters.in_use, in_use);
    tt_check_eq(counters.opened, opened);
    tt_check_eq(counters.closed, closed);
}

/* --- Alone ----------------------------------------------------------------------------------------------------------------- */

static void *reuse(void *arg)
{
    workshop shop = {0};
    tn_resource_pool *pool = pool_of(&shop, 3, 0);
    uintptr_t first = get(pool);
    uintptr_t second = get(pool);

    (void)arg;
    tt_check(first != second);
    put(pool, first);
    put(pool, second);
    check_counts(pool, 2, 0, 2, 0);
    tt_check_eq(get(pool), second); /* the one that was used last */
    shop.bad = 1;
    tt_check_eq(get(pool), 3); /* the check has refused the first one */
    check_counts(pool, 0, 2, 3, 1);
    tn_resource_pool_release(pool, (void *)second, false);
    tt_check_eq(get(pool), 4);
    put(pool, 3);
    put(pool, 4);
    check_counts(pool, 2, 0, 4, 2);
    tn_resource_pool_destroy(pool);
    tt_check_eq(atomic_load(&shop.alive), 0);
    tn_resource_pool_destroy(NULL);
    return NULL;
}

Test(resource_pool, keeps_resources_for_the_next_task)
{
    tt_run(reuse, NULL);
}

static void *expires(void *arg)
{
    workshop shop = {0};
    tn_resource_pool *pool = pool_of(&shop, 3, 20 * TN_MS);
    uintptr_t first;
    uintptr_t second;

    (void)arg;
    tt_check_eq(tn_time_pause(), 0);
    first = get(pool);
    second = get(pool);
    put(pool, first);
    put(pool, second);
    tt_check_eq(tn_sleep(25 * TN_MS), 0);
    tt_check_eq(tn_resource_pool_trim(pool), 2);
    tt_check_eq(tn_resource_pool_trim(pool), 0);
    first = get(pool);
    second = get(pool);
    put(pool, first);
    tt_check_eq(tn_sleep(25 * TN_MS), 0);
    put(pool, second); /* a release trims, too */
    check_counts(pool, 1, 0, 4, 3);
    tt_check_eq(tn_sleep(25 * TN_MS), 0);
    tt_check_eq(get(pool), 5); /* and an acquire takes none that has expired */
    put(pool, 5);
    tn_resource_pool_destroy(pool);
    tt_check_eq(atomic_load(&shop.alive), 0);
    return NULL;
}

Test(resource_pool, closes_what_is_idle_for_long)
{
    run_in_paused_time(expires, NULL);
}

static void *failures(void *arg)
{
    workshop shop = {.open_rc = TN_ECONNREFUSED};
    tn_resource_pool *pool = pool_of(&shop, 1, 0);
    void *resource;

    (void)arg;
    for (int i = 0; i < 3; i++) /* a failure takes no place */
        tt_check_eq(tn_resource_pool_acquire(pool, &resource), TN_ECONNREFUSED);
    shop.open_rc = 0;
    tt_check_eq(tn_resource_pool_acquire(pool, &resource), 0);
    {
        void *other;
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_resource_pool_acquire(pool, &other), TN_ETIMEDOUT);
    }
    tn_resource_pool_release(pool, resource, false);
    shop.open_ns = TN_S;
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_resource_pool_acquire(pool, &resource), TN_ETIMEDOUT); /* while it is made */
    }
    shop.open_ns = 0;
    tt_check_eq(tn_resource_pool_acquire(pool, &resource), 0);
    tn_resource_pool_close(pool);
    tt_check_eq(tn_resource_pool_acquire(pool, &resource), TN_EPIPE);
    tn_resource_pool_release(pool, resource, true);
    check_counts(pool, 0, 0, 2, 2);
    tn_resource_pool_destroy(pool);
    tt_check_eq(atomic_load(&shop.alive), 0);
    return NULL;
}

Test(resource_pool, a_failure_takes_no_place)
{
    tt_run(failures, NULL);
}

Test(resource_pool, refuses_options)
{
    tn_resource_pool_options options = tn_resource_pool_options_default();
    tn_resource_pool *pool;

    options.open = shop_open;
    cr_assert_eq(tn_resource_pool_create(&pool, &options), TN_EINVAL);
    options.close = shop_close;
    options.size_max = SIZE_MAX;
    cr_assert_eq(tn_resource_pool_create(&pool, &options), TN_EINVAL);
    options.size_max = 0;
    options.size = 1;
    cr_assert_eq(tn_resource_pool_create(&pool, &options), TN_EINVAL);
}

/* --- Many tasks ------------------------------------------------------------------------------------------------------------ */

enum { USERS = 8, PLACES = 3 };

typedef struct {
    tn_resource_pool *pool;
    unsigned seed;
    unsigned served;
    unsigned rounds;
} user;

static unsigned draw(user *u, unsigned most)
{
    u->seed = u->seed * 1103515245 + 12345;
    return (u->seed >> 16) % most;
}

/* Takes, holds and gives back; now and then with a deadline that is too short, or broken. */
static void *use(void *arg)
{
    user *u = arg;

    for (unsigned i = 0; i < u->rounds; i++) {
        void *resource;
        int rc;
        {
            TN_SCOPE(scope, draw(u, 3) == 0 ? tn_now() + draw(u, 200) * TN_US : TN_NEVER);
            rc = tn_resource_pool_acquire(u->pool, &resource);
        }
        if (rc == 0) {
            u->served++;
            if (draw(u, 2) == 0)
                tt_check_eq(tn_sleep(draw(u, 100) * TN_US), 0);
            tn_resource_pool_release(u->pool, resource, draw(u, 4) != 0);
        } else {
            tt_check_eq(rc, TN_ETIMEDOUT);
        }
        if (draw(u, 8) == 0)
            (void)tn_resource_pool_trim(u->pool);
    }
    return NULL;
}

static void *many(void *arg)
{
    workshop shop = {.open_ns = 50 * TN_US};
    tn_resource_pool *pool = pool_of(&shop, PLACES, 300 * TN_US);
    tn_task *tasks[USERS];
    user users[USERS];

    (void)arg;
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = (user){.pool = pool, .seed = i + 1, .rounds = (unsigned)tt_scaled(60)};
        tasks[i] = tt_spawn(use, &users[i]);
    }
    for (unsigned i = 0; i < USERS; i++)
        tt_join(tasks[i]);
    for (unsigned i = 0; i < USERS; i++)
        tt_check(users[i].served >= users[i].rounds / 4); /* two thirds have no deadline */
    tt_check(atomic_load(&shop.most) <= PLACES);
    tn_resource_pool_destroy(pool);
    tt_check_eq(atomic_load(&shop.alive), 0); /* nothing leaks by cancellation */
    return NULL;
}

Test(resource_pool, never_has_more_than_its_size)
{
    tt_run(many, NULL);
}

/* Waiters are served in their order. */
typedef struct {
    tn_resource_pool *pool;
    unsigned *order;
    unsigned number;
} waiter;

static void *wait_for_one(void *arg)
{
    waiter *w = arg;
    uintptr_t resource = get(w->pool);

    w->number = (*w->order)++;
    put(w->pool, resource);
    return NULL;
}

static void *in_order(void *arg)
{
    workshop shop = {0};
    tn_resource_pool *pool = pool_of(&shop, 1, 0);
    uintptr_t resource = get(pool);
    tn_task *tasks[USERS];
    waiter waiters[USERS];
    unsigned order = 0;

    (void)arg;
    for (unsigned i = 0; i < USERS; i++) {
        waiters[i] = (waiter){pool, &order, 0};
        tasks[i] = tt_spawn(wait_for_one, &waiters[i]);
        let_others_run();
    }
    put(pool, resource);
    for (unsigned i = 0; i < USERS; i++) {
        tt_join(tasks[i]);
        tt_check_eq(waiters[i].number, i);
    }
    tn_resource_pool_destroy(pool);
    return NULL;
}

Test(resource_pool, is_fair)
{
    run_on_one_worker(in_order, NULL);
}
