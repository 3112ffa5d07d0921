/* SPDX-License-Identifier: MIT */
/* Child processes: what they get from their options, and starts that fail. */
#include "process_support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- What the child gets --------------------------------------------------------------------------------------------------- */

static void *see_arguments(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process_output output = tn_process_output_default();

    options.environment = (const char *const[]){"A=one", "PATH=/nowhere", NULL};
    options.folder = "/usr";
    tt_check_eq(tn_process_run(&output, (const char *const[]){"sh", "-c", "echo $A $(pwd -P) $0 $1", "x", "y z", NULL}, &options),
                0);
    tt_check(output.end.code == 0 && output.err == NULL);
    tt_check(strcmp(output.out, "one /usr x y z\n") == 0 && output.out_size == strlen(output.out));
    tn_process_output_free(&output);

    options = tn_process_options_default();
    options.file = "sh";
    tt_check_eq(tn_process_run(&output, (const char *const[]){"other", "-c", "echo $0", NULL}, &options), 0);
    tt_check(strcmp(output.out, "other\n") == 0);
    tn_process_output_free(&output);
    return arg;
}

Test(process, arguments_environment_folder)
{
    tt_run(see_arguments, NULL);
}

static int open_file_with(const char *text)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    tt_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* The numbers are exchanged. One more descriptor would be inherited. `ls` lists its own, with that of the folder: the shell's may
 * include those of its pipe. */
static void *see_descriptors(void *arg)
{
    tn_process_options options = tn_process_options_default();
    int a = open_file_with("a");
    int b = open_file_with("b");
    int c = fcntl(a, F_DUPFD, 20); /* not closed on exec */
    tn_process_fd fds[] = {{a, b}, {b, a}, {a, 9}};
    char script[256];
    char wanted[64];

    options.fds = fds;
    options.fd_count = 2;
    snprintf(script, sizeof script, "cat /dev/fd/%d /dev/fd/%d; ls /proc/self/fd | wc -l; test -e /proc/$$/fd/%d; echo $?", b, a,
             c);
    tt_check(ps_says(script, &options, "ab6\n1\n"));
    options.inherit_fds = true;
    options.fd_count = 3;
    snprintf(script, sizeof script, "test -e /proc/$$/fd/%d; echo $?; test -e /proc/$$/fd/9; echo $?", c);
    snprintf(wanted, sizeof wanted, "0\n0\n");
    tt_check(ps_says(script, &options, wanted));
    close(a);
    close(b);
    close(c);
    return arg;
}

Test(process, descriptors)
{
    ps_run_without_new_files(see_descriptors);
}

static void *see_groups(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process *leader;
    tn_process *member;
    tn_process *session;

    tt_check_eq(tn_process_send_group(leader = ps_start("exit 0", NULL), SIGTERM), TN_EINVAL);
    ps_end(leader);
    options.new_group = true;
    leader = ps_start("exec sleep 1000", &options);
    tt_check_eq(getpgid(tn_process_id(leader)), tn_process_id(leader));
    options.new_group = false;
    options.group = tn_process_id(leader);
    member = ps_start("exec sleep 1000", &options);
    tt_check_eq(getpgid(tn_process_id(member)), tn_process_id(leader));
    options.group = 0;
    options.new_session = true;
    session = ps_start("exec sleep 1000", &options);
    tt_check_eq(getsid(tn_process_id(session)), tn_process_id(session));
    tt_check_eq(tn_process_send_group(leader, SIGTERM), 0);
    tt_check_eq(ps_end(leader).signal, SIGTERM);
    tt_check_eq(ps_end(member).signal, SIGTERM);
    tt_check_eq(tn_process_send(session, SIGINT), 0);
    tt_check_eq(ps_end(session).signal, SIGINT);
    return arg;
}

Test(process, groups_and_sessions)
{
    tt_run(see_groups, NULL);
    ps_expect_no_children();
}

static void *see_limits(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process_limit limits[] = {{RLIMIT_NOFILE, 77, 88}, {RLIMIT_CORE, 0, 0}};

    options.limits = limits;
    options.limit_count = 2;
    tt_check(ps_says("ulimit -S -n; ulimit -H -n; ulimit -c", &options, "77\n88\n0\n"));
    return arg;
}

Test(process, limits)
{
    tt_run(see_limits, NULL);
}

