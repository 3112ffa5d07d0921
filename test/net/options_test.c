/* SPDX-License-Identifier: MIT */
/* Option structs of every length: a caller may have been built with the headers of an older or a newer version. Each struct
 * ends at the end of a page, and the next page cannot be read. */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"

static char *page; /* readable; the next page is not */
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

/* Returns the address for a struct of `size` bytes: as close to the end of the page as its alignment allows. A struct whose
 * `size` exceeds the page starts at the page's beginning. */
static char *place(size_t size)
{
    size_t bytes = size == 0 ? sizeof size : (size + sizeof size - 1) / sizeof size * sizeof size;

    return size < page_bytes ? page + page_bytes - bytes : page;
}

/* Makes a struct of `size` bytes from `bytes` bytes of defaults. Missing bytes are cut off, additional ones are zero, and the
 * bytes after the struct are not zero. */
static void *resized(const void *defaults, size_t bytes, size_t size)
{
    char *at = place(size);
    size_t room = (size_t)(page + page_bytes - at);

    memset(at, 0xff, room);
    memset(at, 0, size < room ? size : room);
    memcpy(at, defaults, size < bytes ? size : bytes);
    memcpy(at, &size, sizeof size);
    return at;
}

static void *return_arg(void *arg)
{
    return arg;
}

/* --- The calls that read options ---------------------------------------------------------------------------------------- */

static atomic_int lines; /* in the log */
static char line[400];   /* the last one */

static void keep_line(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    snprintf(line, sizeof line, "%s", message);
    atomic_fetch_add(&lines, 1);
}

static tn_options logged_options(void)
{
    tn_options options = tt_options();

    options.log = keep_line;
    return options;
}

static int call_runtime_create(const void *options)
{
    tn_runtime *runtime;
    int rc = tn_runtime_create(&runtime, options);

    if (rc == 0)
        tt_runtime_destroy(runtime);
    else
        tt_check(runtime == NULL);
    return rc;
}

static int call_run(const void *options)
{
    return tn_run(return_arg, NULL, options);
}

static int call_spawn_on(const void *options)
{
    tn_task *task;
    int rc = tn_spawn_on(NULL, options, &task, return_arg, NULL);

    tt_check((rc == 0) == (task != NULL));
    if (rc == 0)
        tt_join(task);
    return rc;
}

static int poll_ready(tn_future *future, tn_waker *waker)
{
    (void)future;
    (void)waker;
    return 0;
}

static void drop_nothing(tn_future *future)
{
    (void)future;
}

static int call_spawn_future(const void *options)
{
    static const tn_future_ops ops = {.poll = poll_ready, .drop = drop_nothing, .name = "ready"};
    tn_future future = {.ops = &ops};
    tn_task *task;
    int rc = tn_spawn_future(NULL, options, &task, &future);

    tt_check((rc == 0) == (task != NULL));
    if (rc == 0)
        tt_join(task);
    return rc;
}

static int call_group_spawn(const void *options)
{
    int rc;
    TN_GROUP(group, NULL);

    rc = tn_group_spawn(&group, options, return_arg, NULL);
    tt_check_eq(tn_group_running(&group), rc == 0);
    return rc;
}

static int call_spawn_blocking_on(const void *options)
{
    tn_job *job;
    int rc = tn_spawn_blocking_on(NULL, options, &job, return_arg, NULL);

    tt_check((rc == 0) == (job != NULL));
    if (rc == 0)
        tt_check_eq(tn_job_join(job, NULL), 0);
    return rc;
}

static int call_mpsc_create(const void *options)
{
    tn_mpsc *channel;
    int rc = tn_mpsc_create(&channel, sizeof(int), 1, options);

    tt_check((rc == 0) == (channel != NULL));
    if (rc == 0) {
        tn_mpsc_release_sender(channel);
        tn_mpsc_release_receiver(channel);
    }
    return rc;
}

