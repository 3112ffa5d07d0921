/* SPDX-License-Identifier: MIT */
/* Sockets of the simulated network: what travels between two of them, and which one listens where.
 *
 * The states of a socket:
 *   fresh       opened; also after a connection attempt that has failed
 *   listening   its backlog holds sockets that no accept has taken yet
 *   connecting  an attempt is on its way, or waits to be sent again
 *   connected   to `other`; NULL once that one is closed
 *   broken      reset, or without a response for too long */
#ifndef TNI_SIM_SOCKET_H
#define TNI_SIM_SOCKET_H

#include <sys/queue.h>

#include "sim/sim_address.h"
#include "sim/sim_file.h"
#include "sim/sim_link.h"
#include "sim/sim_pipe.h"

typedef enum {
    TNI_SIM_SOCKET_FRESH,
    TNI_SIM_SOCKET_LISTENING,
    TNI_SIM_SOCKET_CONNECTING,
    TNI_SIM_SOCKET_CONNECTED,
    TNI_SIM_SOCKET_BROKEN,
} tni_sim_socket_state;

typedef struct {
    int level;
    int name;
    int value;
} tni_sim_socket_option;

#define TNI_SIM_SOCKET_OPTIONS_MAX 16

typedef struct tni_sim_socket tni_sim_socket;
struct tni_sim_socket {
    tni_sim_file file; /* not open while it is in a backlog */
    int64_t number;    /* no other one has it */
    int domain;
    int type;
    int protocol;
    tni_sim_socket_state state;
    tni_sim_address local;
    tni_sim_address peer;
    bool bound;
    int error; /* what SO_ERROR or the next call returns, positive; 0: none */
    bool read_shut;
    bool write_shut;
    bool blocked;    /* a send has found no room since the last report */
    bool reset_sent; /* to this socket */
    bool vanished;   /* the peer is gone and will never respond */
    size_t in_void;  /* bytes sent to a peer that has vanished */

    tni_sim_socket *other;
    tni_sim_link *link; /* NULL: a Unix socket */
    tni_sim_pipe in;    /* what the other one sends */

    tni_sim_event timer;   /* of an attempt to connect; of a peer that has vanished */
    tni_sim_event no_room; /* while it is set, no more bytes are taken */
    unsigned attempts;

    TAILQ_HEAD(, tni_sim_socket) backlog;
    unsigned backlog_count;
    unsigned backlog_max;
    TAILQ_ENTRY(tni_sim_socket) link_bound; /* of the list of bound sockets, or of a backlog */

    tni_sim_socket_option options[TNI_SIM_SOCKET_OPTIONS_MAX];
    unsigned option_count;
};

/* NULL: no memory. */
tni_sim_socket *tni_sim_socket_new(int domain, int type, int protocol);

/* What a loop would report now. */
uint32_t tni_sim_socket_ready(const tni_sim_file *file);

/* Ends what the socket is part of, sends its end or a reset to its peer, and frees it. */
void tni_sim_socket_free(tni_sim_socket *socket);

/* The peer gets what a close with unread bytes, or a fault, makes of the connection. */
void tni_sim_socket_reset_other(tni_sim_socket *socket);

/* The connection ends at this side with `error`. */
void tni_sim_socket_break(tni_sim_socket *socket, int error);

/* Both move what the buffers hold or have; 0: nothing now. */
size_t tni_sim_socket_send(tni_sim_socket *socket, const void *bytes, size_t size);
size_t tni_sim_socket_receive(tni_sim_socket *socket, void *out, size_t size);

/* Returns 0, -EINPROGRESS, or another negative errno value. */
int tni_sim_socket_connect(tni_sim_socket *socket, const tni_sim_address *address);

/* Connects two sockets that are fresh. */
void tni_sim_socket_join(tni_sim_socket *client, tni_sim_socket *server);

/* Takes the oldest connection out of the backlog. NULL: there is none. */
tni_sim_socket *tni_sim_socket_accept(tni_sim_socket *listener);

/* Listens no more: what waits in the backlog is reset. */
void tni_sim_socket_stop_listening(tni_sim_socket *socket);

/* How many bytes can be sent to the peer now. */
size_t tni_sim_socket_room(const tni_sim_socket *socket);

/* Sends what is left of the socket's direction: no more bytes come after it. */
void tni_sim_socket_send_end(tni_sim_socket *socket);

#endif
