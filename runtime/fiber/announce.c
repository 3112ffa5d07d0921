/* SPDX-License-Identifier: MIT */
/* Announcing fibers to the tools that the program runs under. What a tool must know of a context is in a record, in a table by
 * the address of the context: so the contexts of ordinary programs have no member for it. */
#include "fiber/announce.h"

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/log.h"
#include "base/order.h"
#include "base/thread.h"
#include "os/os_valgrind.h"

/* The functions of the sanitizers; NULL: the program runs without that one. */
#define WEAK __attribute__((weak))
WEAK extern void __sanitizer_start_switch_fiber(void **fake_stack, const void *base, size_t size);
WEAK extern void __sanitizer_finish_switch_fiber(void *fake_stack, const void **base, size_t *size);
WEAK extern void __asan_unpoison_memory_region(const volatile void *base, size_t size);
WEAK extern void __lsan_register_root_region(const void *base, size_t size);
WEAK extern void __lsan_unregister_root_region(const void *base, size_t size);
WEAK extern void *__tsan_get_current_fiber(void);
WEAK extern void *__tsan_create_fiber(unsigned flags);
WEAK extern void __tsan_destroy_fiber(void *fiber);
WEAK extern void __tsan_switch_to_fiber(void *fiber, unsigned flags);

/* --- Records ---------------------------------------------------------------------------------------------------------------- */

typedef struct record record;
struct record {
    tni_aptr next; /* a link of the table */
    const tni_context *context;
    void *base; /* of the stack */
    size_t size;
    bool is_fiber;         /* false: of a thread */
    void (*entry)(void *); /* of a fiber */
    void *arg;
    void *fake_stack;   /* AddressSanitizer's, while the context is suspended */
    void *thread_fiber; /* ThreadSanitizer's object for the context */
    uint64_t number;    /* valgrind's of the stack */
};

/* A fork may come at any instruction of another thread that changes the table, and the child uses the table after
 * tni_announce_in_child. So each change is one store to a link. It comes after all stores to the record that it leads to: a
 * fork copies a link and what it leads to, or the link before. */
#define BUCKETS 4096
static tni_aptr buckets[BUCKETS];
static tni_a32 lock; /* 1 while it is held: a spin lock, because a tni_os_mutex has no static initializer */

static tni_aptr *bucket_of(const tni_context *context)
{
    return &buckets[((uintptr_t)context >> 4) * 2654435761u % BUCKETS];
}

