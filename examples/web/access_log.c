/* SPDX-License-Identifier: MIT */
/* Lines of a log; see access_log.h. While one text is written, the other one takes lines. */
#include "access_log.h"

#include <string.h>

void access_log_init(access_log *log, int descriptor)
{
    memset(log, 0, sizeof *log);
    tn_mutex_init(&log->writing);
    tn_mutex_init(&log->lock);
    tn_notify_init(&log->filled);
    (void)tn_file_borrow(&log->out, descriptor);
}

void access_log_fini(access_log *log)
{
    tn_file_close(log->out);
    tn_notify_fini(&log->filled);
    tn_mutex_fini(&log->lock);
    tn_mutex_fini(&log->writing);
}

/* The shield: lines are written also when the server ends. */
static void flush(access_log *log)
{
    const char *text;
    size_t size;

    TN_SHIELD(shield, tn_now() + TN_S);
    tn_mutex_lock_always(&log->writing);
    tn_mutex_lock_always(&log->lock);
    text = log->texts[log->which];
    size = log->used;
    log->which = 1 - log->which;
    log->used = 0;
    tn_mutex_unlock(&log->lock);
    if (size > 0)
        (void)tn_io_write_all(tn_file_io(log->out), text, size);
    tn_mutex_unlock(&log->writing);
}

void access_log_add(access_log *log, const char *line, size_t size)
{
    bool is_first;

    if (log->out == NULL || size > ACCESS_LOG_BYTES)
        return;
    tn_mutex_lock_always(&log->lock);
    while (size > ACCESS_LOG_BYTES - log->used) {
        tn_mutex_unlock(&log->lock);
        flush(log);
        tn_mutex_lock_always(&log->lock);
    }
    is_first = log->used == 0;
    memcpy(log->texts[log->which] + log->used, line, size);
    log->used += size;
    tn_mutex_unlock(&log->lock);
    if (is_first)
        tn_notify_one(&log->filled);
}

void *access_log_run(void *arg)
{
    access_log *log = arg;
    int rc = 0;

    while (rc == 0) {
        rc = tn_notify_wait(&log->filled);
        if (rc == 0)
            rc = tn_sleep(ACCESS_LOG_DELAY_MS * TN_MS);
        flush(log);
    }
    return NULL;
}
