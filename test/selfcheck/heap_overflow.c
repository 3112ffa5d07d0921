/* SPDX-License-Identifier: MIT */
/* A write behind a heap block on purpose. */
#include <criterion/criterion.h>
#include <stdlib.h>

Test(selfcheck, heap_overflow)
{
    volatile size_t size = 16;
    volatile char *block = malloc(size);
    cr_assert_not_null((void *)block);
    block[size] = 1;
    free((void *)block);
}
