/* SPDX-License-Identifier: MIT */
/* Open files: open, close, read, write, seek, sync. */
#include "fs/file.h"
#include "base/tls.h"
#include "base/vector.h"
#include "fs/fs_open.h"
#include "fs/fs_ready.h"
#include "os/os_pipe_signal.h"
#include "os/os_ready.h"
#include "pool/inplace.h"
#include "pool/pool_call.h"
#include "pool/position.h"
#include "sched/budget_fiber.h"
#include "scope/scope.h"

/* Limits of one part of a transfer, in bytes and in buffers, so that a long transfer does not keep its thread. */
#define PART_BYTES ((size_t)1 << 20)
#define PART_BUFFERS 16

struct tn_file {
    tni_work closing; /* closes the file in the background; pushed with the last reference */
    tni_a32 references;
    int fd;
    tni_a32 kind;          /* W: tni_fs_kind; of an adopted descriptor unknown until its first transfer */
    bool borrowed;         /* constant: the descriptor stays open */
    bool in_place;         /* S: a regular file: the fiber itself reads what is in the page cache */
    bool seeks_in_place;   /* S: and its file system moves the position without blocking */
    tni_position position; /* guards calls at the file's own position */
    tn_allocator allocator;
};

/* --- Opening and closing ---------------------------------------------------------------------------------------------------- */

static tn_file *make(int fd)
{
    const tn_allocator *allocator = tni_fs_allocator();
    tn_file *file = tni_alloc(allocator, sizeof *file, _Alignof(tn_file));

    if (file == NULL)
        return NULL;
    tni_a32_init(&file->references, 1);
    file->fd = fd;
    tni_a32_init(&file->kind, TNI_FS_UNKNOWN);
    file->borrowed = false;
    file->in_place = false;
    file->seeks_in_place = false;
    tni_position_init(&file->position);
    file->allocator = *allocator;
    return file;
}

static void free_file(tn_file *file)
{
    tn_allocator allocator = file->allocator;

    tni_free(&allocator, file, sizeof *file);
}

int tn_file_adopt(tn_file **out, int fd)
{
    *out = make(fd);
    return *out != NULL ? 0 : TN_ENOMEM;
}

int tn_file_borrow(tn_file **out, int fd)
{
    int rc = tn_file_adopt(out, fd);

    if (rc == 0)
        (*out)->borrowed = true;
    return rc;
}

/* In the caller's frame. */
typedef struct {
    tni_fs_open base;
    tn_scope scope; /* around the open; if the fiber is abandoned there, its end frees all of this */
    tn_file *file;
    tni_fs_kind kind; /* out, as the next ones */
    bool in_place;
    bool seeks_in_place;
} opening;

static int call_open(void *arg)
{
    opening *self = arg;
    int rc = tni_fs_open_try(&self->base);

    self->kind = rc == 0 && !self->base.again ? self->base.kind : TNI_FS_UNKNOWN;
    /* A read that bypasses the page cache (O_DIRECT) always blocks. */
    self->in_place = self->kind == TNI_FS_STORED && (self->base.flags & O_DIRECT) == 0 && S_ISREG(self->base.status.st_mode) &&
                     tni_os_cached_end_holds();
    self->seeks_in_place = self->in_place && tni_os_is_stored(self->base.fd);
    return rc;
}

static void opening_discard(opening *self)
{
    tni_fs_open_close(&self->base);
    free_file(self->file);
}

static void opening_end(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        opening_discard(tni_container_of(scope, opening, scope));
}

/* Tries again and again; between two tries a fiber waits for the other end of a FIFO, and occupies no thread. */
static int open_in_pool(opening *self)
{
    int rc;

    tn_scope_enter(&self->scope, TN_NEVER);
    tni_scope_on_end(&self->scope, opening_end);
    rc = tni_fs_run(call_open, self);
    while (rc == 0 && self->base.again) {
        rc = tni_fs_open_pause(&self->base);
        if (rc == 0)
            rc = tni_fs_run(call_open, self);
    }
    tn_scope_leave(&self->scope);
    return rc;
}

