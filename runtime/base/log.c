/* SPDX-License-Identifier: MIT */
/* Log lines, and the message of a failed assertion. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *level_name(tn_log_level level)
{
    switch (level) {
    case TN_LOG_INFO:
        return "info";
    case TN_LOG_WARNING:
        return "warning";
    case TN_LOG_ERROR:
        break;
    }
    return "error";
}

void tni_log_write(const tni_log *log, tn_log_level level, const char *format, ...)
{
    char line[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (log != NULL && log->fn != NULL)
        log->fn(log->ctx, level, line);
    else if (level != TN_LOG_INFO)
        (void)fprintf(stderr, "tournant: %s: %s\n", level_name(level), line);
}

void tni_log_fatal(const char *file, int line, const char *func, const char *message)
{
    (void)fprintf(stderr, "tournant: %s:%d: %s: %s\n", file, line, func, message);
    abort();
}
