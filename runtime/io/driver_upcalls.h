/* SPDX-License-Identifier: MIT */
/* What the driver calls of the scheduler above it; defined in core.c. */
#ifndef TNI_DRIVER_UPCALLS_H
#define TNI_DRIVER_UPCALLS_H

#include "io/driver.h"

/* The driver whose loop is to watch one more fd: that of the calling worker's core, unless another core's has much less to do. */
tni_driver *tni_core_choose_driver(tn_runtime *runtime);

/* Wakes the worker of the driver's core, if it sleeps: there is something new in the inbox. */
void tni_core_wake_driver(tni_driver *driver);

#endif