int tn_file_open(tn_file **out, const char *path, int flags, unsigned mode)
{
    opening self;
    tn_file *file = make(-1);
    int rc;

    *out = NULL;
    if (file == NULL)
        return TN_ENOMEM;
    self.file = file;
    tni_fs_open_init(&self.base, path, flags, mode);
    rc = open_in_pool(&self);
    if (rc != 0) {
        opening_discard(&self);
        return rc;
    }
    file->fd = self.base.fd;
    tni_a32_init(&file->kind, self.kind);
    file->in_place = self.in_place;
    file->seeks_in_place = self.seeks_in_place;
    *out = file;
    return 0;
}

tn_file *tn_file_retain(tn_file *file)
{
    /* Relaxed: the caller holds a reference; one more publishes nothing. */
    (void)tni_a32_fetch_add(&file->references, 1, TNI_RELAXED);
    return file;
}

static bool closing_run(tni_work *job)
{
    tni_os_close(tni_container_of(job, tn_file, closing)->fd);
    return false;
}

static void closing_complete(tni_work *job, int error)
{
    if (error != 0)
        (void)closing_run(job);
    free_file(tni_container_of(job, tn_file, closing));
}

static const tni_work_ops closing_ops = {closing_run, closing_complete};

/* The pool that closes files for the calling worker. NULL: the caller may block, or there is no pool. */
static tni_pool *pool_for_close(void)
{
    const tni_worker *worker = tni_tls_get()->worker;
    int error;

    return worker != NULL ? tni_pool_of(worker->runtime, &error) : NULL;
}

void tn_file_close(tn_file *file)
{
    tni_pool *pool;
    uint32_t old;

    if (file == NULL)
        return;
    /* Publishes this user's accesses, observes those of all others for the last one, which closes. Partner: tn_file_close. */
    old = tni_a32_fetch_sub(&file->references, 1, TNI_ACQ_REL);
    tni_assert(old != 0, "a file is closed more often than retained");
    if (old != 1)
        return;
    if (file->borrowed) {
        free_file(file);
        return;
    }
    tni_pool_work_init(&file->closing, &closing_ops, TNI_POOL_FILES);
    file->closing.mandatory = true;
    pool = pool_for_close();
    if (pool != NULL && tni_pool_reserve_always(pool, TNI_POOL_FILES) == 0)
        tni_pool_push(pool, &file->closing);
    else
        closing_complete(&file->closing, TN_ESHUTDOWN); /* in the caller: the descriptor must not leak */
}

int tn_file_fd(const tn_file *file)
{
    return file->fd;
}

/* --- Transfers -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tni_pool_call base;
    tn_file *file;
    const struct iovec *iov;
    int count;
    int64_t offset; /* negative: at the file's own position */
    bool writes;
    bool in_fiber; /* the thread must not wait for another party */
    bool blocked;  /* out: the call ended because it would have waited there */
    int index;     /* the buffer at which the next part begins */
    size_t skip;   /* bytes of that buffer already transferred */
    size_t done;
    int error; /* that ended the transfer; 0: none */
} transfer;

/* Fills in the buffers of the next part; returns its size. */
static size_t next_part(const transfer *self, struct iovec *part, int *count)
{
    size_t size = 0;
    size_t skip = self->skip;

    *count = 0;
    for (int i = self->index; i < self->count && *count < PART_BUFFERS && size < PART_BYTES; i++) {
        size_t length = self->iov[i].iov_len - skip;
        if (length > PART_BYTES - size)
            length = PART_BYTES - size;
        part[*count].iov_base = (char *)self->iov[i].iov_base + skip;
        part[*count].iov_len = length;
        (*count)++;
        size += length;
        skip = 0;
    }
    return size;
}