static int call_oneshot_create(const void *options)
{
    tn_oneshot *channel;
    int rc = tn_oneshot_create(&channel, sizeof(int), options);

    tt_check((rc == 0) == (channel != NULL));
    if (rc == 0) {
        tn_oneshot_abandon(channel);
        tn_oneshot_release(channel);
    }
    return rc;
}

static int call_broadcast_create(const void *options)
{
    tn_broadcast *channel;
    int rc = tn_broadcast_create(&channel, sizeof(int), 1, options);

    tt_check((rc == 0) == (channel != NULL));
    if (rc == 0)
        tn_broadcast_release_sender(channel);
    return rc;
}

static int call_watch_create(const void *options)
{
    int value = 1;
    tn_watch *channel;
    int rc = tn_watch_create(&channel, sizeof value, &value, options);

    tt_check((rc == 0) == (channel != NULL));
    if (rc == 0)
        tn_watch_release_sender(channel);
    return rc;
}

static int call_tcp_listen(const void *options)
{
    tn_listener *listener;
    int rc = tn_tcp_listen(&listener, "127.0.0.1:0", options);

    if (rc == 0)
        tn_listener_close(listener);
    return rc;
}

static int call_unix_listen(const void *options)
{
    char path[64];
    tn_listener *listener;
    int rc;

    snprintf(path, sizeof path, "@tn-options-test-%d", (int)getpid());
    rc = tn_unix_listen(&listener, path, options);
    if (rc == 0)
        tn_listener_close(listener);
    return rc;
}

typedef struct {
    const char *name;
    int (*call)(const void *options);
    const void *defaults;
    size_t bytes; /* of the struct */
    size_t first; /* of its first version, up to the end of the last member */
    size_t step;  /* between the accepted lengths that are tried */
    size_t log;   /* from this length on the struct includes the log */
} reader;

/* --- Behavior that all calls share --------------------------------------------------------------------------------------- */

static void accept(const reader *r, const void *options)
{
    int rc = r->call(options);

    if (rc != 0)
        fprintf(stderr, "%s: %s\n", r->name, line);
    tt_check_eq(rc, 0);
    tt_check_eq(atomic_load(&lines), 0);
}

/* `expected` is the number of lines in the log. They name the call, except that tn_run names tn_runtime_create. */
static void refuse(const reader *r, const void *options, const char *text, int expected)
{
    tt_check_eq(r->call(options), TN_EINVAL);
    tt_check_eq(atomic_exchange(&lines, 0), expected);
    tt_check(expected == 0 || (strstr(line, r->name) != NULL && strstr(line, text) != NULL));
}

static void try_lengths(const reader *r)
{
    for (size_t size = 0; size < r->first; size++)
        refuse(r, resized(r->defaults, r->bytes, size), "options.size is wrong", size >= r->log);
    for (size_t size = r->first; size <= r->bytes; size += r->step)
        accept(r, resized(r->defaults, r->bytes, size));
    accept(r, NULL);
}

static void try_tails(const reader *r)
{
    static const size_t more[] = {1, 7, 8, 64};

    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        size_t size = r->bytes + more[i];
        char *options = resized(r->defaults, r->bytes, size);
        accept(r, options);
        options[size - 1] = 1;
        refuse(r, options, "is set: leave it at 0", 1);
        options[size - 1] = 0;
        options[r->bytes] = (char)0x80;
        refuse(r, options, "is set: leave it at 0", 1);
    }
    accept(r, resized(r->defaults, r->bytes, 4096));
    refuse(r, resized(r->defaults, r->bytes, 4097), "options.size is wrong", r->log == 0);
    refuse(r, resized(r->defaults, r->bytes, SIZE_MAX), "options.size is wrong", r->log == 0);
}

static void try_all(const reader *readers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        try_lengths(&readers[i]);
        try_tails(&readers[i]);
    }
}

#define END(type, member) (offsetof(type, member) + sizeof(((type *)NULL)->member))
#define READER(call, defaults, type, last) \
    { \
        "tn_" #call, call_##call, (defaults), sizeof(type), END(type, last), 1, 0 \
    }

