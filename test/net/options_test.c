/* SPDX-License-Identifier: MIT */
/* Option structs of every length: a caller may have been built against an older, shorter struct, behind which nothing may be
 * read. Each struct ends at the end of a page, and the next page cannot be read. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"

static char *page; /* readable; the next one is not */
static size_t page_bytes;

static void map_pages(void)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    cr_assert_eq(mprotect(page + page_bytes, page_bytes, PROT_NONE), 0);
}

static void unmap_pages(void)
{
    cr_assert_eq(munmap(page, 2 * page_bytes), 0);
}

TestSuite(options, .init = map_pages, .fini = unmap_pages);

/* The first `size` bytes of `whole`, at the end of the page. All begin with the size. */
static void *cut(const void *whole, size_t size)
{
    void *at = page + page_bytes - size;

    memcpy(at, whole, size);
    memcpy(at, &size, sizeof size);
    return at;
}

#define EACH_LENGTH(size, whole) for (size_t size = sizeof(size_t); size <= sizeof(whole); size += sizeof(size_t))

static void *return_arg(void *arg)
{
    return arg;
}

Test(options, of_a_runtime)
{
    tn_options whole = tn_options_default();
    tn_runtime *runtime;

    EACH_LENGTH(size, whole)
    {
        cr_assert_eq(tn_runtime_create(&runtime, cut(&whole, size)), 0);
        tt_runtime_destroy(runtime);
        cr_assert_eq(tn_run(return_arg, NULL, cut(&whole, size)), 0);
    }
}

Test(options, of_a_task)
{
    tn_spawn_options whole = tn_spawn_options_default();
    tn_runtime *runtime = tt_runtime_create();
    tn_task *task;

    EACH_LENGTH(size, whole)
    {
        cr_assert_eq(tn_spawn_on(runtime, cut(&whole, size), &task, return_arg, NULL), 0);
        tt_join(task);
    }
    tt_runtime_destroy(runtime);
}

static void *enter_and_leave(void *arg)
{
    tn_group_options whole = tn_group_options_default();
    tn_spawn_options of_task = tn_spawn_options_default();
    tn_group group;

    EACH_LENGTH(size, whole)
    {
        tn_group_enter(&group, cut(&whole, size));
        EACH_LENGTH(shorter, of_task)
        tt_check(tn_group_spawn(&group, cut(&of_task, shorter), return_arg, NULL) == 0);
        tt_check(tn_group_wait(&group) == 0);
        tn_group_leave(&group);
    }
    return arg;
}

Test(options, of_a_group)
{
    tt_run(enter_and_leave, NULL);
}

Test(options, of_a_blocking_job)
{
    tn_blocking_options whole = tn_blocking_options_default();
    tn_runtime *runtime = tt_runtime_create();
    tn_job *job;

    EACH_LENGTH(size, whole)
    {
        cr_assert_eq(tn_spawn_blocking_on(runtime, cut(&whole, size), &job, return_arg, NULL), 0);
        cr_assert_eq(tn_job_join(job, NULL), 0);
    }
    for (size_t size = 0; size < sizeof(size_t); size++) {
        whole.size = size;
        cr_assert_eq(tn_spawn_blocking_on(runtime, &whole, &job, return_arg, NULL), TN_EINVAL);
    }
    whole = tn_blocking_options_default();
    whole.when_full = (tn_when_full)(TN_FULL_CALLER_RUNS + 1);
    cr_assert_eq(tn_spawn_blocking_on(runtime, &whole, &job, return_arg, NULL), TN_EINVAL);
    whole.size = offsetof(tn_blocking_options, when_full); /* then it is none of the struct's */
    cr_assert_eq(tn_spawn_blocking_on(runtime, &whole, &job, return_arg, NULL), 0);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(options, of_the_counters)
{
    tn_blocking_counters whole = {.size = sizeof whole};
    tn_runtime *runtime = tt_runtime_create();

    EACH_LENGTH(size, whole)
    {
        tn_blocking_counters *out = cut(&whole, size);
        cr_assert_eq(tn_runtime_blocking(runtime, out), 0);
        cr_assert_eq(out->size, size);
    }
    tt_runtime_destroy(runtime);
}

Test(options, of_a_channel)
{
    tn_channel_options whole = tn_channel_options_default();
    uint64_t value = 1;

    EACH_LENGTH(size, whole)
    {
        tn_broadcast *broadcast;
        tn_oneshot *oneshot;
        tn_mpsc *mpsc;
        tn_watch *watch;
        cr_assert_eq(tn_mpsc_create(&mpsc, sizeof value, 1, cut(&whole, size)), 0);
        tn_mpsc_release_sender(mpsc);
        tn_mpsc_release_receiver(mpsc);
        cr_assert_eq(tn_oneshot_create(&oneshot, sizeof value, cut(&whole, size)), 0);
        tn_oneshot_abandon(oneshot);
        tn_oneshot_release(oneshot);
        cr_assert_eq(tn_broadcast_create(&broadcast, sizeof value, 1, cut(&whole, size)), 0);
        tn_broadcast_release_sender(broadcast);
        cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, cut(&whole, size)), 0);
        tn_watch_release_sender(watch);
    }
}

static void *listen_with_each(void *arg)
{
    tn_listen_options whole = tn_listen_options_default();

    EACH_LENGTH(size, whole)
    {
        tn_listener *listener;
        tt_check(tn_tcp_listen(&listener, "127.0.0.1:0", cut(&whole, size)) == 0);
        tn_listener_close(listener);
    }
    return arg;
}

Test(options, of_a_listener)
{
    tt_run(listen_with_each, NULL);
}
