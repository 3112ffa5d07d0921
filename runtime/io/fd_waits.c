/* SPDX-License-Identifier: MIT */
/* Waits for descriptors that other libraries own: begin, end, report, forget. fd_waits.h has the states. */
#include "io/fd_waits.h"

#include "base/count.h"
#include "base/fork.h"

#define BUCKETS_FIRST 64u
#define BUCKETS_MAX (1u << 20)

/* Waits that one report ends. If there are more for one number, arming it again brings the next report. */
#define REPORT_MAX 16

#define ALWAYS (TNI_OS_BORROWED_ERROR | TNI_OS_BORROWED_HANGUP)

void tni_fd_waits_init(tni_fd_waits *set, tni_os_loop *loop, tni_a32 *registrations, const tn_allocator *allocator)
{
    set->loop = loop;
    set->registrations = registrations;
    set->allocator = allocator;
    set->fork_generation = tni_fork_generation;
    tni_os_mutex_init(&set->lock);
    set->buckets = NULL;
    set->bucket_count = 0;
    set->generation = 0;
    tni_a32_init(&set->waiting, 0);
    tni_a32_init(&set->leaves_behind, 0);
}

static void free_buckets(const tni_fd_waits *set, tni_fd_wait **buckets, uint32_t count)
{
    if (buckets != NULL)
        tni_free(set->allocator, buckets, count * sizeof(tni_fd_wait *));
}

void tni_fd_waits_fini(tni_fd_waits *set)
{
    for (uint32_t i = 0; i < set->bucket_count; i++)
        for (tni_fd_wait *wait = set->buckets[i], *next; wait != NULL; wait = next) {
            next = wait->next;
            wait->set = NULL; /* dropping it later does nothing */
            tn_waker_release(wait->waker);
        }
    free_buckets(set, set->buckets, set->bucket_count);
    tni_os_mutex_fini(&set->lock);
}

/* --- The table ------------------------------------------------------------------------------------------------------------ */

static tni_fd_wait **bucket_locked(const tni_fd_waits *set, int fd)
{
    tni_os_mutex_assert_held(&set->lock);
    return &set->buckets[(uint32_t)fd & (set->bucket_count - 1)]; /* the kernel assigns the lowest numbers */
}

/* Number of buckets that the table needs for one more wait; 0: it is large enough. */
static uint32_t wanted_count_locked(const tni_fd_waits *set)
{
    tni_os_mutex_assert_held(&set->lock);
    if (set->bucket_count == 0)
        return BUCKETS_FIRST;
    /* Relaxed: it is written under the lock. */
    if (set->bucket_count == BUCKETS_MAX || tni_a32_load(&set->waiting, TNI_RELAXED) < set->bucket_count)
        return 0;
    return 2 * set->bucket_count;
}

/* The waits move to the larger table `*buckets`, which is then the one that has been replaced. */
static void replace_table_locked(tni_fd_waits *set, tni_fd_wait ***buckets, uint32_t *count)
{
    tni_fd_wait **old = set->buckets;
    uint32_t old_count = set->bucket_count;

    tni_os_mutex_assert_held(&set->lock);
    set->buckets = *buckets;
    set->bucket_count = *count;
    for (uint32_t i = 0; i < old_count; i++)
        for (tni_fd_wait *wait = old[i], *next; wait != NULL; wait = next) {
            tni_fd_wait **bucket = bucket_locked(set, wait->fd);
            next = wait->next;
            wait->next = *bucket;
            *bucket = wait;
        }
    *buckets = old;
    *count = old_count;
}

/* Releases the lock meanwhile, because the allocator is the program's, and the owner of the driver takes the lock. Without
 * memory the table stays as it is, and its lists become longer. Returns TN_ENOMEM if there is no table at all. */
static int grow_locked(tni_fd_waits *set, uint32_t count)
{
    tni_fd_wait **buckets;

    tni_os_mutex_unlock(&set->lock);
    buckets = tni_alloc(set->allocator, count * sizeof(tni_fd_wait *), _Alignof(tni_fd_wait *));
    tni_os_mutex_lock(&set->lock);
    if (buckets != NULL && count > set->bucket_count) /* else another thread was first */
        replace_table_locked(set, &buckets, &count);
    if (buckets != NULL) {
        tni_os_mutex_unlock(&set->lock);
        free_buckets(set, buckets, count);
        tni_os_mutex_lock(&set->lock);
    }
    return set->buckets == NULL ? TN_ENOMEM : 0;
}

static void link_locked(tni_fd_waits *set, tni_fd_wait *wait)
{
    tni_fd_wait **bucket = bucket_locked(set, wait->fd);

    wait->next = *bucket;
    *bucket = wait;
    /* Relaxed: it is written under the lock. */
    tni_a32_store(&set->waiting, tni_a32_load(&set->waiting, TNI_RELAXED) + 1, TNI_RELAXED);
    (void)tni_a32_fetch_add(set->registrations, 1, TNI_RELAXED); /* relaxed: a hint */
}

