/* SPDX-License-Identifier: MIT */
/* deadline: nested calls under one deadline.
 *
 * It shows cancel scopes. The function that knows the time limit enters a scope. The functions that it calls do not know of the
 * scope, and need no timeout of their own. A function that is allowed less time enters an inner scope, which can shorten the
 * limit but never extend it. Clean-up that must run in any case is inside a shield.
 *
 * Run:   deadline [MILLISECONDS]        the time limit of each order; default 250
 * See:   order 1: served
 *        order 2: no reply from the cellar, served without wine
 *        order 3: out of time in the kitchen, table wiped
 */
#include <stdio.h>
#include <stdlib.h>
#include <tn.h>

/* What one order needs. */
typedef struct order {
    unsigned number;
    uint64_t cellar_ms;
    uint64_t kitchen_ms;
} order;

/* The lowest level: it only waits. */
static int ask(uint64_t reply_ms)
{
    return tn_sleep(reply_ms * TN_MS);
}

/* May take only a part of the order's time. */
static int fetch_wine(const order *o)
{
    tn_scope scope;
    int rc;

    tn_scope_enter_for(&scope, 50 * TN_MS);
    rc = ask(o->cellar_ms);
    tn_scope_leave(&scope);
    return rc;
}

static int wipe_table(void)
{
    TN_SHIELD(shield, tn_now() + TN_S); /* the order's deadline has passed; this has its own */

    return tn_sleep(10 * TN_MS);
}

static void serve(const order *o)
{
    int wine;

    wine = fetch_wine(o);
    if (tn_checkpoint() == 0 && ask(o->kitchen_ms) == 0)
        printf("order %u: %s\n", o->number, wine == 0 ? "served" : "no reply from the cellar, served without wine");
    else if (wipe_table() == 0)
        printf("order %u: out of time in the kitchen, table wiped\n", o->number);
}

static void *restaurant(void *arg)
{
    static const order orders[] = {{1, 10, 20}, {2, 3600000, 20}, {3, 10, 3600000}};

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        TN_SCOPE(scope, tn_now() + *(const uint64_t *)arg * TN_MS);

        serve(&orders[i]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t limit_ms = argc > 1 ? strtoull(argv[1], NULL, 10) : 250;

    return tn_run(restaurant, &limit_ms, NULL) == 0 ? 0 : 1;
}
