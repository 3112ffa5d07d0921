/* SPDX-License-Identifier: MIT */
/* Log lines. An embedded library does not own stderr, so each runtime has a function that receives its lines. */
#ifndef TNI_LOG_H
#define TNI_LOG_H

#include <tn/runtime.h>

#include "base/defs.h"

typedef struct {
    tn_log_fn fn; /* NULL: warnings and errors to stderr */
    void *ctx;
} tni_log;

/* Logs one line, cut to 400 bytes. `log`: NULL for the default. */
void tni_log_write(const tni_log *log, tn_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
