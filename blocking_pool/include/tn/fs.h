/* SPDX-License-Identifier: MIT */
/* tournant: files and folders.
 *
 * The kernel's calls on files block their thread. So a fiber has a thread of the blocking pool make them, and waits. On a plain
 * thread and in a blocking job they are made directly. If no pool thread can be started, they are made on the worker.
 *
 * What the kernel can return from its memory without waiting is also read on the worker: regular files, and small whole files.
 *
 * A fiber that waits for another party occupies no thread. An open of a FIFO waits for its other end. A read or write of a file
 * that is neither a regular file nor a block device may wait: of a pipe, a FIFO, a terminal. Such a wait can be cut short at any
 * time. Some descriptors that a fiber has opened are in non-blocking mode: of FIFOs, of terminals, and of files that the kernel
 * makes up and can watch (in /proc and /sys). Reads and writes wait nevertheless. The mode of an adopted descriptor does not
 * change.
 *
 * Three such waits still occupy a thread, and end only with their cause. The first is a write to an adopted terminal whose
 * output is stopped. The second is the open of a device that waits. The third is a read for which another reader takes the data
 * at the last moment; pipes do not have it since Linux 6.4.
 *
 * Long transfers are made in parts of 1 MiB; after each part they queue behind the calls that wait. Only tn_fs_write_file has
 * one part.
 *
 * The slots of the functions use these terms:
 *
 * A file call may be made from a fiber, a plain thread (which is blocked) and a blocking job. A stackless task spawns a job
 * (tn_spawn_blocking) that makes the call.
 *
 * The file errors are those of the kernel, as negative errno values (-ENOENT, -EACCES, -ENOSPC, -EIO, …). TN_ESHUTDOWN,
 * TN_ECANCELED and TN_ETIMEDOUT are file errors too. The last two are the caller's alone. The kernel's ETIMEDOUT, of a server or
 * peer that does not reply, is TN_ETIME. Its ECANCELED, of a timerfd whose clock was set, is -EINTR.
 *
 * A file call is a cancellation point when it begins, and as long as it waits for its thread or for another party. A plain thread
 * and a job wait in the kernel: there it is one only when it begins. If it is cut short before it has done anything, nothing has
 * been done. Once it has begun, it is finished. Only a long transfer of a fiber ends between two parts, and returns its count.
 * The next cancellation point then reports the cancellation. The file remains usable.
 */
#ifndef TN_FS_H
#define TN_FS_H

#include <sys/uio.h>

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Open files ------------------------------------------------------------------------------------------------------------- */

/* An open file: counted. Any number of tasks may use it at once, each with a reference. Giving up the last one closes it. */
typedef struct tn_file tn_file;

/* Opens `path`. `flags`: O_RDONLY, O_WRONLY or O_RDWR, with O_CREAT, O_EXCL, O_TRUNC, O_APPEND, … of <fcntl.h>. `mode`:
 * permissions of a file that is created. The open of a FIFO waits for its other end, unless `flags` has O_NONBLOCK.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: on success the caller owns a reference, and must give it to tn_file_close.
 * Errors: file errors; TN_ENOMEM.
 * Cancellation: yes; nothing was done. */
TN_API int tn_file_open(tn_file **out, const char *path, int flags, unsigned mode);

/* Makes a file of the open descriptor `fd`, which is closed with the file.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success `fd` is the file's, and the caller owns a reference.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_file_adopt(tn_file **out, int fd);

/* Makes a file of the open descriptor `fd`, which stays open when the file is closed: standard input and output, for example.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `fd` is borrowed until the last reference to the file has been given up; on success the caller owns one.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_file_borrow(tn_file **out, int fd);

/* Gives up a reference; NULL is allowed. The last one closes the file. On a worker a pool thread does so in the background,
 * unless none can be started or the runtime ends.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the reference.
 * Errors: none; write-back errors are reported by tn_file_sync.
 * Cancellation: no. */
TN_API void tn_file_close(tn_file *file);

/* Adds a reference. Returns `file`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns one more reference.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_file *tn_file_retain(tn_file *file);

/* Returns the file descriptor.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the descriptor is borrowed, and stays the file's.
 * Errors: none.
 * Cancellation: no. */
TN_API int tn_file_fd(const tn_file *file);

