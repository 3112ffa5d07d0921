/* SPDX-License-Identifier: MIT */
/* Reading a whole file: tn_fs_read_file. */
#include <string.h>

#include "fs/fs.h"
#include "pool/inplace.h"

#define CAPACITY_MIN 4096

typedef struct {
    const char *path;
    size_t size_max;
    tn_contents *out;
    const tn_allocator *allocator;
    tni_pool *learning_pool; /* the pool that records whether the device's open blocks (tni_inplace_learn); NULL: none */
    int fd;                  /* -1: not open */
    bool begun;              /* begin_read has succeeded: reading continues behind what is in *out */
} read_call;

/* Makes *out hold `capacity` bytes and the NUL. */
static int reserve_capacity(const read_call *call, size_t capacity)
{
    tn_contents *out = call->out;
    char *data = call->allocator->alloc(call->allocator->ctx, capacity + 1, sizeof(void *));

    if (data == NULL)
        return TN_ENOMEM;
    if (out->size > 0)
        memcpy(data, out->data, out->size);
    tni_free(call->allocator, out->data, out->capacity + 1);
    out->data = data;
    out->capacity = capacity;
    return 0;
}

/* The size from fstat is a hint: the file may grow, and files of procfs report size 0. One byte more than expected is
 * requested, so that the end is seen. */
static int begin_read(read_call *call, struct stat *status)
{
    size_t capacity = CAPACITY_MIN;
    int rc = tni_os_fstat(call->fd, status);

    if (rc != 0)
        *status = (struct stat){.st_mode = 0};
    if (S_ISREG(status->st_mode) && (uint64_t)status->st_size > call->size_max)
        return -EFBIG;
    if (S_ISREG(status->st_mode) && status->st_size > 0)
        capacity = (size_t)status->st_size + 1;
    rc = reserve_capacity(call, capacity);
    call->begun = rc == 0;
    return rc;
}

static int read_all(const read_call *call, ssize_t (*read_some)(int fd, const struct iovec *iov, int count))
{
    tn_contents *out = call->out;
    int rc = 0;

    while (rc == 0) {
        struct iovec rest = {out->data + out->size, out->capacity - out->size};
        ssize_t n = read_some(call->fd, &rest, 1);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        out->size += (size_t)n;
        if (out->size > call->size_max)
            return -EFBIG;
        if (out->size == out->capacity)
            rc = reserve_capacity(call, out->capacity * 2);
    }
    if (rc == 0)
        out->data[out->size] = '\0';
    return rc;
}

static void end_read(read_call *call)
{
    if (call->fd >= 0)
        tni_os_close(call->fd);
    call->fd = -1;
}

/* Called on a thread that may block. Continues what read_in_place has begun. */
static int call_read(void *arg)
{
    read_call *call = arg;
    struct stat status;
    int rc = 0;

    if (call->fd < 0)
        call->fd = tni_os_open(call->path, O_RDONLY, 0);
    if (call->fd < 0)
        return call->fd;
    if (call->learning_pool != NULL && tni_os_fstat(call->fd, &status) == 0)
        tni_inplace_learn(call->learning_pool, call->fd, status.st_dev);
    if (!call->begun)
        rc = begin_read(call, &status);
    if (rc == 0)
        rc = read_all(call, tni_os_readv);
    end_read(call);
    return rc;
}

/* TN_EAGAIN: the file, or a directory on its path, is not in the page cache; the file is too large; or its device is
 * unknown. */
static int read_cached(read_call *call, const tni_pool *pool)
{
    struct stat status;
    int rc;

    call->fd = tni_os_open_cached(call->path, O_RDONLY);
    if (call->fd < 0)
        return TN_EAGAIN;
    rc = begin_read(call, &status);
    if (rc != 0 || !S_ISREG(status.st_mode) || (uint64_t)status.st_size > TNI_INPLACE_BYTES ||
        !tni_inplace_knows(pool, status.st_dev))
        rc = TN_EAGAIN; /* also after an error: the close may block as the open does, so the pool makes it */
    if (rc == 0)
        rc = read_all(call, tni_os_readv_cached);
    if (rc != TN_EAGAIN)
        end_read(call);
    return rc;
}

static int read_in_place(read_call *call)
{
    tni_inplace here;
    int rc;

    if (!tni_inplace_begin(&here))
        return TN_EAGAIN;
    call->learning_pool = here.pool;
    rc = read_cached(call, here.pool);
    tni_inplace_end(&here);
    return rc;
}

int tn_fs_read_file(const char *path, size_t size_max, tn_contents *out)
{
    const tn_allocator *allocator = tni_fs_allocator();
    read_call call = {.path = path, .size_max = size_max, .out = out, .allocator = allocator, .fd = -1};
    int rc;

    if (call.size_max >= SSIZE_MAX)
        call.size_max = SSIZE_MAX - 1;
    *out = (tn_contents){.free = allocator->free, .free_ctx = allocator->ctx};
    rc = read_in_place(&call);
    if (rc == TN_EAGAIN)
        rc = tni_fs_run(call_read, &call);
    end_read(&call); /* open only if it was opened in place and the call in the pool was cancelled */
    if (rc != 0)
        tn_contents_fini(out);
    return rc;
}

void tn_contents_fini(tn_contents *contents)
{
    if (contents->data != NULL)
        contents->free(contents->free_ctx, contents->data, contents->capacity + 1);
    contents->data = NULL;
    contents->size = 0;
    contents->capacity = 0;
}