static void advance(transfer *self, size_t size)
{
    self->done += size;
    while (self->index < self->count && size >= self->iov[self->index].iov_len - self->skip) {
        size -= self->iov[self->index].iov_len - self->skip;
        self->index++;
        self->skip = 0;
    }
    self->skip += size;
}

static tni_fs_kind kind_of(tn_file *file)
{
    tni_fs_kind kind = tni_a32_load(&file->kind, TNI_RELAXED); /* relaxed: one of two threads that learn it repeats the other */

    if (kind == TNI_FS_UNKNOWN) {
        kind = tni_fs_ready_kind(file->fd);
        tni_a32_store(&file->kind, kind, TNI_RELAXED); /* relaxed: as above */
    }
    return kind;
}

static ssize_t move_now(const transfer *self, const struct iovec *part, int count)
{
    int64_t at = self->offset + (int64_t)self->done;
    int fd = self->file->fd;

    if (self->offset >= 0)
        return self->writes ? tni_os_pwritev_now(fd, part, count, at) : tni_os_preadv_now(fd, part, count, at);
    return self->writes ? tni_os_writev_now(fd, part, count) : tni_os_readv_now(fd, part, count);
}

static ssize_t move_part(const transfer *self, const struct iovec *part, int count)
{
    int64_t at = self->offset + (int64_t)self->done;
    int fd = self->file->fd;

    if (self->offset >= 0)
        return self->writes ? tni_os_pwritev(fd, part, count, at) : tni_os_preadv(fd, part, count, at);
    tni_position_wait_in_place_ended(&self->file->position);
    return self->writes ? tni_os_writev(fd, part, count) : tni_os_readv(fd, part, count);
}

/* The call of a plain thread or a job, which may wait. A descriptor in non-blocking mode needs a wait of its own. */
static ssize_t move_waiting(const transfer *self, const struct iovec *part, int count)
{
    ssize_t n;

    do {
        n = move_part(self, part, count);
    } while (n == -EAGAIN && tni_os_wait_ready(self->file->fd, self->writes) == 0);
    return n;
}

static ssize_t move_other(const transfer *self, const struct iovec *part, int count)
{
    return self->in_fiber ? move_now(self, part, count) : move_waiting(self, part, count);
}

/* A write to a pipe or socket without a reader sends SIGPIPE to the thread. */
static ssize_t move_without_signal(const transfer *self, const struct iovec *part, int count, size_t size)
{
    tni_os_pipe_signal signal;
    ssize_t n;

    if (!self->writes)
        return move_other(self, part, count);
    tni_os_pipe_signal_block(&signal);
    n = move_other(self, part, count);
    tni_os_pipe_signal_restore(&signal, n < 0 || (size_t)n < size);
    return n;
}

static bool transfer_run(tni_work *job)
{
    transfer *self = tni_container_of(tni_container_of(job, tni_pool_call, base), transfer, base);
    tni_fs_kind kind = kind_of(self->file);
    struct iovec part[PART_BUFFERS];
    int count;
    size_t size = next_part(self, part, &count);
    ssize_t n;

    n = kind == TNI_FS_STORED ? move_part(self, part, count) : move_without_signal(self, part, count, size);
    self->blocked = n == -EAGAIN && kind == TNI_FS_WAITING && self->in_fiber;
    if (n < 0 && !self->blocked)
        self->error = (int)n;
    if (n >= 0)
        advance(self, (size_t)n);
    if (n < 0 || self->index == self->count)
        return false;
    /* A short read is the end, or all that the pipe holds. After a short write the next write returns the reason. */
    if (self->writes)
        return n > 0;
    return (size_t)n == size && (self->offset >= 0 || kind == TNI_FS_STORED);
}

static const tni_work_ops transfer_ops = TNI_POOL_CALL_OPS(transfer_run);

