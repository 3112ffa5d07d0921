/* SPDX-License-Identifier: MIT */
/* The struct of a listener, shared by listening (listener.c) and accepting (accept.c). */
#ifndef TNI_LISTENER_H
#define TNI_LISTENER_H

#include "stream/stream.h"

struct tn_listener {
    tni_endpoint endpoint;
    tni_os_file_id file;                                    /* constant: the file that `path` named when it was made */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* constant: the path to remove at the close; "": none */
    tni_wait pause;                                         /* the acceptor that waits for files or memory; the close wakes it */
    uint64_t pause_ns;                                      /* acceptor: length of the last pause; 0: there is no shortage */
    unsigned failed;        /* acceptor: connections that failed since the last pause or success */
    tni_a32 fd_is_known;    /* not 0: tn_listener_fd has returned the fd, so the program may change the socket */
    tn_stream *next_stream; /* acceptor: memory for the next stream; may be NULL */
};

/* From now on no connect begins to succeed; those that have begun can be accepted (tni_os_refuse_connections). */
int tni_listener_refuse(tn_listener *listener);

#endif
