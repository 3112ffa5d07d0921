/* SPDX-License-Identifier: MIT */
/* redis_demo: tasks that use Redis by redis_task.h.
 *
 * Run:   redis_demo PORT count 100 1000     100 tasks with a connection each increment one number, 1000 times each
 *        redis_demo PORT pipeline 100000    sends so many commands at once, and checks the replies
 *        redis_demo PORT publish 1000 20    publishes so many messages to 20 subscribers
 *        redis_demo PORT deadline           waits for an element of an empty list, until a deadline
 * See:   one line with the result; errors on stderr, and exit status 1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_task.h"

typedef struct demo {
    int port;
    const char *command;
    unsigned long count;
    unsigned long tasks;
    tn_wait_group subscribed;
} demo;

static int open_context(const demo *d, redisContext **context)
{
    int rc = hrt_connect(context, "127.0.0.1", d->port);

    if (rc != 0) {
        (void)fprintf(stderr, "connect: %s: %s\n", tn_strerror(rc), *context != NULL ? (*context)->errstr : "");
        redisFree(*context);
    }
    return rc;
}

/* Frees the reply; returns an error if it is not of this kind. */
static int expect(int rc, redisReply *reply, int type)
{
    if (rc == 0 && reply->type != type)
        rc = HRT_ERROR;
    freeReplyObject(reply);
    return rc;
}

/* Runs `entry(d)` in d->tasks tasks. Returns how many returned NULL. */
static unsigned long run_all(demo *d, tn_entry_fn entry)
{
    tn_task **tasks = calloc(d->tasks, sizeof(tn_task *));
    unsigned long done = 0;

    for (unsigned long i = 0; i < d->tasks; i++)
        if (tn_spawn(&tasks[i], entry, d) != 0)
            abort();
    for (unsigned long i = 0; i < d->tasks; i++) {
        void *failed;
        done += tn_join(tasks[i], &failed) == 0 && failed == NULL;
    }
    free(tasks);
    return done;
}

static void *increment(void *arg)
{
    const demo *d = arg;
    redisContext *context;
    redisReply *reply;
    int rc = open_context(d, &context);

    if (rc != 0)
        return arg;
    for (unsigned long i = 0; i < d->count && rc == 0; i++) {
        rc = hrt_command(context, &reply, "INCR number");
        rc = expect(rc, reply, REDIS_REPLY_INTEGER);
    }
    redisFree(context);
    return rc == 0 ? NULL : arg;
}

static int run_count(demo *d)
{
    unsigned long done = run_all(d, increment);
    redisContext *context;
    redisReply *reply;
    int rc = open_context(d, &context);

    if (rc != 0)
        return rc;
    rc = hrt_command(context, &reply, "GETSET number %d", 0);
    if (rc == 0)
        (void)printf("%lu tasks, %s\n", done, reply->str);
    rc = expect(rc, reply, REDIS_REPLY_STRING);
    redisFree(context);
    return done == d->tasks ? rc : HRT_ERROR;
}

static int run_pipeline(demo *d)
{
    unsigned long right = 0;
    redisContext *context;
    redisReply *reply;
    int rc = open_context(d, &context);

    if (rc != 0)
        return rc;
    for (unsigned long i = 0; i < d->count; i++)
        (void)redisAppendCommand(context, "ECHO reply-%lu-%0100d", i, 0);
    for (unsigned long i = 0; i < d->count && rc == 0; i++) {
        char wanted[32];
        int size = snprintf(wanted, sizeof wanted, "reply-%lu-", i);
        rc = hrt_reply(context, &reply);
        if (rc == 0 && reply->type == REDIS_REPLY_STRING && strncmp(reply->str, wanted, (size_t)size) == 0)
            right++;
        freeReplyObject(reply);
    }
    redisFree(context);
    (void)printf("%lu replies\n", right);
    return right == d->count ? rc : HRT_ERROR;
}

static void *subscribe(void *arg)
{
    demo *d = arg;
    unsigned long seen = 0;
    redisContext *context;
    redisReply *reply;
    int rc = open_context(d, &context);

    if (rc != 0)
        abort();
    rc = hrt_command(context, &reply, "SUBSCRIBE news");
    rc = expect(rc, reply, REDIS_REPLY_ARRAY);
    tn_wait_group_done(&d->subscribed);
    while (rc == 0 && seen < d->count) {
        rc = hrt_reply(context, &reply);
        if (rc == 0 && reply->elements == 3 && strtoul(reply->element[2]->str, NULL, 10) == seen)
            seen++;
        freeReplyObject(reply);
    }
    redisFree(context);
    return seen == d->count ? NULL : arg;
}

static void *publish(void *arg)
{
    demo *d = arg;
    redisContext *context;
    redisReply *reply;
    int rc = tn_wait_group_wait(&d->subscribed);

    if (rc != 0 || open_context(d, &context) != 0)
        return arg;
    for (unsigned long i = 0; i < d->count && rc == 0; i++) {
        rc = hrt_command(context, &reply, "PUBLISH news %lu", i);
        rc = expect(rc, reply, REDIS_REPLY_INTEGER);
    }
    redisFree(context);
    return rc == 0 ? NULL : arg;
}

static int run_publish(demo *d)
{
    tn_task *publisher;
    unsigned long done;

    tn_wait_group_init(&d->subscribed);
    tn_wait_group_add(&d->subscribed, (uint32_t)d->tasks);
    if (tn_spawn(&publisher, publish, d) != 0)
        abort();
    done = run_all(d, subscribe);
    (void)tn_join(publisher, NULL);
    tn_wait_group_fini(&d->subscribed);
    (void)printf("%lu subscribers, %lu messages each\n", done, d->count);
    return done == d->tasks ? 0 : HRT_ERROR;
}

static int run_deadline(demo *d)
{
    redisContext *context;
    redisReply *reply;
    tn_scope scope;
    int rc = open_context(d, &context);
    int cut;

    if (rc != 0)
        return rc;
    tn_scope_enter_for(&scope, TN_S / 4);
    cut = hrt_command(context, &reply, "BLPOP nothing 0");
    tn_scope_leave(&scope);
    redisFree(context);
    (void)printf("%s\n", tn_strerror(cut));
    return cut == TN_ETIMEDOUT ? 0 : HRT_ERROR;
}

static int run_command(demo *d)
{
    static const struct {
        const char *name;
        int (*run)(demo *d);
    } commands[] = {{"count", run_count}, {"pipeline", run_pipeline}, {"publish", run_publish}, {"deadline", run_deadline}};

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(d->command, commands[i].name) == 0)
            return commands[i].run(d);
    (void)fprintf(stderr, "redis_demo: unknown command %s\n", d->command);
    return TN_EINVAL;
}

static void *main_task(void *arg)
{
    return (void *)(intptr_t)run_command(arg);
}

int main(int argc, char **argv)
{
    demo d = {.port = 0};
    int rc;

    if (argc < 3 || argc > 5) {
        (void)fprintf(stderr, "redis_demo: PORT count TASKS COUNT, pipeline COUNT, publish COUNT TASKS, or deadline\n");
        return 2;
    }
    d.port = (int)strtol(argv[1], NULL, 10);
    d.command = argv[2];
    d.count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    d.tasks = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
    if (strcmp(d.command, "count") == 0) {
        unsigned long tasks = d.count;
        d.count = d.tasks;
        d.tasks = tasks;
    }
    rc = tn_run(main_task, &d, NULL);
    if (rc != 0)
        (void)fprintf(stderr, "redis_demo: %s\n", tn_strerror(rc));
    return rc == 0 ? 0 : 1;
}
