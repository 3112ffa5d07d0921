/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_sigaction.h: no scenario has signal handlers, or forks. */
#include "os/os_sigaction.h"

void tni_os_sigaction_in_child(void) {}
void tni_os_sigaction_lock(void) {}
void tni_os_sigaction_unlock(void) {}
