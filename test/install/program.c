/* SPDX-License-Identifier: MIT */
/* A program in plain C11 that uses the installed headers and library. */
#include <stdio.h>
#include <tn.h>

static void *answer(void *arg)
{
    tn_yield();
    return arg;
}

static void *start(void *arg)
{
    static char name[] = "tournant";
    tn_task *task;
    void *result = NULL;
    (void)arg;
    if (tn_spawn(&task, answer, name) == 0 && tn_join(task, &result) == 0)
        printf("C %s\n", (const char *)result);
    return NULL;
}

int main(void)
{
    return tn_run(start, NULL, NULL) == 0 ? 0 : 1;
}
