/* SPDX-License-Identifier: MIT */
/* Each allocation that a function of sync makes fails in turn; it makes no system call that can fail. */
#include <tn.h>

#include "support/each_failure.h"

static tn_channel_options of_memory(void)
{
    tn_channel_options options = tn_channel_options_default();

    options.allocator = &memory.as_option;
    return options;
}

static int use_token(void)
{
    tn_cancel_token *parent;
    tn_cancel_token *child;
    int rc = tn_cancel_token_create(&parent, NULL, &memory.as_option);

    if (rc != 0)
        return rc;
    rc = tn_cancel_token_create(&child, parent, &memory.as_option);
    if (rc == 0) {
        tn_cancel_token_cancel(parent);
        rc = tn_cancel_token_wait(child);
        tn_cancel_token_release(child);
    }
    tn_cancel_token_release(parent);
    return rc;
}

static int use_channel(void)
{
    tn_channel_options options = of_memory();
    uint64_t element = 1;
    tn_mpsc *channel;
    int rc = tn_mpsc_create(&channel, sizeof element, 256, &options);

    if (rc != 0)
        return rc;
    for (int i = 0; i < 200 && rc == 0; i++)
        rc = tn_mpsc_send(channel, &element);
    tn_mpsc_release_sender(channel);
    tn_mpsc_release_receiver(channel);
    return rc;
}

/* An element that could not be sent is not there. */
static int fill_unbounded(tn_mpsc *channel)
{
    uint64_t sent = 0;
    uint64_t element;
    int rc = 0;

    for (; sent < 200 && rc == 0; sent += rc == 0)
        rc = sent % 2 == 0 ? tn_mpsc_send(channel, &sent) : tn_mpsc_try_send(channel, &sent);
    for (uint64_t i = 0; i < sent; i++) {
        tt_check_eq(tn_mpsc_recv(channel, &element), 0);
        tt_check_eq(element, i);
    }
    tt_check_eq(tn_mpsc_try_recv(channel, &element), TN_EAGAIN);
    return rc;
}

/* A reservation stays whose send had no memory, and can be given back. */
static int send_reserved(tn_mpsc *channel)
{
    uint64_t element = 7;
    int rc = tn_mpsc_reserve(channel);

    if (rc != 0)
        return rc;
    rc = tn_mpsc_send_reserved(channel, &element);
    if (rc != 0)
        tn_mpsc_unreserve(channel);
    return rc;
}

static int use_unbounded_channel(void)
{
    tn_channel_options options = of_memory();
    tn_mpsc *channel;
    int rc = tn_mpsc_create(&channel, sizeof(uint64_t), TN_UNBOUNDED, &options);

    if (rc != 0)
        return rc;
    rc = fill_unbounded(channel);
    rc = rc == 0 ? send_reserved(channel) : rc;
    tn_mpsc_release_sender(channel);
    tn_mpsc_release_receiver(channel);
    return rc;
}

static int use_oneshot(void)
{
    tn_channel_options options = of_memory();
    tn_oneshot *oneshot;
    int rc = tn_oneshot_create(&oneshot, sizeof rc, &options);

    if (rc != 0)
        return rc;
    tt_check_eq(tn_oneshot_send(oneshot, &rc), 0);
    tn_oneshot_release(oneshot);
    return 0;
}

static int use_broadcast(void)
{
    tn_channel_options options = of_memory();
    tn_broadcast_receiver receiver;
    tn_broadcast *channel;
    uint64_t missed;
    int element = 5;
    int rc = tn_broadcast_create(&channel, sizeof element, 4, &options);

    if (rc != 0)
        return rc;
    tn_broadcast_subscribe(channel, &receiver);
    tt_check_eq(tn_broadcast_send(channel, &element), 1);
    tt_check_eq(tn_broadcast_recv(&receiver, &element, &missed), 0);
    tn_broadcast_unsubscribe(&receiver);
    tn_broadcast_release_sender(channel);
    return 0;
}

static int use_watch(void)
{
    tn_channel_options options = of_memory();
    tn_watch_receiver receiver;
    tn_watch *watch;
    int value = 1;
    int rc = tn_watch_create(&watch, sizeof value, &value, &options);

    if (rc != 0)
        return rc;
    tn_watch_subscribe(watch, &receiver);
    tn_watch_send(watch, &value);
    tt_check_eq(tn_watch_changed(&receiver), 0);
    tn_watch_unsubscribe(&receiver);
    tn_watch_release_sender(watch);
    return 0;
}

static void *nothing(void *arg)
{
    return arg;
}

/* A resource that is a task, so making one can fail. */
static int open_resource(void *arg, void **resource)
{
    tn_task *task;
    int *open = arg;
    int rc = tn_spawn(&task, nothing, NULL);

    if (rc == 0) {
        *resource = task;
        ++*open;
    }
    return rc;
}

static void close_resource(void *arg, void *resource)
{
    int *open = arg;

    tn_task_release(resource);
    --*open;
}

static int use_pool(void)
{
    tn_resource_pool_options options = tn_resource_pool_options_default();
    tn_resource_pool *pool;
    void *resource;
    int open = 0;
    int rc;

    options.open = open_resource;
    options.close = close_resource;
    options.arg = &open;
    options.allocator = &memory.as_option;
    rc = tn_resource_pool_create(&pool, &options);
    if (rc != 0)
        return rc;
    rc = tn_resource_pool_acquire(pool, &resource);
    if (rc == 0)
        tn_resource_pool_release(pool, resource, true);
    tn_resource_pool_destroy(pool);
    tt_check_eq(open, 0);
    return rc;
}

static const tt_function functions[] = {
    {"token", use_token, 0},        {"channel", use_channel, 0},     {"unbounded channel", use_unbounded_channel, 0},
    {"oneshot", use_oneshot, 0},    {"broadcast", use_broadcast, 0}, {"watch", use_watch, 0},
    {"resource pool", use_pool, 0},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

Test(each_failure_of_sync, of_an_allocation)
{
    tt_fail_each(TT_ALLOCATION, functions, FUNCTIONS);
}
