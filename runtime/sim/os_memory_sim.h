/* SPDX-License-Identifier: MIT */
/* The memory that is mapped. */
#ifndef TNI_OS_MEMORY_SIM_H
#define TNI_OS_MEMORY_SIM_H

#include "base/defs.h"

/* In bytes. */
size_t tni_os_memory_sim_mapped(void);

#endif
