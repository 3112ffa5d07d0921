#include "overflow.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "os_memory.h"
#include "os_signal.h"
#include "prim.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* The handler of someone else may run on it after ours, and a register file alone may take several KiB. */
#define ALT_STACK_BYTES ((size_t)64 * 1024)

static const int watched[] = {SIGSEGV, SIGBUS};
#define WATCHED (sizeof watched / sizeof *watched)

/* A signal's handler belongs to the process, so this does too. */
static struct {
    tni_a32 lock;                     /* 1 while someone installs or uninstalls */
    tni_aptr find;                    /* a const tni_overflow_find *, NULL while nobody wants reports */
    tni_overflow_find find_value;     /* what it points at */
    unsigned count;                   /* installs without uninstall; under the lock */
    bool hooked[WATCHED];             /* our handler stands there, or perhaps behind one that was set later; under the lock */
    struct sigaction before[WATCHED]; /* what was there; does not change while our handler is called */
} state;

/* --- The message ------------------------------------------------------------------------------------------------------------ */

/* Built by hand: nothing from stdio may be called here. */
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

_Noreturn static void report(const tni_overflow_info *info, const void *fault_address)
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

static const struct sigaction *action_before(int signal_number)
{
    return &state.before[signal_number == watched[0] ? 0 : 1];
}

static void handler(int signal_number, siginfo_t *info, void *ucontext)
{
    tni_overflow_info found = {0};
    /* Observes find_value, published by tni_overflow_install(); weaker, a thread that faults while another one installs could
     * call through a pointer it does not see yet. */
    const tni_overflow_find *find = tni_aptr_load(&state.find, TNI_ACQUIRE);
    if (find != NULL && info->si_code > 0 && (*find)(info->si_addr, &found))
        report(&found, info->si_addr);
    /* A signal that somebody sent will not come again by itself when the handler returns; a fault will. */
    tni_os_signal_pass_on(action_before(signal_number), signal_number, info, ucontext, info->si_code <= 0);
}

/* --- Installing ------------------------------------------------------------------------------------------------------------- */

/* A tni_mutex cannot be had before somebody initialises it; this is rare and short. */
static void lock_state(void)
{
    uint32_t expected = 0;
    /* Acquire: observes what the holder before wrote under the lock, published by unlock_state(). */
    while (!tni_a32_cas(&state.lock, &expected, 1, TNI_ACQUIRE)) {
        expected = 0;
        tni_spin_hint();
    }
}

static void unlock_state(void)
{
    /* Release: publishes what was written under the lock to the next lock_state(); weaker, it could miss a count. */
    tni_a32_store(&state.lock, 0, TNI_RELEASE);
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handler;
}

/* Out again where we still stand in front; whoever was set after us keeps calling us, and we pass on. */
static void unhook(void)
{
    for (size_t i = 0; i < WATCHED; i++) {
        struct sigaction now;
        if (!state.hooked[i] || sigaction(watched[i], NULL, &now) != 0 || !is_ours(&now))
            continue;
        if (sigaction(watched[i], &state.before[i], NULL) == 0)
            state.hooked[i] = false;
    }
}

static int hook_one(size_t i)
{
    struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;

    if (sigaction(watched[i], NULL, &now) != 0)
        return -errno;
    /* A handler that was set after ours may call it. If there is none, nobody does: ours was taken away. */
    if (!is_ours(&now) && (!state.hooked[i] || !tni_os_signal_is_handled(&now))) {
        /* Before ours is set: it may run before the call returns. */
        state.before[i] = now;
        sigemptyset(&ours.sa_mask);
        if (sigaction(watched[i], &ours, NULL) != 0)
            return -errno;
    }
    state.hooked[i] = true;
    return 0;
}

static int hook(void)
{
    for (size_t i = 0; i < WATCHED; i++) {
        int rc = hook_one(i);
        if (rc != 0) {
            unhook();
            return rc;
        }
    }
    return 0;
}

int tni_overflow_install(tni_overflow_find find)
{
    int rc = 0;
    lock_state();
    tni_assert(state.count == 0 || state.find_value == find, "two different lookups for stack overflows in one process");
    if (state.count == 0) {
        state.find_value = find;
        rc = hook();
    }
    if (rc == 0) {
        state.count++;
        /* Publishes find_value to handler(). */
        tni_aptr_store(&state.find, &state.find_value, TNI_RELEASE);
    }
    unlock_state();
    return rc;
}

void tni_overflow_uninstall(void)
{
    lock_state();
    tni_assert(state.count > 0, "an overflow report is uninstalled that nobody installed");
    if (--state.count == 0) {
        /* handler() sees it or does not: what it points at stays readable, and no task runs any more that it could report. */
        tni_aptr_store(&state.find, NULL, TNI_RELAXED);
        unhook();
    }
    unlock_state();
}

/* --- A thread's part -------------------------------------------------------------------------------------------------------- */

static size_t alt_stack_size(void)
{
    size_t page = tni_os_page_size();
    size_t size = (size_t)getauxval(AT_MINSIGSTKSZ) * 2;
    if (size < ALT_STACK_BYTES)
        size = ALT_STACK_BYTES;
    return (size + page - 1) & ~(page - 1);
}

int tni_overflow_thread_init(tni_overflow_thread *thread)
{
    stack_t present;
    *thread = (tni_overflow_thread){0};
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
        tni_overflow_thread_fini(thread);
    }
    return rc;
}

void tni_overflow_thread_fini(tni_overflow_thread *thread)
{
    stack_t present;
    if (thread->memory == NULL)
        return;
    if (sigaltstack(NULL, &present) == 0 && present.ss_sp == thread->memory) {
        stack_t none = {.ss_flags = SS_DISABLE};
        (void)sigaltstack(&none, NULL);
    }
    (void)tni_os_unmap(thread->memory, thread->size);
    *thread = (tni_overflow_thread){0};
}
