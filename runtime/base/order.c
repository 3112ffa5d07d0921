/* SPDX-License-Identifier: MIT */
/* Reporting to ThreadSanitizer the order in which threads hand things over. */
#include "base/order.h"

#include "base/holders.h"

/* Functions of ThreadSanitizer. NULL: the program runs without it. */
__attribute__((weak)) extern void __tsan_acquire(void *address);
__attribute__((weak)) extern void __tsan_release(void *address);

bool tni_order_on;
uint32_t tni_order_zero = 0;

static char order; /* its address stands for all that is handed over */

void tni_order_report_release(void)
{
    __tsan_release(&order);
}

void tni_order_report_acquire(void)
{
    __tsan_acquire(&order);
}

void tni_order_init(void)
{
    if (__tsan_acquire == NULL || __tsan_release == NULL)
        return;
    tni_order_on = true;
    tni_order_zero = UINT32_C(1) << 31;
    tni_holders_take_slow_path();
}
