/* What a runtime's threads call of the code that stops it; defined in shutdown.c, above them. */
#ifndef TNI_RUNTIME_UPCALLS_H
#define TNI_RUNTIME_UPCALLS_H

#include "tn_runtime.h"

/* No worker is left: frees the runtime, now or when the last handle and waker have been given back. */
void tni_runtime_retire(tn_runtime *runtime);

#endif
