/* SPDX-License-Identifier: MIT */
/* Reading directories: tn_dir. One job of the blocking pool reads many entries. */
#include <string.h>

#include "fs/fs.h"

/* Size of the read-ahead buffer. */
#define AHEAD_BYTES 8192

struct tn_dir {
    DIR *dir;
    tn_allocator allocator;
    const char *path; /* valid during the open */
    size_t used;      /* bytes of `ahead` */
    size_t next;
    bool ended;
    int error;               /* returned after the entries that were read before it */
    char ahead[AHEAD_BYTES]; /* each entry: type, name, NUL */
};

static tn_entry_type type_of(unsigned char type)
{
    switch (type) {
    case DT_REG:
        return TN_ENTRY_FILE;
    case DT_DIR:
        return TN_ENTRY_FOLDER;
    case DT_LNK:
        return TN_ENTRY_LINK;
    case DT_UNKNOWN:
        return TN_ENTRY_UNKNOWN;
    default:
        return TN_ENTRY_OTHER;
    }
}

static void add_entry(tn_dir *self, const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return;
    self->ahead[self->used] = (char)type_of(entry->d_type);
    memcpy(self->ahead + self->used + 1, entry->d_name, length + 1);
    self->used += length + 2;
}

static int call_read(void *arg)
{
    tn_dir *self = arg;
    struct dirent *entry;
    int rc = 1;

    self->used = 0;
    self->next = 0;
    while (self->used + sizeof entry->d_name + 2 <= sizeof self->ahead && (rc = tni_os_dir_read(self->dir, &entry)) == 1)
        add_entry(self, entry);
    self->ended = rc != 1;
    self->error = rc < 0 ? rc : 0;
    return 0;
}

static int call_open(void *arg)
{
    tn_dir *self = arg;
    int rc = tni_os_dir_open(self->path, &self->dir);

    return rc == 0 ? call_read(self) : rc;
}

int tn_dir_open(tn_dir **out, const char *path)
{
    const tn_allocator *allocator = tni_fs_allocator();
    tn_dir *self = tni_alloc(allocator, sizeof *self, _Alignof(tn_dir));
    int rc;

    *out = NULL;
    if (self == NULL)
        return TN_ENOMEM;
    self->allocator = *allocator;
    self->path = path;
    rc = tni_fs_run(call_open, self);
    if (rc != 0) {
        tni_free(allocator, self, sizeof *self);
        return rc;
    }
    *out = self;
    return 0;
}

int tn_dir_next(tn_dir *dir, tn_entry *out)
{
    if (dir->next == dir->used && !dir->ended) {
        int rc = tni_fs_run(call_read, dir);
        if (rc != 0)
            return rc;
    }
    if (dir->next == dir->used)
        return dir->error;
    out->type = (tn_entry_type)dir->ahead[dir->next];
    out->name = dir->ahead + dir->next + 1;
    dir->next += strlen(out->name) + 2;
    return 1;
}

void tn_dir_close(tn_dir *dir)
{
    tn_allocator allocator;

    if (dir == NULL)
        return;
    allocator = dir->allocator;
    tni_os_dir_close(dir->dir); /* the directory was only read: closing it does not block */
    tni_free(&allocator, dir, sizeof *dir);
}