/* Takes the wait at `*at` out of its list. */
static void unlink_locked(tni_fd_waits *set, tni_fd_wait **at)
{
    tni_os_mutex_assert_held(&set->lock);
    *at = (*at)->next;
    /* Relaxed: it is written under the lock. */
    tni_a32_store(&set->waiting, tni_a32_load(&set->waiting, TNI_RELAXED) - 1, TNI_RELAXED);
}

/* A wait counts as a registration until its waker has been woken: the deadlock check takes 0 for "no wake will come". */
static void uncount(tni_fd_waits *set, unsigned count)
{
    /* Release: publishes the wakes; partner: expects_nothing (deadlock.c). If weaker, it may miss a wake and report
     * a deadlock. */
    if (count != 0)
        (void)tni_a32_fetch_sub(set->registrations, count, TNI_RELEASE);
}

/* --- The registration ----------------------------------------------------------------------------------------------------- */

static uint32_t next_generation_locked(tni_fd_waits *set)
{
    tni_os_mutex_assert_held(&set->lock);
    set->generation++;
    if (set->generation == 0)
        set->generation = 1;
    return set->generation;
}

/* Sets the generation of the attached waits for the number. Returns what they wait for. */
static uint32_t set_generation_locked(tni_fd_waits *set, int fd, uint32_t generation)
{
    uint32_t events = 0;

    for (tni_fd_wait *wait = *bucket_locked(set, fd); wait != NULL; wait = wait->next)
        if (wait->fd == fd && wait->generation != 0) {
            wait->generation = generation;
            events |= wait->events;
        }
    return events;
}

static bool has_attached_locked(const tni_fd_waits *set, int fd)
{
    for (const tni_fd_wait *wait = *bucket_locked(set, fd); wait != NULL; wait = wait->next)
        if (wait->fd == fd && wait->generation != 0)
            return true;
    return false;
}

/* The kernel does not know the number any more, or knows it as another file's. */
static void leave_behind_locked(tni_fd_waits *set)
{
    tni_os_mutex_assert_held(&set->lock);
    /* Relaxed: a hint (tni_fd_waits_may_report). What is left behind also ends the next sleep. */
    tni_a32_store(&set->leaves_behind, 1, TNI_RELAXED);
}

/* Arms the registration of the attached waits for the number, at least one. If the number has been closed, they are not
 * attached any more, and false is returned. */
static bool arm_again_locked(tni_fd_waits *set, int fd, uint32_t more)
{
    uint32_t generation = next_generation_locked(set);
    uint32_t events = set_generation_locked(set, fd, generation);

    if (tni_os_borrowed_change(set->loop, fd, events | more, generation) == 0)
        return true;
    (void)set_generation_locked(set, fd, 0);
    leave_behind_locked(set);
    return false;
}

static void remove_locked(tni_fd_waits *set, int fd)
{
    if (!tni_os_borrowed_remove(set->loop, fd))
        leave_behind_locked(set);
}

/* --- Waiting -------------------------------------------------------------------------------------------------------------- */

/* Makes the kernel watch for the wait, which is not in the table yet. Returns 0, or what tni_os_borrowed_add returns. */
static int attach_locked(tni_fd_waits *set, tni_fd_wait *wait)
{
    int rc = 0;

    if (!has_attached_locked(set, wait->fd) || !arm_again_locked(set, wait->fd, wait->events))
        rc = tni_os_borrowed_add(set->loop, wait->fd, wait->events, next_generation_locked(set));
    wait->generation = set->generation;
    return rc;
}

static int begin_locked(tni_fd_waits *set, tni_fd_wait *wait, tn_waker *waker)
{
    uint32_t wanted = wanted_count_locked(set);
    int rc = wanted == 0 ? 0 : grow_locked(set, wanted);

    if (rc == 0)
        rc = attach_locked(set, wait);
    if (rc == 1) {
        rc = (int)(wait->events & (TNI_OS_BORROWED_READ | TNI_OS_BORROWED_WRITE));
        wait->generation = 0; /* what is left to wait for never happens */
    }
    if (rc != 0)
        return rc;
    wait->set = set;
    wait->waker = tn_waker_retain(waker);
    link_locked(set, wait);
    return TN_PENDING;
}

int tni_fd_waits_begin(tni_fd_waits *set, tni_fd_wait *wait, tn_waker *waker)
{
    int rc;

    if (tni_fork_is_inherited(set->fork_generation)) {
        tni_fork_log_refusal("a wait for a descriptor");
        return TN_ESHUTDOWN;
    }
    wait->result = 0;
    tni_os_mutex_lock(&set->lock);
    rc = begin_locked(set, wait, waker);
    tni_os_mutex_unlock(&set->lock);
    return rc;
}

int tni_fd_waits_check(tni_fd_wait *wait, tn_waker *waker)
{
    tni_fd_waits *set = wait->set;
    tn_waker *old = NULL;
    int result;

    if (tni_fork_is_inherited(set->fork_generation)) {
        tni_fork_log_refusal("a wait for a descriptor");
        return TN_ESHUTDOWN;
    }
    tni_os_mutex_lock(&set->lock);
    result = wait->result;
    if (result == 0 && wait->waker != waker) {
        old = wait->waker;
        wait->waker = tn_waker_retain(waker);
    }
    tni_os_mutex_unlock(&set->lock);
    if (old != NULL)
        tn_waker_release(old);
    if (result == 0)
        return TN_PENDING;
    wait->set = NULL;
    return result;
}