/* Waits until a read (`writes`: a write) of a pipe, FIFO, terminal or the like need not wait, or would fail. For regular files
 * and block devices it returns at once.
 *
 * Suspends: yes, if the file may wait for another party.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: a reference to the file is borrowed for the call.
 * Errors: TN_EMFILE, TN_ENOMEM and other errors of the kernel. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was read or written. A call that need not wait for another party does not check for it. */
TN_API int tn_file_wait(tn_file *file, bool writes);

/* Reads at most `size` bytes at the file's own position. Returns how many: fewer at the end of the file, and 0 there. It may
 * return fewer if the file is not a regular one. After an error that follows some bytes it returns their count.
 *
 * Suspends: yes; but what is in memory is usually read without suspending.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `buf` is borrowed for the call.
 * Errors: file errors; TN_EINVAL: `size` is above SSIZE_MAX.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_file_read(tn_file *file, void *buf, size_t size);

/* Writes `size` bytes at the file's own position, or at its end (O_APPEND). Returns how many. A smaller count means that an
 * error, which the next write returns, or a cancellation has ended the call. It never raises SIGPIPE.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `buf` is borrowed for the call.
 * Errors: file errors; TN_EPIPE: the pipe or socket has no reader; TN_EINVAL: `size` is above SSIZE_MAX.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_file_write(tn_file *file, const void *buf, size_t size);

/* Reads like tn_file_read, but at `offset`; the file's own position does not move.
 *
 * Suspends: yes; but what is in memory is usually read without suspending.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `buf` is borrowed for the call.
 * Errors: file errors; TN_EINVAL: `offset` is negative, or `size` above SSIZE_MAX.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_file_pread(tn_file *file, void *buf, size_t size, int64_t offset);

/* Writes like tn_file_write, but at `offset`; the file's own position does not move.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `buf` is borrowed for the call.
 * Errors: file errors; TN_EINVAL: `offset` is negative, or `size` above SSIZE_MAX.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_file_pwrite(tn_file *file, const void *buf, size_t size, int64_t offset);

/* Reads like tn_file_read, into `count` buffers in their order.
 *
 * Suspends: yes; but what is in memory is usually read without suspending.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: file errors; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_file_readv(tn_file *file, const struct iovec *iov, int count);

/* Writes like tn_file_write, from `count` buffers in their order.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: file errors; TN_EINVAL: `count` is negative or above 1024, or the sizes add up to more than SSIZE_MAX.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_file_writev(tn_file *file, const struct iovec *iov, int count);

/* Reads like tn_file_pread, into `count` buffers in their order.
 *
 * Suspends: yes; but what is in memory is usually read without suspending.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: file errors; TN_EINVAL: `count` is negative or above 1024, `offset` is negative, or the sizes add up to more than
 * SSIZE_MAX.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_file_preadv(tn_file *file, const struct iovec *iov, int count, int64_t offset);

/* Writes like tn_file_pwrite, from `count` buffers in their order.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `iov` and the buffers are borrowed for the call.
 * Errors: file errors; TN_EINVAL: `count` is negative or above 1024, `offset` is negative, or the sizes add up to more than
 * SSIZE_MAX.
 * Cancellation: yes; nothing was written. */
TN_API ssize_t tn_file_pwritev(tn_file *file, const struct iovec *iov, int count, int64_t offset);

/* Moves the file's own position like lseek(2), and returns it. It waits for a call that reads or writes at that position.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows a reference.
 * Errors: file errors.
 * Cancellation: yes; the position has not moved. */
TN_API int64_t tn_file_seek(tn_file *file, int64_t offset, int whence);

/* Returns when the data and the metadata that were written are on the disk (fsync).
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows a reference.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_file_sync(tn_file *file);

/* Returns when the data that were written are on the disk (fdatasync).
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows a reference.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_file_datasync(tn_file *file);

/* Cuts the file to `size` bytes, or extends it to them with zeros.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows a reference.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_file_truncate(tn_file *file, int64_t size);

/* What is known of a file or folder. */
typedef struct tn_stat {
    uint64_t size_bytes;
    int64_t modified_s;   /* seconds since 1970 */
    uint32_t modified_ns; /* nanoseconds of that second */
    uint32_t mode;        /* type and permissions, see stat(2) */
    uint64_t device;
    uint64_t inode;
    uint64_t links;
    uint32_t uid;
    uint32_t gid;
    bool is_file;
    bool is_folder;
    bool is_link;
} tn_stat;

