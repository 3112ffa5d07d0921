/* SPDX-License-Identifier: MIT */
/* A signed overflow on purpose. */
#include <criterion/criterion.h>
#include <limits.h>

Test(selfcheck, undefined)
{
    volatile int most = INT_MAX;
    most = most + 1;
    cr_assert(most != 0);
}
