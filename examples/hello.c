/* SPDX-License-Identifier: MIT */
/* hello: three tasks that wait at the same time.
 *
 * It shows tn_run, tn_spawn, tn_sleep and tn_join. A task that sleeps holds no thread. So the three together take as long as
 * the slowest one, also on one worker.
 *
 * Run:   hello
 * See:   salad is ready
 *        soup is ready
 *        roast is ready
 *        600 ms of cooking in 301 ms
 */
#include <stdio.h>
#include <tn.h>

typedef struct dish {
    const char *name;
    unsigned cook_ms;
} dish;

static void *cook(void *arg)
{
    dish *order = arg;

    tn_sleep(order->cook_ms * TN_MS);
    printf("%s is ready\n", order->name);
    return &order->cook_ms; /* what tn_join returns */
}

static void *kitchen(void *arg)
{
    dish orders[] = {{"roast", 300}, {"soup", 200}, {"salad", 100}};
    enum { COUNT = sizeof orders / sizeof orders[0] };
    tn_task *cooks[COUNT];
    uint64_t start_ns = tn_now();
    unsigned cooked_ms = 0;

    (void)arg;
    for (size_t i = 0; i < COUNT; i++) {
        int rc = tn_spawn(&cooks[i], cook, &orders[i]);

        if (rc < 0) {
            fprintf(stderr, "hello: spawn: %s\n", tn_strerror(rc));
            cooks[i] = NULL;
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        void *result;

        if (cooks[i] != NULL && tn_join(cooks[i], &result) == 0)
            cooked_ms += *(unsigned *)result;
    }
    printf("%u ms of cooking in %u ms\n", cooked_ms, (unsigned)((tn_now() - start_ns) / TN_MS));
    return NULL;
}

int main(void)
{
    return tn_run(kitchen, NULL, NULL) == 0 ? 0 : 1;
}
