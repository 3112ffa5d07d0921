/* SPDX-License-Identifier: MIT */
#include "support/child.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_main(int text_fd, void (*fn)(void *), void *arg)
{
    static const int errors[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        (void)sigaction(errors[i], &standard, NULL);
    (void)dup2(text_fd, STDERR_FILENO);
    fn(arg);
    _exit(0);
}

child_end child_run(void (*fn)(void *), void *arg)
{
    child_end end = {0};
    int ends[2];
    char rest[256];
    size_t length = 0;
    ssize_t n;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        child_main(ends[1], fn, arg);
    close(ends[1]);
    while (length < sizeof end.text - 1 && (n = read(ends[0], end.text + length, sizeof end.text - 1 - length)) > 0)
        length += (size_t)n;
    while (read(ends[0], rest, sizeof rest) > 0)
        ;
    close(ends[0]);
    cr_assert_eq(waitpid(child, &end.status, 0), child);
    return end;
}

bool child_killed_by(child_end end, int signal_number)
{
    return WIFSIGNALED(end.status) && WTERMSIG(end.status) == signal_number;
}

bool child_exited(child_end end, int code)
{
    return WIFEXITED(end.status) && WEXITSTATUS(end.status) == code;
}
