/* SPDX-License-Identifier: MIT */
/* Reading of option structs: the rules of tn/base.h. */
#ifndef TNI_TLS_OPTIONS_H
#define TNI_TLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Copies `given`, whose first member is its size, over `out`, which holds the defaults and has `known` bytes. `least`: the size
 * of the struct's first version. Returns false if it is refused. `given` may be NULL. */
bool tni_tls_options_read(void *out, size_t known, size_t least, const void *given);

#endif
