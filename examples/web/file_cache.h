/* SPDX-License-Identifier: MIT */
/* Open files, with what a response says of them. An entry is used for a second. Its file stays open until another file needs the
 * slot, or the cache ends. */
#ifndef FILE_CACHE_H
#define FILE_CACHE_H

#include <tn.h>

enum { FILE_CACHE_FILES = 64, FILE_CACHE_PATH = 256, FILE_CACHE_VALID_MS = 1000 };

/* What is known of an open file. */
typedef struct web_file {
    tn_file *file;
    uint64_t size_bytes;
    const char *type;
    char tag[40];   /* of the contents, without quotes */
    char date[32];  /* of the last change, as HTTP writes it */
    char head[320]; /* of a response with all of it, up to the last header */
} web_file;

typedef struct file_cache {
    tn_mutex lock;
    struct {
        char path[FILE_CACHE_PATH];
        uint64_t until_ns; /* the entry is used until then; 0: there is none */
        web_file file;
    } slots[FILE_CACHE_FILES]; /* a path has one slot, and shares it with others */
} file_cache;

void file_cache_init(file_cache *cache);
void file_cache_fini(file_cache *cache);

/* Finds or opens a file. A change of it is seen after at most FILE_CACHE_VALID_MS. On success the caller has a reference to
 * `out->file`. Errors: those of tn_file_open; TN_EINVAL: it is no regular file. */
int file_cache_open(file_cache *cache, const char *path, web_file *out);

#endif