/* Takes the wait out of the table, and its number from the kernel if no other wait needs it. Returns its waker. NULL: it is
 * over already. */
static tn_waker *end_locked(tni_fd_waits *set, tni_fd_wait *wait)
{
    tni_fd_wait **at = bucket_locked(set, wait->fd);

    if (wait->result != 0)
        return NULL;
    while (*at != wait)
        at = &(*at)->next;
    unlink_locked(set, at);
    /* If others are attached, the registration stays armed for too much: then a report that ends no wait arms it anew. */
    if (wait->generation != 0 && !has_attached_locked(set, wait->fd))
        remove_locked(set, wait->fd);
    return wait->waker;
}

void tni_fd_waits_end(tni_fd_wait *wait)
{
    tni_fd_waits *set = wait->set;
    tn_waker *waker;

    if (set == NULL)
        return;
    wait->set = NULL;
    /* In a child of fork the lock may be held for ever, and the epoll instance is the parent's. */
    if (tni_fork_is_inherited(set->fork_generation))
        return;
    tni_os_mutex_lock(&set->lock);
    waker = end_locked(set, wait);
    tni_os_mutex_unlock(&set->lock);
    if (waker == NULL)
        return;
    uncount(set, 1);
    tn_waker_release(waker);
}

/* --- Ends from outside ---------------------------------------------------------------------------------------------------- */

/* Ends waits for the number: of `generation` those for which `events` are ready, or with `events` 0 all of any generation, with
 * TN_ECANCELED. Returns how many; their wakers are in `wakers`. */
static unsigned end_waits_locked(tni_fd_waits *set, int fd, uint32_t generation, uint32_t events, tn_waker **wakers)
{
    tni_fd_wait **at = bucket_locked(set, fd);
    unsigned count = 0;

    while (*at != NULL && count < REPORT_MAX) {
        tni_fd_wait *wait = *at;
        uint32_t ready = events & (wait->events | ALWAYS);

        if (wait->fd != fd || (events != 0 && (wait->generation != generation || ready == 0))) {
            at = &wait->next;
            continue;
        }
        unlink_locked(set, at);
        wait->result = events != 0 ? (int)ready : TN_ECANCELED;
        wakers[count++] = wait->waker; /* after the lock is released the wait may be gone */
    }
    return count;
}

static void wake_all(tni_fd_waits *set, tn_waker **wakers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        tn_waker_wake(wakers[i]);
    uncount(set, count);
}

static bool has_generation_locked(const tni_fd_waits *set, int fd, uint32_t generation)
{
    for (const tni_fd_wait *wait = *bucket_locked(set, fd); wait != NULL; wait = wait->next)
        if (wait->fd == fd && wait->generation == generation)
            return true;
    return false;
}

/* An event of an old generation is dropped: its waits are over, or the arming that followed reports what is still ready. */
static unsigned report_locked(tni_fd_waits *set, const tni_os_borrowed_event *event, tn_waker **wakers)
{
    unsigned count;

    if (set->buckets == NULL || !has_generation_locked(set, event->fd, event->generation))
        return 0;
    count = end_waits_locked(set, event->fd, event->generation, event->events, wakers);
    if (has_attached_locked(set, event->fd))
        (void)arm_again_locked(set, event->fd, 0);
    else
        remove_locked(set, event->fd);
    return count;
}

void tni_fd_waits_report(tni_fd_waits *set)
{
    tni_os_borrowed_event events[TNI_OS_BORROWED_FETCH_MAX];
    unsigned count = tni_os_borrowed_fetch(set->loop, events);

    for (unsigned i = 0; i < count; i++) {
        tn_waker *wakers[REPORT_MAX];
        unsigned woken;

        tni_os_mutex_lock(&set->lock);
        woken = report_locked(set, &events[i], wakers);
        tni_os_mutex_unlock(&set->lock);
        wake_all(set, wakers, woken);
    }
}

static unsigned forget_locked(tni_fd_waits *set, int fd, tn_waker **wakers)
{
    bool attached;
    unsigned count;

    if (set->buckets == NULL)
        return 0;
    attached = has_attached_locked(set, fd);
    count = end_waits_locked(set, fd, 0, 0, wakers);
    if (attached && !has_attached_locked(set, fd))
        remove_locked(set, fd);
    return count;
}

void tni_fd_waits_forget(tni_fd_waits *set, int fd)
{
    tn_waker *wakers[REPORT_MAX];
    unsigned count;

    if (tni_fork_is_inherited(set->fork_generation))
        return;
    do {
        tni_os_mutex_lock(&set->lock);
        count = forget_locked(set, fd, wakers);
        tni_os_mutex_unlock(&set->lock);
        wake_all(set, wakers, count);
    } while (count == REPORT_MAX);
}