/* Fills `*out` for an open file.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows a reference.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_file_stat(tn_file *file, tn_stat *out);

/* --- By path ---------------------------------------------------------------------------------------------------------------- */

/* Fills `*out` for what `path` names; a symbolic link is followed.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` is borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_stat(const char *path, tn_stat *out);

/* Fills `*out` for what `path` names; a symbolic link is not followed.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` is borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_lstat(const char *path, tn_stat *out);

/* Makes a folder. `mode`: its permissions.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` is borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_mkdir(const char *path, unsigned mode);

/* Makes a folder and all missing folders above it. Returns 0 also if it exists already. `mode`: the permissions of each.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` is borrowed for the call.
 * Errors: file errors; -ENAMETOOLONG.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_mkdir_all(const char *path, unsigned mode);

/* Removes a file, a symbolic link or an empty folder.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` is borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_remove(const char *path);

/* Renames `from` to `to`. What `to` named before is removed; at no moment does `to` name nothing.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: the paths are borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_rename(const char *from, const char *to);

/* Makes a symbolic link at `path` that leads to `target`.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: the paths are borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_symlink(const char *target, const char *path);

/* Writes the target of the symbolic link `path` as text to `buf`, which has `size` bytes.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` and `buf` are borrowed for the call.
 * Errors: file errors; -ENAMETOOLONG: the buffer is too small.
 * Cancellation: yes; nothing was done. */
TN_API int tn_fs_readlink(const char *path, char *buf, size_t size);

/* --- Whole files ------------------------------------------------------------------------------------------------------------ */

/* The contents of a file. */
typedef struct tn_contents {
    char *data; /* `size` bytes, followed by a zero */
    size_t size;
    size_t capacity; /* private, as are the next two */
    void (*free)(void *ctx, void *ptr, size_t size_bytes);
    void *free_ctx;
} tn_contents;

/* Reads a whole file of at most `size_max` bytes.
 *
 * Suspends: yes; but a small file that is in memory is usually read without suspending.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `*out` must be given to tn_contents_fini, also after an error.
 * Errors: file errors; TN_ENOMEM; -EFBIG: the file has more than `size_max` bytes.
 * Cancellation: yes; `*out` is empty. */
TN_API int tn_fs_read_file(const char *path, size_t size_max, tn_contents *out);

/* Frees the contents.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `*contents` is empty afterwards.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_contents_fini(tn_contents *contents);

/* Replaces the contents of a file, or makes a new file, through a temporary file in the same folder. `mode`: permissions of a
 * new file, less those of the umask.
 *
 * If `path` leads through symbolic links, the links stay, and the file at their end is replaced. It keeps its owner, its group
 * and its permissions. It does not keep the bits that set the user or group on execution, access control lists, and other
 * extended attributes. Its further hard links, and descriptors that are open, keep the old contents. The caller needs the
 * permission to write to the folder, but not that to write to the file. A FIFO, a device and a socket are refused. All this
 * holds for what `path` leads to when the call begins.
 *
 * After a crash at any moment `path` leads either to what it led to before, or to all of the new contents. When this returns 0,
 * the new contents are on the disk. After an error `path` is as before. Only after an error of the last step, the sync of the
 * folder, it may be either.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `path` and `data` are borrowed for the call.
 * Errors: file errors. TN_EINVAL: a FIFO, a device or a socket. -EISDIR: a folder. -EPERM: the caller may not give a file to the
 * owner or group of the one that is replaced. -ELOOP: more than 40 links. -ENAMETOOLONG: also if the name is too long to be
 * extended to that of the temporary file, from about 245 bytes on.
 * Cancellation: yes; `path` is as before. */
TN_API int tn_fs_write_file(const char *path, const void *data, size_t size, unsigned mode);

/* --- Folders ---------------------------------------------------------------------------------------------------------------- */

/* A folder that is being read, by one task at a time. */
typedef struct tn_dir tn_dir;

