/* SPDX-License-Identifier: MIT */
/* Helpers shared by the calls on files and paths: running a call on the pool, the allocator, filling in a tn_stat. */
#include "fs/fs.h"

#include "pool/pool_call.h"

typedef struct {
    tni_pool_call base;
    int (*fn)(void *arg);
    void *arg;
    int result;
} call;

static bool call_run(tni_work *job)
{
    call *self = tni_container_of(tni_container_of(job, tni_pool_call, base), call, base);

    self->result = self->fn(self->arg);
    return false;
}

static const tni_work_ops call_ops = TNI_POOL_CALL_OPS(call_run);

int tni_fs_run(int (*fn)(void *arg), void *arg)
{
    call self = {.fn = fn, .arg = arg};
    int rc = tni_pool_call_run(&self.base, &call_ops, TNI_POOL_FILES);

    return rc == 0 ? self.result : rc;
}

const tn_allocator *tni_fs_allocator(void)
{
    const tn_runtime *runtime = tn_runtime_current();

    return runtime != NULL ? &runtime->allocator : &tni_alloc_default;
}

void tni_fs_fill_stat(tn_stat *out, const struct stat *from)
{
    *out = (tn_stat){
        .size_bytes = (uint64_t)from->st_size,
        .modified_s = from->st_mtim.tv_sec,
        .modified_ns = (uint32_t)from->st_mtim.tv_nsec,
        .mode = from->st_mode,
        .device = from->st_dev,
        .inode = from->st_ino,
        .links = from->st_nlink,
        .uid = from->st_uid,
        .gid = from->st_gid,
        .is_file = S_ISREG(from->st_mode),
        .is_folder = S_ISDIR(from->st_mode),
        .is_link = S_ISLNK(from->st_mode),
    };
}
