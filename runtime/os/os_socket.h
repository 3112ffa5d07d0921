/* SPDX-License-Identifier: MIT */
/* The OS layer for sockets. Each call returns 0 or a count, or a negative errno value. None blocks, and each is repeated if a
 * signal interrupts it. Fault injection and the simulator replace the functions of this header and nothing else.
 */
#ifndef TNI_OS_SOCKET_H
#define TNI_OS_SOCKET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/defs.h"

/* Both return the fd, non-blocking and closed on exec. */
int tni_os_socket(int domain, int type, int protocol);
int tni_os_accept(int fd);

int tni_os_bind(int fd, const struct sockaddr *address, socklen_t length);
int tni_os_listen(int fd, int backlog);
/* From now on no connect to the listening socket begins to succeed. Those that have begun are completed, and accepted as before.
 * New ones fail: on TCP (`tcp`) when the socket is closed, on Unix at once. It holds for all processes that share the socket.
 * -EOPNOTSUPP: the kernel cannot do it for other protocols. */
int tni_os_refuse_connections(int fd, bool tcp);

/* 0: connected. -EINPROGRESS: wait until it is writable, then read SO_ERROR. */
int tni_os_connect(int fd, const struct sockaddr *address, socklen_t length);

ssize_t tni_os_recv(int fd, void *buf, size_t size);
/* Fills the buffers in their order. A count that is smaller than all of them means the same as one of tni_os_recv. */
ssize_t tni_os_recvv(int fd, const struct iovec *iov, size_t count);
/* Asks whether a read, or a write, would return at once. Returns 0: it would; TN_EAGAIN; or an error that was pending, which a
 * read or write does not return any more. */
int tni_os_socket_ready(int fd, bool to_write);

/* Never raise SIGPIPE. */
ssize_t tni_os_send(int fd, const void *buf, size_t size);
ssize_t tni_os_sendv(int fd, const struct iovec *iov, size_t count);

/* `how`: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int tni_os_shutdown(int fd, int how);

/* Returns the error that is pending, which a read or write does not return any more; 0: none is. */
int tni_os_take_error(int fd);

int tni_os_get_option(int fd, int level, int name, int *out);
int tni_os_set_option(int fd, int level, int name, int value);

/* *length: the size of the buffer; on return the size of the address. */
int tni_os_local_address(int fd, struct sockaddr *address, socklen_t *length);
int tni_os_peer_address(int fd, struct sockaddr *address, socklen_t *length);

/* Of the process at the other end of a Unix socket, when it connected or listened. */
typedef struct {
    pid_t process; /* 0: of another process namespace */
    uid_t user;
    gid_t group;
} tni_os_credentials;

int tni_os_peer_credentials(int fd, tni_os_credentials *out);

int tni_os_set_nonblocking(int fd);

/* Makes a close of the socket return at once, also if it has SO_LINGER with a time: the kernel sends what is left in the
 * background. A linger time of 0, which resets the connection, stays. */
void tni_os_stop_lingering(int fd);

/* Closes the fd, even if the kernel reports an error. */
void tni_os_close(int fd);

/* The identity of the file that a path names now: no two files have the same one at the same time. */
typedef struct {
    uint64_t device;
    uint64_t inode;
} tni_os_file_id;

/* Does not follow a symbolic link. */
int tni_os_path_id(const char *path, tni_os_file_id *out);
int tni_os_unlink(const char *path);

/* The number of a network interface by its name (0: there is none), and the name by its number. `name` has 16 bytes
 * (IF_NAMESIZE). */
#define TNI_OS_INTERFACE_NAME_SIZE 16
unsigned tni_os_interface_index(const char *name);
bool tni_os_interface_name(unsigned index, char *name);

#endif
