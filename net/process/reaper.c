/* SPDX-License-Identifier: MIT */
/* The thread that takes the results of children; reaper.h says what it does. */
#include "process/reaper.h"

#include "base/alloc.h"
#include "base/fork.h"
#include "os/os_event.h"

#define IDLE_MS 1000
#define PAUSE_MIN_MS 1
#define PAUSE_MAX_MS 64
#define BATCH 16

/* Fields are accessed under the lock, unless they are constant. */
struct tni_reaper {
    tni_os_mutex lock;
    uint32_t generation; /* constant: of the process that it belongs to */
    tni_list children;
    unsigned expected; /* children, and starts under way */
    unsigned asked;    /* children that are not watched */
    int pause_ms;      /* until it asks for these again */
    bool running;      /* the thread is there; `set` and `event` are open */
    int set;
    int event; /* ends the sleep */
};

/* The reaper of this process; NULL before the first child. It is never freed. A child of fork makes a new one. */
static tni_aptr current;

bool tni_reaper_is_inherited(const tni_reaper *reaper)
{
    return tni_fork_is_inherited(reaper->generation);
}

static tni_reaper *get(void)
{
    /* Acquire, also of the failed CAS: observes the reaper initialized, as get stored it below; partner: get. */
    void *found = tni_aptr_load(&current, TNI_ACQUIRE);
    tni_reaper *made;

    if (found != NULL && !tni_reaper_is_inherited(found))
        return found;
    made = tni_alloc(&tni_alloc_default, sizeof *made, _Alignof(tni_reaper));
    if (made == NULL)
        return NULL;
    tni_os_mutex_init(&made->lock);
    made->generation = tni_fork_generation;
    /* Release: publishes the reaper; partner: get. */
    if (tni_aptr_cas(&current, &found, made, TNI_RELEASE))
        return made;
    tni_os_mutex_fini(&made->lock);
    tni_free(&tni_alloc_default, made, sizeof *made);
    return found;
}

/* --- The thread ------------------------------------------------------------------------------------------------------------ */

static void ask_from_now_on_locked(tni_reaper *reaper, tni_child *child)
{
    tni_os_mutex_assert_held(&reaper->lock);
    child->watched = false;
    reaper->asked++;
    reaper->pause_ms = PAUSE_MIN_MS;
}

/* Returns whether the child has ended; then it is in no list any more. */
static bool reap_locked(tni_reaper *reaper, tni_child *child)
{
    tni_os_mutex_assert_held(&reaper->lock);
    if (child->watched) /* before the pidfd is closed: another process may have a copy of it, and keep it in the set */
        tni_os_process_set_remove(reaper->set, child->process.fd);
    if (!tni_child_reap_locked(child)) {
        if (child->watched) /* it has ended, but belongs to a debugger for now */
            ask_from_now_on_locked(reaper, child);
        return false;
    }
    if (!child->watched)
        reaper->asked--;
    tni_list_remove(&reaper->children, &child->node);
    reaper->expected--;
    return true;
}

static void finish_reported(tni_reaper *reaper, tni_child *child)
{
    bool ended;

    tni_os_mutex_lock(&reaper->lock);
    ended = reap_locked(reaper, child);
    tni_os_mutex_unlock(&reaper->lock);
    if (ended)
        tni_child_finish(child);
}

static void finish_asked(tni_reaper *reaper)
{
    tni_list ended = {NULL, NULL};
    tni_list_node *next;

    tni_os_mutex_lock(&reaper->lock);
    for (tni_list_node *node = reaper->asked > 0 ? reaper->children.first : NULL; node != NULL; node = next) {
        tni_child *child = tni_container_of(node, tni_child, node);
        next = node->next;
        if (!child->watched && reap_locked(reaper, child))
            tni_list_append(&ended, node);
    }
    if (reaper->pause_ms < PAUSE_MAX_MS)
        reaper->pause_ms *= 2;
    tni_os_mutex_unlock(&reaper->lock);
    while (ended.first != NULL)
        tni_child_finish(tni_container_of(tni_list_take_first(&ended), tni_child, node));
}

