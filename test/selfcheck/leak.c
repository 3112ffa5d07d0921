/* SPDX-License-Identifier: MIT */
/* A lost block on purpose. */
#include <criterion/criterion.h>
#include <stdlib.h>

Test(selfcheck, leak)
{
    void *volatile block = malloc(16);
    cr_assert_not_null(block);
    block = NULL;
}
