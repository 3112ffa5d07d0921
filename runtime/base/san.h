/* SPDX-License-Identifier: MIT */
/* Annotations for the sanitizers about stacks that are switched by hand. They are empty in ordinary builds.
 *
 * AddressSanitizer needs the bounds of the stack that is switched to, and keeps a fake stack of frames for each. LeakSanitizer
 * searches for pointers only in memory it knows. ThreadSanitizer keeps a clock and a call stack for each fiber. */
#ifndef TNI_SAN_H
#define TNI_SAN_H

#include "base/defs.h"

#if defined(__SANITIZE_ADDRESS__)
#define TNI_SAN_ADDRESS 1
#elif defined(__SANITIZE_THREAD__)
#define TNI_SAN_THREAD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TNI_SAN_ADDRESS 1
#elif __has_feature(thread_sanitizer)
#define TNI_SAN_THREAD 1
#endif
#endif

/* Whether the fibers are announced to a tool that the program runs under (fiber/announce.h). Not if this build knows its
 * sanitizer. Not in the model checker and the simulator, whose atomics may switch stacks, and the announcer uses atomics. */
#if defined(TNI_SAN_ADDRESS) || defined(TNI_SAN_THREAD) || defined(TNI_MODEL) || defined(TNI_SIM)
#define TNI_SAN_ANNOUNCES false
#else
#define TNI_SAN_ANNOUNCES true
#endif

/* --- AddressSanitizer and LeakSanitizer ------------------------------------------------------------------------------------- */
#if defined(TNI_SAN_ADDRESS)

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

/* For code that reads stack memory that is free or in use by another thread. */
#define TNI_SAN_UNCHECKED __attribute__((no_sanitize("address"), noinline))

typedef struct {
    void *fake_stack;       /* the sanitizer's fake stack while this context is suspended */
    const void *stack_base; /* lowest address; the sanitizer supplies that of a thread's stack when it is first left */
    size_t stack_size;      /* bytes from stack_base */
    void (*entry)(void *);  /* called by the first frame after the switch was announced */
    void *arg;              /* the argument of entry */
} tni_san_context;

/* The message of a switch: what the context that is entered learns. */
static inline void *tni_san_message(tni_san_context *from, tni_san_context *to, bool for_good)
{
    (void)to, (void)for_good;
    return from;
}

/* The first function on a new stack. `message` is the context that was left. */
static inline void tni_san_entry(void *arg, void *message)
{
    tni_san_context *self = arg;
    tni_san_context *left = message;
    __sanitizer_finish_switch_fiber(NULL, &left->stack_base, &left->stack_size);
    self->entry(self->arg);
}

/* May replace *entry and *arg by a function that calls the original one. */
static inline void tni_san_make(tni_san_context *san, void *base, size_t size, void (**entry)(void *), void **arg)
{
    *san = (tni_san_context){.stack_base = base, .stack_size = size, .entry = *entry, .arg = *arg};
    *entry = (void (*)(void *))(void (*)(void))tni_san_entry;
    *arg = san;
}

static inline void tni_san_thread(tni_san_context *san)
{
    *san = (tni_san_context){0};
}
static inline void tni_san_fini(tni_san_context *san)
{
    (void)san;
}

static inline void tni_san_leave(tni_san_context *from, tni_san_context *to, bool for_good)
{
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->stack_base, to->stack_size);
}

static inline void tni_san_arrive(tni_san_context *self, void *message)
{
    tni_san_context *left = message;
    __sanitizer_finish_switch_fiber(self->fake_stack, &left->stack_base, &left->stack_size);
}

/* Called when a stack comes into use: makes its memory accessible, and a root for LeakSanitizer, because it may hold the only
 * pointer to an allocation. */
static inline void tni_san_stack_live(void *base, size_t size)
{
    __asan_unpoison_memory_region(base, size);
    __lsan_register_root_region(base, size);
}

/* Called when a stack was put back: makes any access to it an error. This also removes the red zones of frames that never
 * returned. */
static inline void tni_san_stack_idle(void *base, size_t size)
{
    __lsan_unregister_root_region(base, size);
    __asan_poison_memory_region(base, size);
}

