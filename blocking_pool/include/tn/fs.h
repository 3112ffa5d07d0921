/* SPDX-License-Identifier: MIT */
/* tournant: files and folders.
 *
 * The system's calls on files block their thread, so a fiber has them made by a thread of the blocking pool, and waits; on a
 * plain thread, and in a blocking job, they are made in the call. Where no other thread can be had they are made on the worker;
 * and so is what the system can answer from its memory without waiting: reads of regular files, and small files whole.
 * Long transfers go in parts of a megabyte, and behind others that wait after each.
 *
 * In all of this, if nothing else is said:
 * Suspends: yes; what is answered from memory, now and then. Callable from: a fiber, a blocking job, a plain thread (which is
 * blocked). A stackless task gives the call to tn_spawn_blocking.
 * Ownership: what is passed is borrowed for the call. Errors: the system's, as negative errno values (-ENOENT, -EACCES, -ENOSPC,
 * -EIO, …); TN_ESHUTDOWN.
 * Cancellation: checkpoint as long as the call waits for its thread: nothing has been done then. Once it has begun, it is
 * finished, or broken off between two parts of a long transfer, whose count is answered; the next checkpoint tells. The file is
 * as usable as before.
 */
#ifndef TN_FS_H
#define TN_FS_H

#include <sys/uio.h>

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Open files ------------------------------------------------------------------------------------------------------------- */

/* An open file: counted. Any number of tasks may use it at once, each with a reference; the last one given back closes it. */
typedef struct tn_file tn_file;

/* Opens `path`; `flags`: O_RDONLY, O_WRONLY or O_RDWR, and O_CREAT, O_EXCL, O_TRUNC, O_APPEND, … of <fcntl.h>; `mode`: of a file
 * that is created. Suspends: yes. Ownership: the file is to be closed with tn_file_close. Errors, cancellation: see above. */
TN_API int tn_file_open(tn_file **out, const char *path, int flags, unsigned mode);

/* Takes over `fd`, which is closed with the file. Suspends: no. Callable from: anywhere. Ownership: on success the fd is the
 * file's. Errors: TN_ENOMEM. Cancellation: no checkpoint. */
TN_API int tn_file_adopt(tn_file **out, int fd);

/* Gives back a reference; NULL is allowed. The last one closes the file, from a task in the background.
 * Suspends: no. Callable from: anywhere. Errors: none; what a write could not bring to the disk tn_file_sync tells.
 * Cancellation: no checkpoint. */
TN_API void tn_file_close(tn_file *file);

/* One more reference. Suspends: no. Callable from: anywhere. */
TN_API tn_file *tn_file_retain(tn_file *file);

/* Its number, borrowed. Suspends: no. Callable from: anywhere. */
TN_API int tn_file_fd(const tn_file *file);

/* Reads at most `size` bytes from the file's own position; less at the end of the file, 0 there; less too from what is no regular
 * file. Suspends: yes. Errors, cancellation: see above; an error after some bytes answers their count. */
TN_API ssize_t tn_file_read(tn_file *file, void *buf, size_t size);

/* Writes `size` bytes at the file's own position, or at its end (O_APPEND); a smaller count: an error (which the next write
 * tells) or a cancellation came between. Suspends: yes. Errors, cancellation: see above. */
TN_API ssize_t tn_file_write(tn_file *file, const void *buf, size_t size);

/* As tn_file_read and tn_file_write, at `offset`; the file's own position does not move. */
TN_API ssize_t tn_file_pread(tn_file *file, void *buf, size_t size, int64_t offset);
TN_API ssize_t tn_file_pwrite(tn_file *file, const void *buf, size_t size, int64_t offset);

/* As tn_file_read, tn_file_write and so on, with `count` buffers in their order. Errors: also TN_EINVAL (count < 0 or > 1024). */
TN_API ssize_t tn_file_readv(tn_file *file, const struct iovec *iov, int count);
TN_API ssize_t tn_file_writev(tn_file *file, const struct iovec *iov, int count);
TN_API ssize_t tn_file_preadv(tn_file *file, const struct iovec *iov, int count, int64_t offset);
TN_API ssize_t tn_file_pwritev(tn_file *file, const struct iovec *iov, int count, int64_t offset);

/* Moves the file's own position as lseek(2) does, and returns it. It waits for a call that reads or writes at that position.
 * Suspends: yes. Errors, cancellation: see above; cancelled, the position has not moved. */
TN_API int64_t tn_file_seek(tn_file *file, int64_t offset, int whence);

/* Returns when what was written is on the disk (fsync; data alone: fdatasync). Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_file_sync(tn_file *file);
TN_API int tn_file_datasync(tn_file *file);

/* Cuts the file, or fills it up with zeros, to `size` bytes. Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_file_truncate(tn_file *file, int64_t size);

typedef struct tn_stat {
    uint64_t size_bytes;
    int64_t modified_s;   /* since 1970 */
    uint32_t modified_ns; /* of that second */
    uint32_t mode;        /* type and permissions, as of stat(2) */
    uint64_t device;
    uint64_t inode;
    uint64_t links;
    uint32_t uid;
    uint32_t gid;
    bool is_file;
    bool is_folder;
    bool is_link;
} tn_stat;

/* Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_file_stat(tn_file *file, tn_stat *out);

/* --- By path ---------------------------------------------------------------------------------------------------------------- */

/* What `path` names; a symbolic link is followed, by tn_fs_lstat it is not. Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_fs_stat(const char *path, tn_stat *out);
TN_API int tn_fs_lstat(const char *path, tn_stat *out);

/* Makes a folder. Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_fs_mkdir(const char *path, unsigned mode);

/* As tn_fs_mkdir, with all that is missing above it; 0 also if it is there already. Errors: also -ENAMETOOLONG. */
TN_API int tn_fs_mkdir_all(const char *path, unsigned mode);

