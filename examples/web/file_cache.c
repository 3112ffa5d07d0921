/* SPDX-License-Identifier: MIT */
/* Open files, each in the slot of its path; see file_cache.h. */
#include "file_cache.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void file_cache_init(file_cache *cache)
{
    memset(cache, 0, sizeof *cache);
    tn_mutex_init(&cache->lock);
}

void file_cache_fini(file_cache *cache)
{
    for (size_t i = 0; i < FILE_CACHE_FILES; i++)
        tn_file_close(cache->slots[i].file.file);
    tn_mutex_fini(&cache->lock);
}

/* --- What a response says of a file ---------------------------------------------------------------------------------------- */

static const char *type_of(const char *path)
{
    static const struct {
        const char *end;
        const char *type;
    } types[] = {{".html", "text/html"},        {".txt", "text/plain"}, {".css", "text/css"},     {".js", "text/javascript"},
                 {".json", "application/json"}, {".png", "image/png"},  {".svg", "image/svg+xml"}};
    size_t size = strlen(path);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t end = strlen(types[i].end);
        if (size > end && strcmp(path + size - end, types[i].end) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

/* A date as HTTP writes it. */
static void date_text(char *out, size_t size, int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm parts;

    gmtime_r(&when, &parts);
    if (strftime(out, size, "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
        out[0] = '\0';
}

static int describe(web_file *out, const char *path)
{
    tn_stat status;
    int rc = tn_file_stat(out->file, &status);

    if (rc == 0 && !status.is_file)
        rc = TN_EINVAL;
    if (rc != 0)
        return rc;
    out->size_bytes = status.size_bytes;
    out->type = type_of(path);
    (void)snprintf(out->tag, sizeof out->tag, "%" PRIx64 "-%" PRIx64, status.size_bytes, (uint64_t)status.modified_s);
    date_text(out->date, sizeof out->date, status.modified_s);
    (void)snprintf(out->head, sizeof out->head,
                   "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nETag: \"%s\"\r\nLast-Modified: %s\r\nVary: Accept-Encoding\r\n"
                   "Accept-Ranges: bytes\r\nContent-Length: %" PRIu64 "\r\n",
                   out->type, out->tag, out->date, out->size_bytes);
    return 0;
}

/* --- The cache ------------------------------------------------------------------------------------------------------------- */

static size_t slot_of(const char *path)
{
    uint32_t hash = 2166136261; /* FNV-1a */

    for (; *path != '\0'; path++)
        hash = (hash ^ (unsigned char)*path) * 16777619;
    return hash % FILE_CACHE_FILES;
}

static bool find(file_cache *cache, size_t slot, const char *path, web_file *out)
{
    bool found;

    tn_mutex_lock_always(&cache->lock);
    found = tn_now() < cache->slots[slot].until_ns && strcmp(cache->slots[slot].path, path) == 0;
    if (found) {
        *out = cache->slots[slot].file;
        (void)tn_file_retain(out->file);
    }
    tn_mutex_unlock(&cache->lock);
    return found;
}

static void put(file_cache *cache, size_t slot, const char *path, const web_file *file)
{
    tn_file *before;

    tn_mutex_lock_always(&cache->lock);
    before = cache->slots[slot].file.file;
    memcpy(cache->slots[slot].path, path, strlen(path) + 1);
    cache->slots[slot].file = *file;
    cache->slots[slot].until_ns = tn_now() + FILE_CACHE_VALID_MS * TN_MS;
    (void)tn_file_retain(file->file);
    tn_mutex_unlock(&cache->lock);
    tn_file_close(before);
}

int file_cache_open(file_cache *cache, const char *path, web_file *out)
{
    size_t slot = slot_of(path);
    int rc;

    if (find(cache, slot, path, out))
        return 0;
    /* Non-blocking: otherwise opening a FIFO would wait for a writer. */
    rc = tn_file_open(&out->file, path, O_RDONLY | O_NONBLOCK, 0);
    if (rc != 0)
        return rc;
    rc = describe(out, path);
    if (rc != 0)
        tn_file_close(out->file);
    else if (strlen(path) < FILE_CACHE_PATH)
        put(cache, slot, path, out);
    return rc;
}
