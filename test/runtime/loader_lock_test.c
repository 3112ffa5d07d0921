/* SPDX-License-Identifier: MIT */
/* A thread inside dlopen, in a constructor that waits: reports and dumps do not wait for the lock of the dynamic linker. */
/* ctest: timeout=120 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tn.h>

#include "os/os_symbol.h"
#include "stuck_stand.h"

static int ends[2]; /* of a pipe: the constructor waits for a byte */

static void open_pipe(void)
{
    char fd[16];

    cr_assert_eq(pipe(ends), 0);
    (void)snprintf(fd, sizeof fd, "%d", ends[0]);
    cr_assert_eq(setenv("TT_SLOW_PLUGIN_FD", fd, 1), 0);
}

static void *load(void *arg)
{
    tt_check(dlopen(TT_SLOW_PLUGIN, RTLD_NOW) != NULL);
    return arg;
}

/* Whether the plug-in has been mapped, by a thread that is inside dlopen. */
static bool is_mapped(void *arg)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    bool mapped = false;
    char line[512];

    (void)arg;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        mapped = mapped || strstr(line, "slow_plugin") != NULL;
    if (maps != NULL)
        (void)fclose(maps);
    return mapped;
}

/* --- Names of functions ----------------------------------------------------------------------------------------------------- */

/* The text that the dynamic linker's own functions lead to. */
static void name_by_dladdr(const void *pc, char *out, size_t size)
{
    Dl_info info;
    const char *file;

    if (pc == NULL || dladdr(pc, &info) == 0) {
        (void)snprintf(out, size, "%p", pc);
        return;
    }
    file = strrchr(info.dli_fname, '/');
    file = file == NULL ? info.dli_fname : file + 1;
    if (info.dli_sname == NULL)
        (void)snprintf(out, size, "%s+0x%zx", file, (size_t)((const char *)pc - (const char *)info.dli_fbase));
    else
        (void)snprintf(out, size, "%s+0x%zx (%s+0x%zx)", info.dli_sname,
                       (size_t)((const char *)pc - (const char *)info.dli_saddr), file,
                       (size_t)((const char *)pc - (const char *)info.dli_fbase));
}

Test(loader_lock, names_are_those_of_dladdr)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD); /* not a sanitizer's functions, which have several names */
    const char *functions[] = {(const char *)dlsym(libc, "printf"),
                               (const char *)dlsym(libc, "qsort"),
                               (const char *)dlsym(RTLD_DEFAULT, "uv_run"),
                               (const char *)dlsym(libc, "fopen"),
                               NULL,
                               (const char *)1,
                               (const char *)0x1234567};

    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (size_t offset = 0; offset < 16; offset += 5) {
            const char *pc = functions[i] == NULL ? NULL : functions[i] + offset;
            char expected[300];
            char name[300];
            name_by_dladdr(pc, expected, sizeof expected);
            tni_os_symbol(pc, name, sizeof name);
            cr_assert_str_eq(name, expected);
        }
}

__attribute__((noinline)) static const void *return_address(void)
{
    return __builtin_return_address(0);
}

static void expect_one_return_address(void)
{
    const void *words[200] = {(void *)8, (void *)0x1234567, words};
    const void *found[4];

    words[100] = return_address();
    words[150] = (const char *)words[100] + 1;
    cr_assert_eq(tni_os_return_addresses(words, 200, found, 4), 1);
    cr_assert_eq(found[0], words[100]);
}

Test(loader_lock, is_not_taken_for_names)
{
    pthread_t thread;
    char name[300];

    open_pipe();
    thread = tt_thread_start(load, NULL);
    cr_assert(tt_wait_until(is_mapped, NULL, LIMIT_NS / 2));
    tni_os_symbol((const void *)(uintptr_t)load, name, sizeof name);
    cr_assert_not_null(strstr(name, "loader_lock_test"), "%s", name);
    expect_one_return_address();
    cr_assert_eq(write(ends[1], "", 1), 1);
    tt_thread_join(thread);
    expect_one_return_address();
}