static void lock_table(void)
{
    uint32_t expected = 0;

    /* Acquire: observes what the previous holder wrote; partner: unlock_table. */
    while (!tni_a32_cas(&lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
}

static void unlock_table(void)
{
    tni_a32_store(&lock, 0, TNI_RELEASE); /* release: publishes what this thread wrote to the next lock_table */
}

/* Relaxed: the lock orders the accesses of threads, and a child of fork has one thread. */
static record *linked_by(const tni_aptr *link)
{
    return tni_aptr_load(link, TNI_RELAXED);
}

/* The link to the record of the context, or the empty one at the end of its list. */
static tni_aptr *link_of(const tni_context *context)
{
    tni_aptr *link = bucket_of(context);
    record *r;

    while ((r = linked_by(link)) != NULL && r->context != context)
        link = &r->next;
    return link;
}

static record *add_record(const tni_context *context)
{
    record *r = tni_alloc(&tni_alloc_default, sizeof *r, _Alignof(record));

    tni_assert(r != NULL, "no memory to announce a fiber to the tool under which the program runs");
    *r = (record){.context = context};
    lock_table();
    tni_aptr_init(&r->next, linked_by(bucket_of(context)));
    /* Release: publishes the record to a child of fork; without it the child may find a record whose link is not written. */
    tni_aptr_store(bucket_of(context), r, TNI_RELEASE);
    unlock_table();
    return r;
}

static record *find(const tni_context *context)
{
    record *r;

    lock_table();
    r = linked_by(link_of(context));
    unlock_table();
    return r;
}

static record *remove_record(const tni_context *context)
{
    tni_aptr *link;
    record *r;

    lock_table();
    link = link_of(context);
    r = linked_by(link);
    if (r != NULL) /* relaxed: what it leads to was published when it was added */
        tni_aptr_store(link, linked_by(&r->next), TNI_RELAXED);
    unlock_table();
    return r;
}

/* --- Switches --------------------------------------------------------------------------------------------------------------- */

static void leave(record *from, const record *to, bool for_good)
{
    tni_order_release();
    if (__sanitizer_start_switch_fiber != NULL)
        __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->base, to->size);
    if (!from->is_fiber)
        tni_order_acquire(); /* what others did before they made this fiber runnable */
    if (__tsan_switch_to_fiber != NULL)
        __tsan_switch_to_fiber(to->thread_fiber, 0);
}

static void arrive(const record *self)
{
    if (__sanitizer_finish_switch_fiber != NULL)
        __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
}

/* The message of a switch is the context that is entered, with a mark in the lowest bit (base/san.h). */
static const tni_context *target_of(void *message)
{
    return tni_container_of((char *)message - ((uintptr_t)message & 1), tni_context, san);
}

/* The compiler does not see the call that leads here (fiber_enter.h), so the stack pointer may be aligned to 8 bytes only. */
#if defined(__x86_64__)
#define ENTERED_BY_JUMP __attribute__((force_align_arg_pointer))
#else
#define ENTERED_BY_JUMP
#endif

ENTERED_BY_JUMP static void *announcing_switch(void **save_sp, void *to_sp, void *message)
{
    record *from = find(tni_container_of(save_sp, tni_context, sp));
    record *to = find(target_of(message));

    leave(from, to, ((uintptr_t)message & 1) != 0);
    message = tni_fiber_switch(save_sp, to_sp, message);
    arrive(from);
    return message;
}

/* The first function on a new stack. */
static void enter_fiber(void *arg)
{
    const record *self = arg;

    arrive(self);
    self->entry(self->arg);
}

/* --- Contexts --------------------------------------------------------------------------------------------------------------- */

static void make(tni_context *ctx, tni_stack *stack, void (*entry)(void *), void *arg)
{
    record *r = add_record(ctx);

    r->base = tni_stack_base(stack);
    r->size = tni_stack_size(stack);
    r->is_fiber = true;
    r->entry = entry;
    r->arg = arg;
    r->number = tni_os_valgrind_request(TNI_VALGRIND_STACK_REGISTER, (uintptr_t)r->base, (uintptr_t)r->base + r->size - 1);
    if (__asan_unpoison_memory_region != NULL)
        __asan_unpoison_memory_region(r->base, r->size); /* frames that never returned have left their red zones */
    if (__lsan_register_root_region != NULL)
        __lsan_register_root_region(r->base, r->size);
    if (__tsan_create_fiber != NULL)
        r->thread_fiber = __tsan_create_fiber(0);
    tni_context_ordinary.make(ctx, stack, enter_fiber, r);
}

static void init_thread(tni_context *ctx)
{
    record *r = add_record(ctx);

    tni_thread_stack(&r->base, &r->size);
    if (__tsan_get_current_fiber != NULL)
        r->thread_fiber = __tsan_get_current_fiber();
    tni_context_ordinary.init_thread(ctx);
}

static void fini(tni_context *ctx)
{
    record *r = remove_record(ctx);

    tni_context_ordinary.fini(ctx);
    if (r == NULL)
        return;
    if (r->is_fiber) {
        (void)tni_os_valgrind_request(TNI_VALGRIND_STACK_DEREGISTER, r->number, 0);
        /* The pool reads and writes its canaries, in what was below the stack pointer. */
        (void)tni_os_valgrind_request(TNI_VALGRIND_MAKE_DEFINED, (uintptr_t)r->base, r->size);
        if (__lsan_unregister_root_region != NULL)
            __lsan_unregister_root_region(r->base, r->size);
        if (__asan_unpoison_memory_region != NULL)
            __asan_unpoison_memory_region(r->base, r->size); /* the addresses may be used for other memory */
        if (__tsan_destroy_fiber != NULL)
            __tsan_destroy_fiber(r->thread_fiber);
    }
    tni_free(&tni_alloc_default, r, sizeof *r);
}

/* --- The start -------------------------------------------------------------------------------------------------------------- */

static bool has_tool(void)
{
    return __sanitizer_start_switch_fiber != NULL || __tsan_switch_to_fiber != NULL || tni_os_memcheck_is_running();
}

/* No thread waits for another one that does the same: in a child of fork that thread does not exist. So each of several threads
 * that are first at the same time writes the same values, which do not change afterwards. */
void tni_announce_init(void)
{
    static tni_a32 done;

    if (!TNI_SAN_ANNOUNCES)
        return;
    /* Acquire: observes what the thread wrote that has set it; partner: tni_announce_init. */
    if (tni_a32_load(&done, TNI_ACQUIRE) != 0)
        return;
    if (has_tool()) {
        tni_order_init();
        tni_context_used = (tni_context_functions){make, init_thread, fini};
        tni_context_announced = true;
        tni_fiber_used = (tni_fiber_switches){announcing_switch, announcing_switch, announcing_switch};
    }
    tni_a32_store(&done, 1, TNI_RELEASE); /* release: publishes the functions that are used */
}

void tni_announce_in_child(void)
{
    /* Relaxed: the child has one thread. */
    tni_a32_store(&lock, 0, TNI_RELAXED);
}
