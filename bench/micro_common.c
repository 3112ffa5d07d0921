/* SPDX-License-Identifier: MIT */
/* What the cases of micro share: a runtime of the settings, a latch, and the loop that most of them are. */
#include "measure.h"
#include "micro_cases.h"

tn_runtime *micro_start_with(const micro_settings *settings, tn_options options)
{
    tn_runtime *runtime;

    options.workers = settings->workers;
    measure_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

tn_runtime *micro_start(const micro_settings *settings)
{
    return micro_start_with(settings, tn_options_default());
}

void micro_stop(tn_runtime *runtime)
{
    measure_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 60 * TN_S) == 0);
}

void micro_run(tn_runtime *runtime, tn_entry_fn entry, void *arg)
{
    measure_check(tn_block_on(runtime, entry, arg, NULL) == 0);
}

long micro_times(const micro_settings *settings, long full, long quick)
{
    return settings->count != 0 ? settings->count : settings->quick ? quick : full;
}

static int latch_poll(tn_future *self, tn_waker *waker)
{
    micro_latch *latch = (micro_latch *)(void *)self;
    tn_waker *old;

    if (atomic_load(&latch->left) == 0)
        return 0;
    old = atomic_exchange(&latch->waker, tn_waker_retain(waker));
    if (old != NULL)
        tn_waker_release(old);
    /* Again: the last event may have come before the waker was there. */
    return atomic_load(&latch->left) == 0 ? 0 : TN_PENDING;
}

static void latch_drop(tn_future *self)
{
    tn_waker *old = atomic_exchange(&((micro_latch *)(void *)self)->waker, NULL);

    if (old != NULL)
        tn_waker_release(old);
}

void micro_latch_init(micro_latch *latch, long count)
{
    static const tn_future_ops ops = {latch_poll, latch_drop};

    latch->base.ops = &ops;
    atomic_store(&latch->left, count);
}

void micro_latch_count(micro_latch *latch)
{
    tn_waker *waker;
    long before = atomic_fetch_sub(&latch->left, 1);

    measure_check(before > 0);
    if (before > 1)
        return;
    waker = atomic_exchange(&latch->waker, NULL);
    if (waker != NULL)
        tn_waker_wake(waker);
}

void micro_show_times(const micro_settings *settings, const char *name, const char *title, uint64_t *times_ns, size_t count)
{
    if (!settings->last_round)
        return;
    if (!settings->lines) {
        measure_histogram(stdout, title, times_ns, count);
        return;
    }
    printf("{\"case\": \"%s\", \"buckets\": ", name);
    measure_print_buckets(stdout, times_ns, count);
    puts("}");
}

void micro_measure_loop(const micro_settings *settings, const micro_loop *loop)
{
    tn_runtime *runtime = micro_start(settings);
    long times = micro_times(settings, loop->times, loop->quick_times);
    long warm_times = loop->warm_times;
    measure_stretch stretch;

    micro_run(runtime, loop->entry, &warm_times);
    stretch = measure_begin();
    micro_run(runtime, loop->entry, &times);
    measure_end(stretch, loop->name, loop->unit, (double)times * loop->operations);
    micro_stop(runtime);
}