Test(loader_lock, symbols_are_looked_up_without_it)
{
    const void *of_libc[] = {dlsym(RTLD_DEFAULT, "qsort"), dlsym(RTLD_DEFAULT, "fopen")};
    const void *of_uv = dlsym(RTLD_DEFAULT, "uv_run");
    pthread_t thread;

    open_pipe();
    thread = tt_thread_start(load, NULL);
    cr_assert(tt_wait_until(is_mapped, NULL, LIMIT_NS / 2));
    cr_assert_eq(tni_os_symbol_is_defined("printf"), TNI_SYMBOL_DEFINED);
    cr_assert_eq(tni_os_symbol_is_defined("uv_run"), TNI_SYMBOL_DEFINED);
    cr_assert_eq(tni_os_symbol_is_defined("no_object_has_this_name"), TNI_SYMBOL_NONE);
    cr_assert(tni_os_symbol_same_object((const void *)(uintptr_t)load, (const void *)(uintptr_t)is_mapped));
    cr_assert(tni_os_symbol_same_object(of_libc[0], of_libc[1]));
    cr_assert(!tni_os_symbol_same_object(of_libc[0], of_uv));
    cr_assert_eq(write(ends[1], "", 1), 1);
    tt_thread_join(thread);
}

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

static atomic_bool echoed;

static bool has_echoed(void *arg)
{
    (void)arg;
    return atomic_load(&echoed);
}

/* The first suspensions, and the first bytes that this process sends and receives. */
static void *suspend_and_echo(void *arg)
{
    int *fds = arg;
    tn_stream *streams[2];
    char byte = 0;

    tt_check(tn_sleep(TN_MS) == 0 && tn_yield() == 0);
    for (int i = 0; i < 2; i++)
        tt_check(tn_stream_open(tn_runtime_current(), &streams[i], fds[i]) == 0);
    tt_check(tn_write_all(streams[0], "x", 1) == 0);
    tt_check(tn_read(streams[1], &byte, 1) == 1 && byte == 'x');
    for (int i = 0; i < 2; i++)
        tn_stream_close(streams[i]);
    atomic_store(&echoed, true);
    return NULL;
}

Test(loader_lock, is_not_taken_by_tasks)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    pthread_t thread;
    tn_task *task;
    int fds[2];

    open_pipe();
    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX; /* no other thread gets the core */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    thread = tt_thread_start(load, NULL);
    cr_assert(tt_wait_until(is_mapped, NULL, LIMIT_NS / 2));
    task = tt_spawn_on(runtime, suspend_and_echo, fds);
    cr_assert(tt_wait_until(has_echoed, NULL, LIMIT_NS / 2));
    cr_assert_eq(write(ends[1], "", 1), 1);
    tt_thread_join(thread);
    tt_join(task);
    tt_runtime_destroy(runtime);
}

/* --- Reports and dumps ------------------------------------------------------------------------------------------------------ */

static void *answer(void *arg)
{
    return arg;
}

Test(loader_lock, is_not_taken_for_a_report)
{
    static page dumped = {.lock = PTHREAD_MUTEX_INITIALIZER};
    stand *s = new_stand(sleep_some);
    tn_options options = options_for(s);
    tn_runtime *runtime;
    tn_task *task;

    open_pipe();
    options.workers = 1;
    options.stuck_after_ns = 0;
    runtime = create(&options);
    task = tt_spawn_on(runtime, load, NULL);
    cr_assert(tt_wait_until(is_mapped, NULL, LIMIT_NS / 2));
    cr_assert(tt_wait_until(has_said_it, s, LIMIT_NS / 2));
    for (int i = 0; i < 100; i++) /* the monitor still hands over */
        tt_join(tt_spawn_on(runtime, answer, NULL));
    tn_dump(runtime, add_line, &dumped); /* the monitor may still add lines to the other page */
    cr_assert_eq(count_of(&dumped, "(fiber): "), 1, "%s", dumped.text);
    if (!TT_SANITIZED) /* their own dlopen has no name here */
        cr_assert_geq(count_of(&dumped, "dlopen"), 1, "%s", dumped.text);
    cr_assert_eq(write(ends[1], "", 1), 1);
    tt_join(task);
    tt_runtime_destroy(runtime);
}