/* Removes a file, a symbolic link or an empty folder. Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_fs_remove(const char *path);

/* Renames; what `to` named before is gone, at no moment is there nothing. Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_fs_rename(const char *from, const char *to);

/* Makes a symbolic link at `path`. Suspends: yes. Errors, cancellation: see above. */
TN_API int tn_fs_symlink(const char *target, const char *path);

/* Where the symbolic link leads, as text in `buf`. Suspends: yes. Errors: also -ENAMETOOLONG (buffer too small). Cancellation:
 * see above. */
TN_API int tn_fs_readlink(const char *path, char *buf, size_t size);

/* --- Whole files ------------------------------------------------------------------------------------------------------------ */

typedef struct tn_contents {
    char *data; /* `size` bytes and a zero behind them */
    size_t size;
    size_t capacity; /* private, as what follows */
    void (*free)(void *ctx, void *ptr, size_t size_bytes);
    void *free_ctx;
} tn_contents;

/* Reads a whole file. Suspends: yes. Ownership: *out is to be given to tn_contents_fini, after an error too.
 * Errors: also TN_ENOMEM, -EFBIG (more than `size_max` bytes). Cancellation: see above; nothing is answered then. */
TN_API int tn_fs_read_file(const char *path, size_t size_max, tn_contents *out);

/* Suspends: no. Callable from: anywhere. */
TN_API void tn_contents_fini(tn_contents *contents);

/* Writes a whole file: after a crash at any moment `path` names either what it did before, or all of the new contents, which are
 * on the disk when this returns. Made as a temporary file beside it. Suspends: yes. Errors, cancellation: see above; `path` is as
 * before then (but for an error of the last step, the sync of the folder, when it may be either);
 * -ENAMETOOLONG also where the name leaves no room for what makes it that of the temporary file, from about 245 bytes on. */
TN_API int tn_fs_write_file(const char *path, const void *data, size_t size, unsigned mode);

/* --- Folders ---------------------------------------------------------------------------------------------------------------- */

/* A folder being read, by one task at a time. */
typedef struct tn_dir tn_dir;

typedef enum tn_entry_type { TN_ENTRY_UNKNOWN, TN_ENTRY_FILE, TN_ENTRY_FOLDER, TN_ENTRY_LINK, TN_ENTRY_OTHER } tn_entry_type;

typedef struct tn_entry {
    const char *name;   /* until the next call on the folder */
    tn_entry_type type; /* some file systems do not tell: unknown */
} tn_entry;

/* Suspends: yes. Ownership: to be closed with tn_dir_close. Errors, cancellation: see above. */
TN_API int tn_dir_open(tn_dir **out, const char *path);

/* The next entry, in no order, without "." and "..". 1: *out is it; 0: the end. An entry that is there all the time comes once;
 * one that is made or removed meanwhile comes once or not at all.
 * Suspends: for every few hundred entries once. Errors, cancellation: see above. */
TN_API int tn_dir_next(tn_dir *dir, tn_entry *out);

/* Suspends: no. Callable from: anywhere. Ownership: consumes `dir`; NULL is allowed. Cancellation: no checkpoint. */
TN_API void tn_dir_close(tn_dir *dir);

/* --- Buffers ---------------------------------------------------------------------------------------------------------------- */

/* Reads a file through a buffer of the caller's. One task at a time. */
typedef struct tn_file_reader {
    tn_file *file; /* borrowed; private, as what follows */
    char *buf;
    size_t capacity;
    size_t begin; /* what has been read from the file and not handed out */
    size_t end;
    int64_t offset; /* where in the file buf + end is */
} tn_file_reader;

/* Reads from `offset` on, through `buf` of `size` bytes, 1 or more. Suspends: no. Callable from: anywhere. Ownership: borrows a
 * reference to the file, and `buf`, until the reader is used no more. */
TN_API void tn_file_reader_init(tn_file_reader *reader, tn_file *file, void *buf, size_t size, int64_t offset);

/* As tn_file_read; what is in the buffer does not suspend. */
TN_API ssize_t tn_file_reader_read(tn_file_reader *reader, void *buf, size_t size);

/* The next line, its newline too, in the buffer until the next call on the reader; the last one may lack a newline. Answers its
 * length; 0 at the end. Suspends: unless it is in the buffer. Errors: -E2BIG: it does not fit in the buffer (tn_file_reader_read
 * still gets it). Cancellation: see above. */
TN_API ssize_t tn_file_reader_line(tn_file_reader *reader, char **line);

/* Writes a file through a buffer of the caller's. One task at a time. */
typedef struct tn_file_writer {
    tn_file *file; /* borrowed; private, as what follows */
    char *buf;
    size_t capacity;
    size_t used;
    int error; /* the first one; stays */
} tn_file_writer;

/* Writes at the file's own position. Ownership, callable: as tn_file_reader_init. Suspends: no. */
TN_API void tn_file_writer_init(tn_file_writer *writer, tn_file *file, void *buf, size_t size);

/* Takes all `size` bytes; 0, or an error: from then on it is answered by each call, and an unknown part has been written.
 * Suspends: when the buffer is full. Cancellation: as tn_file_write; cut short is no lasting error, but which part of `data`
 * was taken is unknown. */
TN_API int tn_file_writer_write(tn_file_writer *writer, const void *data, size_t size);

/* Writes what the buffer holds. Suspends: unless that is nothing. Errors: as tn_file_writer_write. Cancellation: checkpoint; what
 * was not written stays in the buffer. */
TN_API int tn_file_writer_flush(tn_file_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
