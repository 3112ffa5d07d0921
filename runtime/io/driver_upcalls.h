/* SPDX-License-Identifier: MIT */
/* Functions of the scheduler that the driver calls. Defined in core.c. */
#ifndef TNI_DRIVER_UPCALLS_H
#define TNI_DRIVER_UPCALLS_H

#include "io/driver.h"

/* Returns the driver for one more fd: that of the calling worker's core, unless that of another core has far fewer
 * registrations. */
tni_driver *tni_core_choose_driver(tn_runtime *runtime);

/* Wakes the worker of the driver's core if it is parked, because a request or an incomplete open or close waits for a poll. */
void tni_core_wake_driver(tni_driver *driver);

#endif
