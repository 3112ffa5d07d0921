/* SPDX-License-Identifier: MIT */
/* Lines of a log, written many at a time by a task of its own. */
#ifndef ACCESS_LOG_H
#define ACCESS_LOG_H

#include <tn.h>

enum { ACCESS_LOG_BYTES = 65536, ACCESS_LOG_DELAY_MS = 100 };

typedef struct access_log {
    tn_file *out; /* NULL: there is no log */
    tn_mutex writing;
    tn_mutex lock;    /* of all below */
    tn_notify filled; /* the first line is there */
    unsigned which;   /* of the texts takes lines */
    size_t used;      /* bytes in it */
    char texts[2][ACCESS_LOG_BYTES];
} access_log;

/* Begins a log on a descriptor that stays the caller's. */
void access_log_init(access_log *log, int descriptor);

/* Ends it. Nothing uses it any more. */
void access_log_fini(access_log *log);

/* Adds a line, which ends with a line feed. If there is no space, the lines before are written first. */
void access_log_add(access_log *log, const char *line, size_t size);

/* A task: writes what is there, at most ACCESS_LOG_DELAY_MS late, until it is cancelled; then the rest. */
void *access_log_run(void *log);

#endif
