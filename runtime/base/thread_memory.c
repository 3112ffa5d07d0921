/* SPDX-License-Identifier: MIT */
/* The stacks of the library's own threads: two lists, each taken as a whole and put back, so that there is no lock that another
 * thread could hold at a fork. */
#include "base/thread_memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/defs.h"

/* Idle stacks that keep their place for the next threads. */
#define KEPT_MAX 5

/* A part of a page for the record: the stack above it stays aligned. */
#define RECORD_BYTES ((size_t)256)

struct tni_thread_memory {
    tni_thread_memory *next;
    char *mapped;
    size_t mapped_bytes;
    pthread_t thread; /* in `running` */
};

static tni_aptr idle;    /* stacks without a thread */
static tni_a32 kept;     /* how many these are */
static tni_aptr running; /* stacks of threads that no other thread joins */

/* Puts a list of stacks into another one. */
static void push_all(tni_aptr *list, tni_thread_memory *first)
{
    tni_thread_memory *last = first;
    void *top;

    if (first == NULL)
        return;
    while (last->next != NULL)
        last = last->next;
    top = tni_aptr_load(list, TNI_RELAXED); /* relaxed: the CAS checks it */
    do {
        last->next = top;
        /* Release: publishes the records; partner: take_all. Weaker: that thread could follow links that are not there yet. */
    } while (!tni_aptr_cas(list, &top, first, TNI_ACQ_REL));
}

static tni_thread_memory *take_all(tni_aptr *list)
{
    return tni_aptr_exchange(list, NULL, TNI_ACQUIRE); /* observes the records; partner: push_all */
}

/* Joins the threads that have ended. */
static void join_ended(void)
{
    tni_thread_memory *stack = take_all(&running);
    tni_thread_memory *next;

    for (; stack != NULL; stack = next) {
        next = stack->next;
        stack->next = NULL;
        if (pthread_tryjoin_np(stack->thread, NULL) == 0)
            tni_thread_memory_put(stack);
        else
            push_all(&running, stack);
    }
}

/* Takes an idle stack of that size; NULL: there is none. */
static tni_thread_memory *take_idle(size_t bytes)
{
    tni_thread_memory *all = take_all(&idle);
    tni_thread_memory **link = &all;
    tni_thread_memory *found;

    while (*link != NULL && (*link)->mapped_bytes != bytes)
        link = &(*link)->next;
    found = *link;
    if (found != NULL) {
        *link = found->next;
        (void)tni_a32_fetch_sub(&kept, 1, TNI_RELAXED); /* relaxed: a bound that need not be exact */
    }
    push_all(&idle, all);
    return found;
}

/* The guard is what the second call leaves: no mprotect, which may be refused too. */
static tni_thread_memory *map(size_t bytes, size_t guard)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *mapped = mmap(NULL, bytes, PROT_NONE, flags, -1, 0);
    tni_thread_memory *stack;

    if (mapped == MAP_FAILED)
        return NULL;
    if (mmap(mapped + guard, bytes - guard, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_STACK, -1, 0) == MAP_FAILED) {
        (void)munmap(mapped, bytes);
        return NULL;
    }
    stack = (tni_thread_memory *)(void *)(mapped + guard);
    *stack = (tni_thread_memory){.mapped = mapped, .mapped_bytes = bytes};
    return stack;
}

int tni_thread_memory_get(tni_thread_memory **out, pthread_attr_t *attributes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size;
    size_t guard;
    tni_thread_memory *stack;

    if (pthread_getattr_default_np(attributes) != 0)
        return -ENOMEM;
    (void)pthread_attr_getstacksize(attributes, &size);
    (void)pthread_attr_getguardsize(attributes, &guard);
    size = (size + page - 1) / page * page;
    guard = (guard + page - 1) / page * page;
    join_ended();
    stack = take_idle(guard + size);
    if (stack == NULL)
        stack = map(guard + size, guard);
    if (stack == NULL || pthread_attr_setstack(attributes, (char *)stack + RECORD_BYTES, size - RECORD_BYTES) != 0) {
        if (stack != NULL)
            tni_thread_memory_put(stack);
        (void)pthread_attr_destroy(attributes);
        return -EAGAIN;
    }
    *out = stack;
    return 0;
}

void tni_thread_memory_put(tni_thread_memory *stack)
{
    /* Relaxed, twice: a bound that need not be exact. */
    bool surplus = tni_a32_load(&kept, TNI_RELAXED) >= KEPT_MAX;

    if (surplus && munmap(stack->mapped, stack->mapped_bytes) == 0)
        return;
    (void)tni_a32_fetch_add(&kept, 1, TNI_RELAXED); /* relaxed: as above */
    stack->next = NULL;
    push_all(&idle, stack);
}

/* Is there if the program runs under ThreadSanitizer, which reports threads that are not joined at the end. */
__attribute__((weak)) extern void __tsan_acquire(void *address);

void tni_thread_memory_put_running(tni_thread_memory *stack, pthread_t thread)
{
    if (__tsan_acquire != NULL) {
        (void)pthread_detach(thread); /* the stack stays with it */
        return;
    }
    stack->thread = thread;
    stack->next = NULL;
    push_all(&running, stack);
}