Test(options, of_a_runtime)
{
    tn_options options = logged_options();
    reader readers[] = {
        READER(runtime_create, &options, tn_options, thread_hook_ctx),
        READER(run, &options, tn_options, thread_hook_ctx),
    };

    options.workers = 1;
    readers[1].name = readers[0].name;
    for (int i = 0; i < 2; i++) {
        readers[i].step = sizeof(size_t);
        readers[i].log = END(tn_options, log_ctx);
    }
    try_all(readers, 2);
}

static void *in_a_task(void *arg)
{
    tn_spawn_options of_task = tn_spawn_options_default();
    tn_blocking_options of_job = tn_blocking_options_default();
    tn_channel_options of_channel = tn_channel_options_default();
    tn_listen_options of_listener = tn_listen_options_default();
    const reader readers[] = {
        READER(spawn_on, &of_task, tn_spawn_options, pinned),
        READER(spawn_future, &of_task, tn_spawn_options, pinned),
        READER(group_spawn, &of_task, tn_spawn_options, pinned),
        READER(spawn_blocking_on, &of_job, tn_blocking_options, mandatory),
        READER(mpsc_create, &of_channel, tn_channel_options, allocator),
        READER(oneshot_create, &of_channel, tn_channel_options, allocator),
        READER(broadcast_create, &of_channel, tn_channel_options, allocator),
        READER(watch_create, &of_channel, tn_channel_options, allocator),
        READER(tcp_listen, &of_listener, tn_listen_options, runtime),
        READER(unix_listen, &of_listener, tn_listen_options, runtime),
    };

    try_all(readers, sizeof readers / sizeof *readers);
    return arg;
}

