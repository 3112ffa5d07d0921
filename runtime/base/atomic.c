/* SPDX-License-Identifier: MIT */
/* The out-of-line functions of atomic.h for Linux: asymmetric fences by membarrier, the spin hint. */
#include "base/atomic.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/ck.h"

bool tni_fence_asymmetric_init(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void tni_fence_heavy(bool asymmetric)
{
    if (asymmetric && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        tni_log_fatal(__FILE__, __LINE__, __func__, "membarrier was registered and fails now: is a seccomp filter newly set?");
    /* Needed with membarrier too: that is documented to order the other threads, and this fence orders the calling one. */
    atomic_thread_fence(memory_order_seq_cst);
}

void tni_spin_hint(void)
{
    ck_pr_stall();
}
