/* SPDX-License-Identifier: MIT */
/* Looking up the C++ runtime: a thread that has loaded it finds it, and look-ups that began before fail. */
#include "fiber/exceptions.h"

#include "model.h"

typedef struct {
    tni_a32 loaded;
} plugin;

static tni_a32 *is_loaded; /* of the plugin of the present execution */

static tni_os_exceptions *no_record(void)
{
    return NULL;
}

/* Relaxed: the dynamic linker's lock orders nothing for a thread that finds nothing. */
tni_os_exceptions_fn tni_os_exceptions_find(void)
{
    return tni_a32_load(is_loaded, TNI_RELAXED) != 0 ? no_record : NULL;
}

static void setup(void *state)
{
    plugin *p = state;

    is_loaded = &p->loaded;
    tni_a32_init(&p->loaded, 0);
    tni_aptr_init(&tni_exceptions_found.accessor, NULL);
    tni_a64_init(&tni_exceptions_found.none_before, 0);
    model_name_of(p->loaded);
    model_name_of(tni_exceptions_found.accessor);
    model_name_of(tni_exceptions_found.none_before);
}

static void load_and_find(void *state)
{
    tni_a32_store(&((plugin *)state)->loaded, 1, TNI_RELAXED);
    model_check(!tni_exceptions_in_use());
}

static void find(void *state)
{
    (void)state;
    model_check(!tni_exceptions_in_use());
}

/* It is found, and no failed look-up hides that. */
static void finish(void *state)
{
    (void)state;
    model_check(tni_aptr_load(&tni_exceptions_found.accessor, TNI_RELAXED) != NULL);
    model_check(tni_a64_load(&tni_exceptions_found.none_before, TNI_RELAXED) == 0);
}

#define CASE(what, ...) \
    { \
        .name = "exceptions." what, .state_bytes = sizeof(plugin), .bound = 3, .setup = setup, .threads = {__VA_ARGS__}, \
        .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("two", load_and_find, find),
    CASE("three", load_and_find, find, find),
    {0},
};
