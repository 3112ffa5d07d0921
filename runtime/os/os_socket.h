/* SPDX-License-Identifier: MIT */
/* The OS layer for sockets. Each call answers 0 or a count, or a negative errno value; none waits, and one that a signal
 * interrupted is made again. Fault injection and a simulator replace this header's functions and nothing else.
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

/* Answers the fd, non-blocking and closed on exec. */
int tni_os_socket(int domain, int type, int protocol);
int tni_os_accept(int fd);

int tni_os_bind(int fd, const struct sockaddr *address, socklen_t length);
int tni_os_listen(int fd, int backlog);

/* 0: connected. -EINPROGRESS: wait until it is writable, then look at SO_ERROR. */
int tni_os_connect(int fd, const struct sockaddr *address, socklen_t length);

ssize_t tni_os_recv(int fd, void *buf, size_t size);
/* 1: a byte is there; 0: the end; takes nothing away. */
ssize_t tni_os_peek(int fd);

/* Never raise SIGPIPE. */
ssize_t tni_os_send(int fd, const void *buf, size_t size);
ssize_t tni_os_sendv(int fd, const struct iovec *iov, size_t count);

/* `how`: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int tni_os_shutdown(int fd, int how);

int tni_os_get_option(int fd, int level, int name, int *out);
int tni_os_set_option(int fd, int level, int name, int value);

/* `length`: the room there, then what the address needs. */
int tni_os_local_address(int fd, struct sockaddr *address, socklen_t *length);
int tni_os_peer_address(int fd, struct sockaddr *address, socklen_t *length);

int tni_os_set_nonblocking(int fd);

/* The fd is gone afterwards, whatever happens. */
void tni_os_close(int fd);

/* What a path names at the moment: two files that exist at once differ in it. */
typedef struct {
    uint64_t device;
    uint64_t inode;
} tni_os_file_id;

/* Does not follow a symbolic link. */
int tni_os_path_id(const char *path, tni_os_file_id *out);
int tni_os_unlink(const char *path);

/* An interface's number by its name, 0: there is none such; and the other way round, `name` of 16 bytes (IF_NAMESIZE). */
#define TNI_OS_INTERFACE_NAME_SIZE 16
unsigned tni_os_interface_index(const char *name);
bool tni_os_interface_name(unsigned index, char *name);

#endif
