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

/* Writes the lines, unless `size` bytes have space behind them: another task may have written while this one waited. The shield:
 * lines are written also when the server ends. */
static void make_space(access_log *log, size_t size)
{
    const char *text = NULL;
    size_t used = 0;

    TN_SHIELD(shield, tn_now() + TN_S);
    tn_mutex_lock_always(&log->writing);
    tn_mutex_lock_always(&log->lock);
    if (size > ACCESS_LOG_BYTES - log->used) {
        text = log->texts[log->which];
        used = log->used;
        log->which = 1 - log->which;
        log->used = 0;
    }
    tn_mutex_unlock(&log->lock);
    if (used > 0)
        (void)tn_io_write_all(tn_file_io(log->out), text, used);
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
        make_space(log, size);
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
        make_space(log, ACCESS_LOG_BYTES);
    }
    return NULL;
}
