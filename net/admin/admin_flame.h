/* SPDX-License-Identifier: MIT */
/* A flame graph of the stacks of a profile. */
#ifndef TNI_ADMIN_FLAME_H
#define TNI_ADMIN_FLAME_H

#include "admin/admin_http.h"
#include "admin/admin_stacks.h"

/* Writes an SVG picture of stacks that have been resolved. It needs no other file and has no script. */
void tni_admin_flame_print(tni_admin_response *response, const tni_admin_stacks *stacks, const char *title);

#endif