static void run_logged(tn_entry_fn entry)
{
    tn_options options = logged_options();
    tn_runtime *runtime;

    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(options, of_calls_in_a_task)
{
    run_logged(in_a_task);
}

/* --- Groups: entering one returns no error ------------------------------------------------------------------------------- */

static void enter_and_leave(const void *options)
{
    tn_group group;

    tn_group_enter(&group, options);
    tn_group_leave(&group);
}

static void enter_wrong(void *arg)
{
    enter_and_leave(arg);
}

Test(options, of_a_group)
{
    tn_group_options whole = tn_group_options_default();
    size_t first = END(tn_group_options, cancel_on_error);
    char *options;
    tt_child child;

    for (size_t size = first; size <= sizeof whole; size++)
        enter_and_leave(resized(&whole, sizeof whole, size));
    enter_and_leave(resized(&whole, sizeof whole, sizeof whole + 64));
    options = resized(&whole, sizeof whole, first - 1);
    child = tt_fork(enter_wrong, options);
    cr_assert(tt_child_aborted(&child, "tn_group_enter: options.size is wrong"), "%s", child.said);
    options = resized(&whole, sizeof whole, sizeof whole + 8);
    options[sizeof whole] = 1;
    child = tt_fork(enter_wrong, options);
    cr_assert(tt_child_aborted(&child, "tn_group_options_default()"), "%s", child.said);
}

/* --- Single options ------------------------------------------------------------------------------------------------------- */

static void must_not_run(void *result)
{
    (void)result;
    tt_check(false);
}

static void refuse_value(int (*call)(const void *options), const void *options, const char *text)
{
    tt_check_eq(call(options), TN_EINVAL);
    tt_check_eq(atomic_exchange(&lines, 0), 1);
    if (strstr(line, text) == NULL)
        fprintf(stderr, "the log says: %s\n", line);
    tt_check(strstr(line, text) != NULL);
}

static void *wrong_values(void *arg)
{
    tn_allocator lacking = {NULL, NULL, NULL};
    tn_spawn_options of_task = tn_spawn_options_default();
    tn_blocking_options of_job = tn_blocking_options_default();
    tn_channel_options of_channel = tn_channel_options_default();
    tn_listen_options of_listener = tn_listen_options_default();

    of_task.stack_size_bytes = (size_t)64 * 1024 * 1024 + 1;
    refuse_value(call_spawn_on, &of_task, "tn_spawn_on: options.stack_size_bytes is over 64 MiB");
    refuse_value(call_spawn_future, &of_task, "tn_spawn_future: options.stack_size_bytes");
    refuse_value(call_group_spawn, &of_task, "tn_group_spawn: options.stack_size_bytes");
    of_job.when_full = (tn_when_full)(TN_FULL_CALLER_RUNS + 1);
    refuse_value(call_spawn_blocking_on, &of_job, "tn_spawn_blocking_on: options.when_full");
    of_channel.allocator = &lacking;
    refuse_value(call_mpsc_create, &of_channel, "tn_mpsc_create: options.allocator");
    refuse_value(call_oneshot_create, &of_channel, "tn_oneshot_create: options.allocator");
    refuse_value(call_broadcast_create, &of_channel, "tn_broadcast_create: options.allocator");
    refuse_value(call_watch_create, &of_channel, "tn_watch_create: options.allocator");
    of_listener.backlog = -1;
    refuse_value(call_tcp_listen, &of_listener, "tn_tcp_listen: options.backlog");
    refuse_value(call_unix_listen, &of_listener, "tn_unix_listen: options.backlog");
    return arg;
}

Test(options, out_of_range_are_refused)
{
    run_logged(wrong_values);
}

static void *missing_options(void *arg)
{
    tn_spawn_options of_task = tn_spawn_options_default();
    tn_task *task;

    of_task.drop_result = must_not_run;
    of_task.size = offsetof(tn_spawn_options, drop_result);
    tt_check_eq(tn_spawn_on(NULL, &of_task, &task, return_arg, NULL), 0);
    tn_task_release(task);
    return arg;
}

/* The bytes after `size` do not belong to the struct. */
Test(options, behind_the_size_are_not_read)
{
    tn_options options = logged_options();

    run_logged(missing_options);
    options.blocking_threads = 10001;
    options.size = offsetof(tn_options, blocking_threads);
    cr_assert_eq(call_runtime_create(&options), 0);
    options.size = sizeof options;
    refuse_value(call_runtime_create, &options, "options.blocking_threads is over 10000");
    options.blocking_threads = 10000;
    options.file_threads = 10001;
    refuse_value(call_runtime_create, &options, "options.file_threads is over 10000");
    options.file_threads = 10000;
    options.name_threads = 10001;
    refuse_value(call_runtime_create, &options, "options.name_threads is over 10000");
    options.name_threads = 10000;
    options.replacement_threads_max = UINT_MAX;
    refuse_value(call_runtime_create, &options, "options.replacement_threads_max is over 10000");
    options.replacement_threads_max = 10000;
    cr_assert_eq(call_runtime_create(&options), 0);
}

/* --- Counters: a struct that the library fills ---------------------------------------------------------------------------- */

static void refuse_counters(tn_runtime *runtime, size_t size)
{
    tn_blocking_counters whole = {.size = sizeof whole};
    int before = atomic_load(&lines);

    cr_assert_eq(tn_runtime_blocking(runtime, resized(&whole, sizeof whole, size)), TN_EINVAL);
    cr_assert_eq(atomic_load(&lines), before + 1);
    cr_assert_not_null(strstr(line, "tn_runtime_blocking: size is wrong"), "%s", line);
}

Test(options, of_the_counters)
{
    tn_blocking_counters whole = {.size = sizeof whole};
    tn_options options = logged_options();
    tn_runtime *runtime;

    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (size_t size = sizeof(size_t); size <= sizeof whole + 64; size += sizeof(size_t)) {
        tn_blocking_counters *out = resized(&whole, sizeof whole, size);
        memset((char *)out + sizeof size, 0xff, size - sizeof size);
        cr_assert_eq(tn_runtime_blocking(runtime, out), 0);
        cr_assert_eq(out->size, size);
        for (size_t i = sizeof whole; i < size; i++) /* what this library does not know */
            cr_assert_eq(((char *)out)[i], 0);
    }
    refuse_counters(runtime, sizeof(size_t) - 1);
    refuse_counters(runtime, 4097);
    tt_runtime_destroy(runtime);
}
