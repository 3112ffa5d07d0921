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

/* The whole line at once: fprintf on a stream without a buffer needs 8 KiB of stack, and the caller may be a fiber. */
__attribute__((format(printf, 1, 2))) static void write_line(const char *format, ...)
{
    char line[600];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length >= (int)sizeof line)
        line[sizeof line - 2] = '\n';
    (void)fputs(line, stderr);
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
        write_line("tournant: %s: %s\n", level_name(level), line);
}

void tni_log_fatal(const char *file, int line, const char *func, const char *message)
{
    write_line("tournant: %s:%d: %s: %s\n", file, line, func, message);
    abort();
}
