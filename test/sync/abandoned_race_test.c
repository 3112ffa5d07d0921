/* SPDX-License-Identifier: MIT */
/* External threads grant, cancel and close while a destroy abandons fibers that wait. Each grant has one taker, or comes
 * back. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/runtime.h"

enum { FIBERS = 24 };

typedef struct {
    tt_allocator allocator;
    tn_semaphore semaphore;
    tn_mutex mutex;
    tn_notify notify;
    tn_mpsc *channel;
    tn_cancel_token *token;
    tn_cancel_source source;
    atomic_ulong taken; /* permits that fibers have taken */
    atomic_ulong sent;
    atomic_ulong received;
    atomic_uint waiting;
    atomic_bool go;
    tn_task *fibers[FIBERS];
} field;

static void come(field *f)
{
    atomic_fetch_add(&f->waiting, 1);
}

static void *take_permits(void *arg)
{
    field *f = arg;
    TN_CANCEL_TOKEN_SCOPE(scope, TN_NEVER, f->token);

    come(f);
    while (tn_semaphore_acquire(&f->semaphore, 1) == 0)
        atomic_fetch_add(&f->taken, 1);
    return NULL;
}

static void *lock_in_turn(void *arg)
{
    field *f = arg;
    tn_scope scope;

    tn_scope_enter_with(&scope, TN_NEVER, &f->source);
    come(f);
    while (tn_mutex_lock(&f->mutex) == 0)
        tn_mutex_unlock(&f->mutex);
    tn_scope_leave(&scope);
    return NULL;
}

static void *send_always(void *arg)
{
    field *f = arg;
    const uint64_t element = 1;

    come(f);
    while (tn_mpsc_send(f->channel, &element) == 0)
        atomic_fetch_add(&f->sent, 1);
    return NULL;
}

/* When it is abandoned it holds a branch on its stack. */
static void *select_always(void *arg)
{
    field *f = arg;

    come(f);
    for (;;) {
        tn_notify_future told;
        tn_semaphore_future permit;
        tn_future *branches[] = {&told.base, &permit.base};
        int rc;
        tn_notify_wait_init(&told, &f->notify);
        tn_semaphore_acquire_init(&permit, &f->semaphore, 1);
        rc = tn_select(branches, 2, NULL);
        if (rc == 1)
            atomic_fetch_add(&f->taken, 1);
        tn_future_drop(&told.base);
        if (rc != 1)
            tn_future_drop(&permit.base);
        if (rc < 0)
            return NULL;
    }
}

static void wait_for_go(field *f)
{
    while (!atomic_load(&f->go))
        ;
}

static void *grant(void *arg)
{
    field *f = arg;
    uint64_t element;

    wait_for_go(f);
    for (int i = 0; i < FIBERS; i++) {
        tn_semaphore_release(&f->semaphore, 1);
        tn_notify_one(&f->notify);
        if (tn_mpsc_try_recv(f->channel, &element) == 0)
            atomic_fetch_add(&f->received, 1);
        if (i == FIBERS / 2)
            tn_mutex_unlock(&f->mutex);
    }
    return NULL;
}

static void *cancel(void *arg)
{
    field *f = arg;

    wait_for_go(f);
    tn_cancel_source_cancel(&f->source);
    tn_cancel_token_cancel(f->token);
    return NULL;
}

static bool all_is_freed(void *arg)
{
    return atomic_load(&((tt_allocator *)arg)->blocks) == 0;
}

static void prepare(field *f)
{
    tt_allocator_init(&f->allocator);
    tn_semaphore_init(&f->semaphore, 0);
    tn_mutex_init(&f->mutex);
    tn_notify_init(&f->notify);
    tn_cancel_source_init(&f->source);
    cr_assert_eq(tn_cancel_token_create(&f->token, NULL, NULL), 0);
    cr_assert_eq(tn_mpsc_create(&f->channel, sizeof(uint64_t), 1, NULL), 0);
    cr_assert_eq(tn_mutex_try_lock(&f->mutex), 0);
    atomic_store(&f->taken, 0);
    atomic_store(&f->sent, 0);
    atomic_store(&f->received, 0);
    atomic_store(&f->waiting, 0);
    atomic_store(&f->go, false);
}

/* Each permit and element is where it was, or with a fiber that took it. */
static void check_and_finish(field *f)
{
    uint64_t element;

    cr_assert_eq(tn_semaphore_available(&f->semaphore) + atomic_load(&f->taken), FIBERS);
    tn_semaphore_fini(&f->semaphore);
    cr_assert_eq(tn_mutex_try_lock(&f->mutex), 0); /* the last holder has given it back */
    tn_mutex_unlock(&f->mutex);
    tn_mutex_fini(&f->mutex);
    tn_notify_fini(&f->notify);
    tn_cancel_source_fini(&f->source);
    tn_cancel_token_release(f->token);
    while (tn_mpsc_try_recv(f->channel, &element) == 0)
        atomic_fetch_add(&f->received, 1);
    cr_assert_eq(atomic_load(&f->received), atomic_load(&f->sent));
    element = 2;
    cr_assert_eq(tn_mpsc_try_send(f->channel, &element), 0); /* no slot stays reserved */
    tn_mpsc_release_sender(f->channel);
    tn_mpsc_release_receiver(f->channel);
}

Test(abandoned_race, grants_against_giving_up)
{
    static const tn_entry_fn entries[4] = {take_permits, lock_in_turn, send_always, select_always};
    static field f;

    for (unsigned long round = tt_scaled(400); round > 0; round--) {
        tn_options options = tt_options();
        tn_runtime *runtime;
        pthread_t threads[2];
        prepare(&f);
        options.allocator = &f.allocator.as_option;
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        for (int i = 0; i < FIBERS; i++)
            f.fibers[i] = tt_spawn_on(runtime, entries[i % 4], &f);
        threads[0] = tt_thread_start(grant, &f);
        threads[1] = tt_thread_start(cancel, &f);
        while (atomic_load(&f.waiting) < FIBERS)
            tn_yield();
        atomic_store(&f.go, true);
        (void)tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, round % 3 * 20 * TN_US);
        for (int i = 0; i < 2; i++)
            tt_thread_join(threads[i]);
        for (int i = 0; i < FIBERS; i++)
            (void)tn_join(f.fibers[i], NULL);
        cr_assert(tt_wait_until(all_is_freed, &f.allocator, 20 * TN_S));
        check_and_finish(&f);
    }
}