static int sleep_ms(tni_reaper *reaper)
{
    int ms = -1;

    tni_os_mutex_lock(&reaper->lock);
    if (reaper->asked > 0)
        ms = reaper->pause_ms;
    else if (reaper->expected == 0)
        ms = IDLE_MS;
    tni_os_mutex_unlock(&reaper->lock);
    return ms;
}

static bool ends(tni_reaper *reaper)
{
    bool over;

    tni_os_mutex_lock(&reaper->lock);
    over = reaper->expected == 0;
    if (over) {
        tni_os_process_set_close(reaper->set);
        tni_os_event_close(reaper->event);
        reaper->running = false;
    }
    tni_os_mutex_unlock(&reaper->lock);
    return over;
}

static void *run(void *arg)
{
    tni_reaper *reaper = arg;
    void *reported[BATCH];
    size_t count;
    int ms;

    tni_thread_name("tn-reaper");
    for (;;) {
        ms = sleep_ms(reaper);
        count = tni_os_process_set_wait(reaper->set, ms, reported, BATCH);
        if (count == 0 && ms == IDLE_MS && ends(reaper))
            return NULL;
        for (size_t i = 0; i < count; i++) {
            if (reported[i] == reaper)
                tni_os_event_drain(reaper->event);
            else
                finish_reported(reaper, reported[i]);
        }
        finish_asked(reaper);
    }
}

/* --- Its callers ------------------------------------------------------------------------------------------------------------ */

static int open_set_locked(tni_reaper *reaper)
{
    int rc;

    tni_os_mutex_assert_held(&reaper->lock);
    reaper->set = tni_os_process_set_open();
    if (reaper->set < 0)
        return reaper->set;
    reaper->event = tni_os_event_open();
    rc = reaper->event;
    if (rc >= 0) {
        rc = tni_os_process_set_add(reaper->set, reaper->event, reaper);
        if (rc == 0)
            return 0;
        tni_os_event_close(reaper->event);
    }
    tni_os_process_set_close(reaper->set);
    return rc;
}

static int start_locked(tni_reaper *reaper)
{
    tni_thread thread;
    int rc = open_set_locked(reaper);

    tni_os_mutex_assert_held(&reaper->lock);
    if (rc != 0)
        return rc;
    rc = tni_thread_start(&thread, run, reaper);
    if (rc == 0) {
        tni_thread_detach(&thread);
        reaper->running = true;
    } else {
        tni_os_event_close(reaper->event);
        tni_os_process_set_close(reaper->set);
    }
    return rc;
}

int tni_reaper_reserve(tni_reaper **out)
{
    tni_reaper *reaper = get();
    int rc;

    if (reaper == NULL)
        return TN_ENOMEM;
    tni_os_mutex_lock(&reaper->lock);
    rc = reaper->running ? 0 : start_locked(reaper);
    if (rc == 0)
        reaper->expected++;
    tni_os_mutex_unlock(&reaper->lock);
    *out = reaper;
    return rc;
}

void tni_reaper_unreserve(tni_reaper *reaper)
{
    tni_os_mutex_lock(&reaper->lock);
    reaper->expected--;
    tni_os_event_post(reaper->event); /* so that it sees that it is idle now */
    tni_os_mutex_unlock(&reaper->lock);
}

void tni_reaper_adopt(tni_reaper *reaper, tni_child *child)
{
    tni_child_retain(child);
    child->lock = &reaper->lock;
    tni_os_mutex_lock(&reaper->lock);
    tni_list_append(&reaper->children, &child->node);
    child->watched = child->process.fd >= 0 && tni_os_process_set_add(reaper->set, child->process.fd, child) == 0;
    if (!child->watched) {
        ask_from_now_on_locked(reaper, child);
        tni_os_event_post(reaper->event);
    }
    tni_os_mutex_unlock(&reaper->lock);
}
