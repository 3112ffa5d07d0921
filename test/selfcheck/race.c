/* SPDX-License-Identifier: MIT */
/* A data race on purpose. */
#include <criterion/criterion.h>
#include <pthread.h>

static int shared;

static void *add(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        shared++;
    return NULL;
}

Test(selfcheck, race)
{
    pthread_t other;
    cr_assert_eq(pthread_create(&other, NULL, add, NULL), 0);
    add(NULL);
    pthread_join(other, NULL);
}
