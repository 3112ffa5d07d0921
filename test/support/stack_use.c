/* SPDX-License-Identifier: MIT */
/* How much stack the library's calls need. */
#include "support/stack_use.h"

#include "fiber/stack.h"
#include "support/runtime.h"
#include "task/task.h"

#define PAINT UINT64_C(0x5b5b5b5b5b5b5b5b)
#define UNPAINTED ((size_t)512) /* bytes below the caller's frame that paint() itself may use */
#define STEPS_MAX 32

__attribute__((noinline)) static void paint(uint64_t *low, uint64_t *high)
{
    for (volatile uint64_t *word = low; word < high; word++)
        *word = PAINT;
}

__attribute__((noinline)) size_t tt_stack_use_of(void (*step)(void))
{
    uint64_t *low = tni_stack_base(tn_self()->body.fiber.stack);
    uint64_t *here = __builtin_frame_address(0);
    const volatile uint64_t *word = low;

    paint(low, here - UNPAINTED / sizeof *here);
    step();
    while (word < here && *word == PAINT)
        word++;
    return (size_t)((const char *)here - (const char *)(const void *)word);
}

typedef struct {
    const tt_stack_step *steps;
    unsigned count;
    size_t used[STEPS_MAX];
} measurement;

static void *measure_all(void *arg)
{
    measurement *m = arg;

    for (unsigned i = 0; i < m->count; i++)
        m->used[i] = tt_stack_use_of(m->steps[i].run);
    return NULL;
}

void tt_stack_use_check(const tt_stack_step *steps, unsigned count)
{
    measurement m = {.steps = steps, .count = count};

    cr_assert(count > 0 && count <= STEPS_MAX);
    tt_run(measure_all, &m);
    for (unsigned i = 0; i < count; i++) {
        cr_log_info("%s: %zu bytes", steps[i].name, m.used[i]);
        cr_expect_leq(m.used[i], TT_STACK_USE_MOST, "%s: %zu bytes", steps[i].name, m.used[i]);
    }
}
