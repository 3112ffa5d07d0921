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

/* Where the lines of a thread go that must not call the program's function. It is in the thread's tni_tls. */
typedef struct tni_log_sink tni_log_sink;
struct tni_log_sink {
    void (*put)(tni_log_sink *self, tn_log_level level, const char *line);
};

#define TNI_LOG_LINE_SIZE 400

/* Logs one line, cut to TNI_LOG_LINE_SIZE. `log`: NULL for the default. A thread with a sink puts the line there instead. */
void tni_log_write(const tni_log *log, tn_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
