/* SPDX-License-Identifier: MIT */
/* What the rest of the library does with the listeners of tn/signal.h. */
#ifndef TNI_SIGNAL_H
#define TNI_SIGNAL_H

/* In a child of fork, which has one thread: nothing listens there. */
void tni_signal_in_child(void);

#endif
