/* SPDX-License-Identifier: MIT */
/* Reading a whole file: tn_fs_read_file. */
#include <string.h>

#include "fs/fs_open.h"
#include "fs/fs_ready.h"
#include "os/os_ready.h"
#include "pool/inplace.h"
#include "scope/scope.h"

#define CAPACITY_MIN 4096

/* A thread reads so much in one go. */
#define PART_BYTES ((size_t)1 << 20)

typedef struct {
    tni_fs_open open;
    tn_scope scope; /* around what the pool does; if the fiber is abandoned there, its end frees all of this */
    size_t size_max;
    tn_contents *out;
    const tn_allocator *allocator;
    tni_pool *learning_pool; /* the pool that records whether the device's open blocks (tni_inplace_learn); NULL: none */
    bool begun;              /* begin_read has succeeded: reading continues behind what is in *out */
    bool ended;              /* the end of the file has been read */
    bool waits;              /* the file is of kind TNI_FS_WAITING */
    bool blocked;            /* the thread would have had to wait for another party */
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

typedef ssize_t (*read_fn)(int fd, const struct iovec *iov, int count);

/* The size from fstat is a hint: the file may grow, and files of procfs report size 0. One byte more than expected is
 * requested, so that the end is seen. */
static int begin_read(read_call *call)
{
    const struct stat *status = &call->open.status;
    size_t capacity = CAPACITY_MIN;
    int rc;

    if (S_ISREG(status->st_mode) && (uint64_t)status->st_size > call->size_max)
        return -EFBIG;
    if (S_ISREG(status->st_mode) && status->st_size > 0)
        capacity = (size_t)status->st_size + 1;
    rc = reserve_capacity(call, capacity);
    call->begun = rc == 0;
    return rc;
}

/* Reads a part, or to the end. */
static int read_part(read_call *call, read_fn read_some)
{
    tn_contents *out = call->out;
    size_t limit = out->size + PART_BYTES;
    int rc = 0;

    while (rc == 0 && out->size < limit) {
        size_t room = out->capacity - out->size;
        struct iovec rest = {out->data + out->size, room < PART_BYTES ? room : PART_BYTES};
        ssize_t n = read_some(call->open.fd, &rest, 1);
        if (n < 0)
            return (int)n;
        call->ended = n == 0;
        if (n == 0)
            break;
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

/* The read of a plain thread or a job, which may wait. */
static ssize_t read_waiting(int fd, const struct iovec *iov, int count)
{
    ssize_t n;

    do {
        n = tni_os_readv(fd, iov, count);
    } while (n == -EAGAIN && tni_os_wait_ready(fd, false) == 0);
    return n;
}

/* Called on a thread that may block, but not for another party if the caller is a fiber. Continues what read_in_place or the
 * last part has begun. */
static int call_read(void *arg)
{
    read_call *call = arg;
    int rc = 0;

    call->blocked = false;
    if (!call->begun || call->open.again) {
        rc = tni_fs_open_try(&call->open);
        if (rc != 0 || call->open.again)
            return rc;
        call->waits = call->open.kind == TNI_FS_WAITING;
        if (call->learning_pool != NULL && call->open.status.st_mode != 0)
            tni_inplace_learn(call->learning_pool, call->open.fd, call->open.status.st_dev);
        rc = call->begun ? 0 : begin_read(call);
    }
    if (rc == 0)
        rc = read_part(call, !call->waits ? tni_os_readv : call->open.in_fiber ? tni_os_readv_now : read_waiting);
    call->blocked = rc == -EAGAIN && call->waits && call->open.in_fiber;
    if (call->blocked)
        return 0;
    if (rc != 0 || call->ended)
        tni_fs_open_close(&call->open); /* here, because it may block */
    return rc;
}

/* TN_EAGAIN: the file, or a directory on its path, is not in the page cache; the file is too large; or its device is
 * unknown. */
static int read_cached(read_call *call, const tni_pool *pool)
{
    const struct stat *status = &call->open.status;
    int rc = 0;

    call->open.fd = tni_os_open_cached(call->open.path, O_RDONLY);
    if (call->open.fd < 0)
        return TN_EAGAIN;
    if (tni_os_fstat(call->open.fd, &call->open.status) != 0)
        call->open.status = (struct stat){.st_mode = 0};
    if (!S_ISREG(status->st_mode) || (uint64_t)status->st_size > TNI_INPLACE_BYTES || !tni_inplace_knows(pool, status->st_dev))
        return TN_EAGAIN; /* the close may block as the open does, so the pool makes it */
    rc = begin_read(call);
    while (rc == 0 && !call->ended)
        rc = read_part(call, tni_os_readv_cached);
    if (rc != TN_EAGAIN)
        tni_fs_open_close(&call->open);
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

static void read_end(tn_scope *scope, bool abandoned)
{
    read_call *call = tni_container_of(scope, read_call, scope);

    if (abandoned) {
        tni_fs_open_close(&call->open);
        tn_contents_fini(call->out);
    }
}

/* Part after part, and between them waits for another party without a thread. */
static int read_in_pool(read_call *call)
{
    int rc;

    tn_scope_enter(&call->scope, TN_NEVER);
    tni_scope_on_end(&call->scope, read_end);
    do {
        rc = tni_fs_run(call_read, call);
        if (rc == 0 && call->open.again)
            rc = tni_fs_open_pause(&call->open);
        else if (rc == 0 && call->blocked)
            rc = tni_fs_ready_wait(call->open.fd, false);
    } while (rc == 0 && !call->ended);
    tn_scope_leave(&call->scope);
    return rc;
}

int tn_fs_read_file(const char *path, size_t size_max, tn_contents *out)
{
    const tn_allocator *allocator = tni_fs_allocator();
    read_call call = {.size_max = size_max, .out = out, .allocator = allocator};
    int rc;

    if (call.size_max >= SSIZE_MAX)
        call.size_max = SSIZE_MAX - 1;
    tni_fs_open_init(&call.open, path, O_RDONLY, 0);
    *out = (tn_contents){.free = allocator->free, .free_ctx = allocator->ctx};
    rc = read_in_place(&call);
    if (rc == TN_EAGAIN)
        rc = read_in_pool(&call);
    tni_fs_open_close(&call.open); /* still open only if the wait for the pool or for another party was cut short */
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