/* Negative: the data is not all in the page cache, or another call is using the file's own position. */
static ssize_t move_part_in_place(const transfer *self, const struct iovec *part, int count)
{
    tni_position *position = &self->file->position;
    int fd = self->file->fd;
    ssize_t n;

    if (self->offset >= 0)
        return tni_os_preadv_cached(fd, part, count, self->offset + (int64_t)self->done);
    if (!tni_position_try_in_place(position))
        return TN_EAGAIN;
    n = tni_os_preadv_cached(fd, part, count, -1);
    tni_position_end_in_place(position);
    return n;
}

/* Reads from a regular file what is in the page cache. True: the read is complete, or at the end of the file. Yields every 50
 * µs; a cancellation ends it, as between two parts in the pool. */
static bool read_in_place(transfer *self)
{
    struct iovec part[PART_BUFFERS];
    bool moved = true;
    int count;

    while (moved && self->index < self->count && tni_inplace_may_read()) {
        uint64_t began_ns = tni_clock_ns();
        size_t size = next_part(self, part, &count);
        ssize_t n = move_part_in_place(self, part, count);
        if (n == 0 && size > 0)
            return true; /* end of file */
        moved = n >= 0;
        if (moved)
            advance(self, (size_t)n);
        tni_budget_spend_time(tni_clock_ns() - began_ns);
    }
    return moved && self->done > 0 && self->index == self->count;
}

static int transfer_in_pool(transfer *self)
{
    bool positioned = self->offset < 0;
    int rc;

    if (positioned)
        tni_position_enter(&self->file->position);
    rc = tni_pool_call_run(&self->base, &transfer_ops, TNI_POOL_FILES);
    if (positioned)
        tni_position_leave(&self->file->position);
    return rc;
}

/* In a fiber, waits in between for what a thread must not wait for. */
static int transfer_to_end(transfer *self)
{
    int rc;

    do {
        self->blocked = false;
        rc = transfer_in_pool(self);
        if (rc == 0 && self->blocked)
            rc = tni_fs_ready_wait(self->file->fd, self->writes);
    } while (rc == 0 && self->blocked);
    return rc;
}

static ssize_t move(tn_file *file, const struct iovec *iov, int count, int64_t offset, bool writes)
{
    transfer self = {.file = file, .iov = iov, .count = count, .offset = offset, .writes = writes};
    int rc;

    if (tni_vector_total(iov, count) < 0)
        return TN_EINVAL;
    advance(&self, 0); /* skips empty buffers, so that each part but the last one moves data or finds the end */
    if (file->in_place && !writes && read_in_place(&self))
        return (ssize_t)self.done;
    self.in_fiber = tni_tls_get()->task != NULL;
    rc = transfer_to_end(&self);
    if (self.done > 0)
        return (ssize_t)self.done;
    return rc != 0 ? rc : self.error;
}

static ssize_t move_one(tn_file *file, void *buf, size_t size, int64_t offset, bool writes)
{
    struct iovec one = {buf, size};

    return move(file, &one, 1, offset, writes);
}

bool tni_file_is_always_ready(tn_file *file, bool writes)
{
    struct stat status;

    if (kind_of(file) == TNI_FS_STORED)
        return true;
    return !writes && tni_os_fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode);
}

int tn_file_wait(tn_file *file, bool writes)
{
    int rc;

    if (tni_file_is_always_ready(file, writes))
        return 0;
    if (tni_tls_get()->task == NULL) {
        rc = tn_checkpoint();
        return rc != 0 ? rc : tni_os_wait_ready(file->fd, writes);
    }
    rc = tni_fs_ready_wait(file->fd, writes);
    return rc == TN_EAGAIN ? 0 : rc; /* a file that the kernel cannot watch is always ready */
}

ssize_t tn_file_read(tn_file *file, void *buf, size_t size)
{
    return move_one(file, buf, size, -1, false);
}

