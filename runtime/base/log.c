/* SPDX-License-Identifier: MIT */
/* Log lines, and the message of a failed assertion. Both are written past stdio, because a task may hold the lock of stderr for
 * long, and each by one call, so that lines of other threads are not mixed in. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tls.h"

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

__attribute__((format(printf, 1, 2))) static void write_line(const char *format, ...)
{
    char line[600];
    ssize_t written;
    size_t length;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line - 1, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized): it was started */
    va_end(args);
    length = strlen(line);
    line[length++] = '\n';
    written = write(STDERR_FILENO, line, length);
    (void)written; /* there is no other place to report it */
}

void tni_log_write(const tni_log *log, tn_log_level level, const char *format, ...)
{
    tni_log_sink *sink = tni_tls_get()->log_sink;
    char line[TNI_LOG_LINE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized): it was started */
    va_end(args);
    if (sink != NULL)
        sink->put(sink, level, line);
    else if (log != NULL && log->fn != NULL)
        log->fn(log->ctx, level, line);
    else if (level != TN_LOG_INFO)
        write_line("tournant: %s: %s", level_name(level), line);
}

void tni_log_fatal(const char *file, int line, const char *func, const char *message)
{
    write_line("tournant: %s:%d: %s: %s", file, line, func, message);
    abort();
}
