/* SPDX-License-Identifier: MIT */
/* A fork while another thread creates the first runtime of the process: the child has no such thread, and creates its own. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"
#include "support/sanitizers.h"

/* A child that hangs is ended by SIGALRM. */
#define CHILD_SECONDS 20

static tt_gate registering = TT_GATE_INIT;
static tt_gate forked = TT_GATE_INIT;

extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);

#if !TT_SANITIZED /* a sanitizer calls it before the program has begun */
/* Overrides the C library's function, which is linked statically. The thread stays here until the other one has forked. */
int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    tt_gate_open(&registering);
    tt_gate_wait(&forked, 1);
    return __register_atfork(prepare, parent, child, NULL);
}
#endif

static void *echo(void *arg)
{
    return arg;
}

static void *create_in_thread(void *arg)
{
    tt_check(tn_run(echo, arg, NULL) == 0);
    return NULL;
}

Test(fork_watch, a_child_does_not_wait_for_a_thread_of_the_parent)
{
    pthread_t creator;
    int status = -1;
    pid_t child;

    if (TT_SANITIZED)
        cr_skip_test("a child of a sanitized process with threads may hang in its locks");
    creator = tt_thread_start(create_in_thread, NULL);
    tt_gate_wait(&registering, 1);
    child = fork();
    tt_gate_open(&forked);
    if (child == 0) {
        (void)alarm(CHILD_SECONDS);
        _exit(tn_run(echo, NULL, NULL) == 0 ? 0 : 1);
    }
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    cr_assert_eq(status, 0, "the child ended with status 0x%x", (unsigned)status);
    tt_thread_join(creator);
    create_in_thread(NULL);
}
