/* SPDX-License-Identifier: MIT */
/* The SIGSEGV and SIGBUS handler that reports stack overflows. */
#include "fiber/stack_overflow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/os_memory.h"
#include "os/os_sigaction.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* Chained handlers run on the alternate stack too, and the register file alone may take several KiB. */
#define ALT_STACK_BYTES ((size_t)64 * 1024)

static const int reported[] = {SIGSEGV, SIGBUS};
#define REPORTED (sizeof reported / sizeof *reported)

/* One per process, as signal handlers are. */
static struct {
    tni_aptr find;                      /* a const tni_stack_overflow_find *; NULL while no runtime wants reports */
    tni_stack_overflow_find find_value; /* the value that `find` points at */
    unsigned count;                     /* installs minus uninstalls; protected by tni_os_sigaction_lock() */
    tni_os_sigaction actions[REPORTED];
} state;

/* --- The message ------------------------------------------------------------------------------------------------------------ */

/* Built by hand: stdio is not async-signal-safe. */
typedef struct {
    char text[400]; /* not terminated */
    size_t length;  /* bytes in it */
} message;

static void add_text(message *m, const char *text)
{
    while (*text != '\0' && m->length < sizeof m->text)
        m->text[m->length++] = *text++;
}

static void add_number(message *m, uintptr_t value, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    add_text(m, digits + at);
}

_Noreturn static void report(const tni_stack_overflow_info *info, const void *fault_address)
{
    message m = {.length = 0};
    add_text(&m, "tournant: stack overflow in task \"");
    add_text(&m, info->task_name != NULL ? info->task_name : "");
    add_text(&m, "\": its stack is ");
    add_number(&m, info->stack_size_bytes / 1024, 10);
    add_text(&m, " KiB; give it a larger stack_size_bytes (fault at 0x");
    add_number(&m, (uintptr_t)fault_address, 16);
    add_text(&m, ")\n");
    ssize_t written = write(STDERR_FILENO, m.text, m.length);
    (void)written;
    abort();
}

/* --- The handler ------------------------------------------------------------------------------------------------------------ */

static void handler(int signal_number, siginfo_t *info, void *ucontext)
{
    tni_stack_overflow_info found = {0};
    /* Observes find_value, published by tni_stack_overflow_install(). Weaker: a thread that faults while another thread
     * installs could call through a pointer that it does not see yet. */
    const tni_stack_overflow_find *find = tni_aptr_load(&state.find, TNI_ACQUIRE);
    if (find != NULL && info->si_code > 0 && (*find)(info->si_addr, &found))
        report(&found, info->si_addr);
    /* When the handler returns, a fault is raised again by itself; a signal that was sent (si_code <= 0) is not. */
    (void)tni_os_sigaction_chain(&state.actions[signal_number == reported[0] ? 0 : 1], signal_number, info, ucontext,
                                 info->si_code <= 0, NULL);
}

/* --- Installing ------------------------------------------------------------------------------------------------------------- */

static void restore_handlers_locked(void)
{
    for (size_t i = 0; i < REPORTED; i++)
        tni_os_sigaction_clear_locked(&state.actions[i], reported[i], handler);
}

static int install_handlers_locked(void)
{
    for (size_t i = 0; i < REPORTED; i++) {
        int rc = tni_os_sigaction_set_locked(&state.actions[i], reported[i], handler);
        if (rc != 0) {
            restore_handlers_locked();
            return rc;
        }
    }
    return 0;
}

int tni_stack_overflow_install(tni_stack_overflow_find find)
{
    int rc = 0;
    tni_os_sigaction_lock();
    tni_assert(state.count == 0 || state.find_value == find, "two different lookups for stack overflows in one process");
    if (state.count == 0) {
        state.find_value = find;
        rc = install_handlers_locked();
    }
    if (rc == 0) {
        state.count++;
        /* Publishes find_value to handler(). */
        tni_aptr_store(&state.find, &state.find_value, TNI_RELEASE);
    }
    tni_os_sigaction_unlock();
    return rc;
}

void tni_stack_overflow_uninstall(void)
{
    tni_os_sigaction_lock();
    tni_assert(state.count > 0, "tni_stack_overflow_uninstall without an install");
    if (--state.count == 0) {
        /* Relaxed: handler() may observe it late. The value stays readable, and no task that it could report runs any more. */
        tni_aptr_store(&state.find, NULL, TNI_RELAXED);
        restore_handlers_locked();
    }
    tni_os_sigaction_unlock();
}

/* --- The alternate stack ---------------------------------------------------------------------------------------------------- */

static size_t alt_stack_size(void)
{
    size_t page = tni_os_page_size();
    size_t size = (size_t)getauxval(AT_MINSIGSTKSZ) * 2;
    if (size < ALT_STACK_BYTES)
        size = ALT_STACK_BYTES;
    return (size + page - 1) & ~(page - 1);
}

int tni_stack_overflow_thread_init(tni_stack_overflow_thread *thread)
{
    stack_t present;
    *thread = (tni_stack_overflow_thread){0};
    if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0)
        return 0;
    size_t size = alt_stack_size();
    int rc = tni_os_map(size, &thread->memory);
    if (rc < 0)
        return rc;
    thread->size = size;
    stack_t ours = {.ss_sp = thread->memory, .ss_size = size};
    if (sigaltstack(&ours, NULL) != 0) {
        rc = -errno;
        tni_stack_overflow_thread_fini(thread);
    }
    return rc;
}

void tni_stack_overflow_thread_fini(tni_stack_overflow_thread *thread)
{
    stack_t present;
    if (thread->memory == NULL)
        return;
    if (sigaltstack(NULL, &present) == 0 && present.ss_sp == thread->memory) {
        stack_t none = {.ss_flags = SS_DISABLE};
        (void)sigaltstack(&none, NULL);
    }
    (void)tni_os_unmap(thread->memory, thread->size);
    *thread = (tni_stack_overflow_thread){0};
}