/* The same for free memory that is kept, and is no stack. */
static inline void tni_san_memory_live(void *base, size_t size)
{
    __asan_unpoison_memory_region(base, size);
}
static inline void tni_san_memory_idle(void *base, size_t size)
{
    __asan_poison_memory_region(base, size);
}

/* Called when the addresses are unmapped: makes them accessible, because the kernel may reuse them for other memory. */
static inline void tni_san_unmap(void *base, size_t size)
{
    __asan_unpoison_memory_region(base, size);
}

/* --- ThreadSanitizer -------------------------------------------------------------------------------------------------------- */
#elif defined(TNI_SAN_THREAD)

#include <sanitizer/tsan_interface.h>

#define TNI_SAN_UNCHECKED __attribute__((no_sanitize("thread"), noinline))

typedef struct {
    void *fiber; /* the sanitizer's object for this context */
    bool made;   /* created here; that of a thread must not be destroyed here */
} tni_san_context;

/* The message of a switch: what the context that is entered learns. */
static inline void *tni_san_message(tni_san_context *from, tni_san_context *to, bool for_good)
{
    (void)to, (void)for_good;
    return from;
}

static inline void tni_san_make(tni_san_context *san, void *base, size_t size, void (**entry)(void *), void **arg)
{
    (void)base, (void)size, (void)entry, (void)arg;
    *san = (tni_san_context){.fiber = __tsan_create_fiber(0), .made = true};
}

static inline void tni_san_thread(tni_san_context *san)
{
    *san = (tni_san_context){.fiber = __tsan_get_current_fiber(), .made = false};
}

static inline void tni_san_fini(tni_san_context *san)
{
    if (san->made)
        __tsan_destroy_fiber(san->fiber);
    san->fiber = NULL;
    san->made = false;
}

/* Must be the last call before the switch and must be inlined: the sanitizer would record the return of a separate function on
 * the other fiber's call stack. Flag 0 makes the switch a happens-before edge, which it is. */
__attribute__((always_inline)) static inline void tni_san_leave(tni_san_context *from, tni_san_context *to, bool for_good)
{
    (void)from, (void)for_good;
    __tsan_switch_to_fiber(to->fiber, 0);
}

static inline void tni_san_arrive(tni_san_context *self, void *message)
{
    (void)self, (void)message;
}
static inline void tni_san_stack_live(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_stack_idle(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_memory_live(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_memory_idle(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_unmap(void *base, size_t size)
{
    (void)base, (void)size;
}

/* --- Ordinary builds -------------------------------------------------------------------------------------------------------- */
#else

#define TNI_SAN_UNCHECKED

#if defined(TNI_SIM)
/* As large as with AddressSanitizer: how many headers are in a block decides what a simulated run does. */
#define TNI_SAN_MEMBERS void *unused[5];
#else
#define TNI_SAN_MEMBERS
#endif

/* Without members. That is not ISO C, and -Wpedantic would report it in each file. */
__extension__ typedef struct {
    TNI_SAN_MEMBERS
} tni_san_context;

/* The message of a switch: what the context that is entered learns. Here it is that context itself, for fiber/announce.c, with a
 * mark if `from` is left for good. */
static inline void *tni_san_message(tni_san_context *from, tni_san_context *to, bool for_good)
{
    (void)from;
    return (char *)to + for_good;
}

static inline void tni_san_make(tni_san_context *san, void *base, size_t size, void (**entry)(void *), void **arg)
{
    (void)san, (void)base, (void)size, (void)entry, (void)arg;
}

static inline void tni_san_thread(tni_san_context *san)
{
    (void)san;
}
static inline void tni_san_fini(tni_san_context *san)
{
    (void)san;
}
static inline void tni_san_leave(tni_san_context *from, tni_san_context *to, bool for_good)
{
    (void)from, (void)to, (void)for_good;
}
static inline void tni_san_arrive(tni_san_context *self, void *message)
{
    (void)self, (void)message;
}
static inline void tni_san_stack_live(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_stack_idle(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_memory_live(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_memory_idle(void *base, size_t size)
{
    (void)base, (void)size;
}
static inline void tni_san_unmap(void *base, size_t size)
{
    (void)base, (void)size;
}

#endif

#endif