static void *see_user(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process_user user = {.user = 65534, .group = 65533, .groups = (const gid_t[]){1234, 1235}, .group_count = 2};
    char folder[] = "/tmp/tn_process_XXXXXX";
    const char *failed = NULL;
    tn_process *process;

    options.user = &user;
    options.failed = &failed;
    if (geteuid() != 0) {
        tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), -EPERM);
        tt_check(strcmp(failed, "setgroups") == 0);
        return arg;
    }
    tt_check(ps_says("id -u; id -g; id -G", &options, "65534\n65533\n65533 1234 1235\n"));
    tt_check(mkdtemp(folder) != NULL); /* nobody else may enter it */
    options.folder = folder;
    tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), -EACCES);
    tt_check(strcmp(failed, "chdir") == 0);
    tt_check(rmdir(folder) == 0);
    return arg;
}

Test(process, user)
{
    tt_run(see_user, NULL);
    ps_expect_no_children();
}

/* On a plain thread, whose mask the test can set. */
Test(process, signals_that_are_blocked_or_ignored)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_process_options options = tn_process_options_default();
    sigset_t set;

    options.runtime = runtime;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    ps_ignore(SIGUSR1);
    tt_check_eq(ps_end(ps_start("kill -USR2 $$", &options)).signal, SIGUSR2);
    tt_check_eq(ps_end(ps_start("kill -USR1 $$", &options)).code, 0);
    options.inherit_mask = true;
    tt_check_eq(ps_end(ps_start("kill -USR2 $$; exit 5", &options)).code, 5);
    options.default_signals = true;
    tt_check_eq(ps_end(ps_start("kill -USR1 $$", &options)).signal, SIGUSR1);
    tt_runtime_destroy(runtime);
    ps_expect_no_children();
}

/* --- Starts that fail ------------------------------------------------------------------------------------------------------ */

static void *fail_to_start(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process *process = arg;
    const char *failed = NULL;
    tn_process_limit bad = {4711, 1, 1};
    tn_process_fd closed = {999, 5};

    options.failed = &failed;
    options.in = options.out = options.err = TN_PROCESS_PIPE;
    tt_check_eq(tn_process_start(&process, (const char *const[]){"no-such-program", NULL}, &options), -ENOENT);
    tt_check(process == NULL && strcmp(failed, "execve") == 0);
    tt_check_eq(tn_process_start(&process, (const char *const[]){"", NULL}, &options), -ENOENT);
    tt_check_eq(tn_process_start(&process, (const char *const[]){"/etc/passwd", NULL}, &options), -EACCES);
    tt_check(strcmp(failed, "execve") == 0);
    options.folder = "/no/such/folder";
    tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), -ENOENT);
    tt_check(strcmp(failed, "chdir") == 0);
    options.folder = NULL;
    options.limits = &bad;
    options.limit_count = 1;
    tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), TN_EINVAL);
    tt_check(strcmp(failed, "prlimit") == 0);
    options.limit_count = 0;
    options.fds = &closed;
    options.fd_count = 1;
    tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), TN_EBADF);
    tt_check(strcmp(failed, "fcntl") == 0);
    options.fd_count = 0;
    options.group = 1;
    tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), -EPERM);
    tt_check(strcmp(failed, "setpgid") == 0);
    return NULL;
}

Test(process, a_failed_start_names_the_step)
{
    ps_run_without_new_files(fail_to_start);
}

Test(process, refused_options)
{
    tn_process_options options = tn_process_options_default();
    tn_process_options wrong;
    tn_runtime *runtime = tt_runtime_create();
    tn_process *process;

    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), NULL), TN_EINVAL); /* no runtime */
    options.runtime = runtime;
    cr_assert_eq(tn_process_start(&process, (const char *const[]){NULL}, &options), TN_EINVAL);
    wrong = options;
    wrong.in = TN_PROCESS_STDOUT;
    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &wrong), TN_EINVAL);
    wrong = options;
    wrong.group_ends = true;
    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &wrong), TN_EINVAL);
    wrong = options;
    wrong.new_group = true;
    wrong.group = 5;
    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &wrong), TN_EINVAL);
    wrong = options;
    wrong.reserved = 1;
    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &wrong), TN_EINVAL);
    wrong = options;
    wrong.size = 5;
    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &wrong), TN_EINVAL);
    cr_assert_eq(tn_process_start(&process, PS_SCRIPT("exit 4"), &options), 0);
    cr_assert_eq(tn_process_send(process, 0), TN_EINVAL);
    cr_assert_eq(tn_process_send(process, 65), TN_EINVAL);
    cr_assert_eq(ps_end(process).code, 4);
    tt_runtime_destroy(runtime);
}