/* The type of an entry. */
typedef enum tn_entry_type { TN_ENTRY_UNKNOWN, TN_ENTRY_FILE, TN_ENTRY_FOLDER, TN_ENTRY_LINK, TN_ENTRY_OTHER } tn_entry_type;

/* An entry of a folder. */
typedef struct tn_entry {
    const char *name;   /* valid until the next call on the folder */
    tn_entry_type type; /* TN_ENTRY_UNKNOWN: the file system does not report types */
} tn_entry;

/* Opens the folder `path` for reading.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: on success the caller owns the folder, and must give it to tn_dir_close.
 * Errors: file errors; TN_ENOMEM.
 * Cancellation: yes; nothing was done. */
TN_API int tn_dir_open(tn_dir **out, const char *path);

/* Reads the next entry, in no particular order, without "." and "..". Returns 1 if `*out` is an entry, 0 at the end.
 *
 * An entry that exists all the time is returned once. An entry that is made or removed in the meantime is returned once or not
 * at all.
 *
 * Suspends: if no entries are buffered: once per several hundred entries.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: the name in `*out` is borrowed until the next call on the folder.
 * Errors: file errors.
 * Cancellation: yes; no entry is lost. */
TN_API int tn_dir_next(tn_dir *dir, tn_entry *out);

/* Closes the folder; NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes `dir`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_dir_close(tn_dir *dir);

/* --- Buffers ---------------------------------------------------------------------------------------------------------------- */

/* Reads a file through a buffer of the caller's. One task at a time. All members are private. */
typedef struct tn_file_reader {
    tn_file *file; /* borrowed */
    char *buf;
    size_t capacity;
    size_t begin; /* buf[begin … end) has been read from the file and not been returned */
    size_t end;
    int64_t offset; /* of buf + end in the file */
} tn_file_reader;

/* Prepares a reader that begins at `offset`, with the buffer `buf` of `size` bytes, 1 or more (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: a reference to the file, and `buf`, are borrowed until the last use of the reader.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_file_reader_init(tn_file_reader *reader, tn_file *file, void *buf, size_t size, int64_t offset);

/* Reads at most `size` bytes. Returns how many: fewer at the end of the file, and 0 there. It may return fewer if the file is
 * not a regular one. After an error that follows some bytes it returns their count.
 *
 * Suspends: unless all of it is in the buffer; see tn_file_read.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `buf` is borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; nothing was read. */
TN_API ssize_t tn_file_reader_read(tn_file_reader *reader, void *buf, size_t size);

/* Reads the next line with its newline. The last line may lack a newline. Returns its length in bytes; 0 at the end.
 *
 * Suspends: unless the line is in the buffer.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `*line` points into the buffer, and is valid until the next call on the reader.
 * Errors: file errors; -E2BIG: the line does not fit in the buffer, and tn_file_reader_read still returns it.
 * Cancellation: yes; no line was read. */
TN_API ssize_t tn_file_reader_line(tn_file_reader *reader, char **line);

/* Writes a file through a buffer of the caller's. One task at a time. All members are private. */
typedef struct tn_file_writer {
    tn_file *file; /* borrowed */
    char *buf;
    size_t capacity;
    size_t used;
    int error; /* the first one; it stays */
} tn_file_writer;

/* Prepares a writer at the file's own position, with the buffer `buf` of `size` bytes, 1 or more (asserted).
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: a reference to the file, and `buf`, are borrowed until the last use of the writer.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_file_writer_init(tn_file_writer *writer, tn_file *file, void *buf, size_t size);

/* Writes all `size` bytes, into the buffer or the file. Returns 0 or an error. After an error an unknown part has been written,
 * and all further calls return that error.
 *
 * Suspends: when the buffer is full.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `data` is borrowed for the call.
 * Errors: file errors.
 * Cancellation: yes; an unknown part of `data` was taken. The error does not stay: further calls are made as usual. */
TN_API int tn_file_writer_write(tn_file_writer *writer, const void *data, size_t size);

/* Writes the contents of the buffer to the file.
 *
 * Suspends: unless the buffer is empty.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: borrows the writer.
 * Errors: file errors; after one an unknown part has been written, and all further calls return it.
 * Cancellation: yes; what was not written stays in the buffer. */
TN_API int tn_file_writer_flush(tn_file_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
