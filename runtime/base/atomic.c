/* SPDX-License-Identifier: MIT */
/* The out-of-line functions of atomic.h for Linux: asymmetric fences by membarrier, or by visits to all processors; the spin
 * hint. */
#include "base/atomic.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/ck.h"
#include "base/thread.h"

bool tni_fence_asymmetric_init(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool tni_fence_heavy_try(bool asymmetric)
{
    bool made = !asymmetric || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;

    /* Needed with membarrier too: that is documented to order the other threads, and this fence orders the calling one. */
    atomic_thread_fence(memory_order_seq_cst);
    return made;
}

bool tni_fence_heavy(bool asymmetric)
{
    bool made;

    if (tni_fence_heavy_try(asymmetric))
        return true;
    /* The fence of the try comes before the visits: a thread that runs again after one observes what was written before. */
    made = tni_thread_visit_cpus();
    atomic_thread_fence(memory_order_seq_cst);
    return made;
}

void tni_spin_hint(void)
{
    ck_pr_stall();
}