ssize_t tn_file_write(tn_file *file, const void *buf, size_t size)
{
    return move_one(file, (void *)(uintptr_t)buf, size, -1, true); /* const is cast away: iovec is shared with reads */
}

ssize_t tn_file_pread(tn_file *file, void *buf, size_t size, int64_t offset)
{
    return offset < 0 ? TN_EINVAL : move_one(file, buf, size, offset, false);
}

ssize_t tn_file_pwrite(tn_file *file, const void *buf, size_t size, int64_t offset)
{
    return offset < 0 ? TN_EINVAL : move_one(file, (void *)(uintptr_t)buf, size, offset, true); /* as above */
}

ssize_t tn_file_readv(tn_file *file, const struct iovec *iov, int count)
{
    return move(file, iov, count, -1, false);
}

ssize_t tn_file_writev(tn_file *file, const struct iovec *iov, int count)
{
    return move(file, iov, count, -1, true);
}

ssize_t tn_file_preadv(tn_file *file, const struct iovec *iov, int count, int64_t offset)
{
    return offset < 0 ? TN_EINVAL : move(file, iov, count, offset, false);
}

ssize_t tn_file_pwritev(tn_file *file, const struct iovec *iov, int count, int64_t offset)
{
    return offset < 0 ? TN_EINVAL : move(file, iov, count, offset, true);
}

/* --- Seek, sync, truncate, stat --------------------------------------------------------------------------------------------- */

typedef struct {
    tn_file *file;
    int64_t offset;
    int whence;
    int64_t at;
} seek_call;

static int call_seek(void *arg)
{
    seek_call *call = arg;

    tni_position_wait_in_place_ended(&call->file->position);
    call->at = tni_os_seek(call->file->fd, call->offset, call->whence);
    return 0;
}

/* False: the call might block on another call that uses the position, or on a server that knows the size of the file. */
static bool seek_in_place(seek_call *call)
{
    tn_file *file = call->file;

    if (!file->seeks_in_place || (call->whence != SEEK_SET && call->whence != SEEK_CUR) || !tni_inplace_may_read() ||
        !tni_position_try_in_place(&file->position))
        return false;
    call->at = tni_os_seek(file->fd, call->offset, call->whence);
    tni_position_end_in_place(&file->position);
    tni_budget_spend_time(0);
    return true;
}

int64_t tn_file_seek(tn_file *file, int64_t offset, int whence)
{
    seek_call call = {.file = file, .offset = offset, .whence = whence};
    int rc;

    if (seek_in_place(&call))
        return call.at;
    tni_position_enter(&file->position);
    rc = tni_fs_run(call_seek, &call);
    tni_position_leave(&file->position);
    return rc == 0 ? call.at : rc;
}

static int call_sync(void *arg)
{
    return tni_os_sync(((tn_file *)arg)->fd, true);
}

static int call_datasync(void *arg)
{
    return tni_os_sync(((tn_file *)arg)->fd, false);
}

int tn_file_sync(tn_file *file)
{
    return tni_fs_run(call_sync, file);
}

int tn_file_datasync(tn_file *file)
{
    return tni_fs_run(call_datasync, file);
}

typedef struct {
    int fd;
    int64_t size;
    struct stat status;
} file_call;

static int call_truncate(void *arg)
{
    const file_call *call = arg;

    return tni_os_truncate(call->fd, call->size);
}

int tn_file_truncate(tn_file *file, int64_t size)
{
    file_call call = {.fd = file->fd, .size = size};

    return tni_fs_run(call_truncate, &call);
}

static int call_fstat(void *arg)
{
    file_call *call = arg;

    return tni_os_fstat(call->fd, &call->status);
}

int tn_file_stat(tn_file *file, tn_stat *out)
{
    file_call call = {.fd = file->fd};
    int rc = tni_fs_run(call_fstat, &call);

    if (rc == 0)
        tni_fs_fill_stat(out, &call.status);
    return rc;
}
