/* SPDX-License-Identifier: MIT */
/* A listener from the inside: accepting is apart from listening. */
#ifndef TNI_LISTENER_H
#define TNI_LISTENER_H

#include "stream/stream.h"

struct tn_listener {
    tni_endpoint endpoint;
    bool tcp;                                               /* constant */
    tni_os_file_id file;                                    /* constant: what `path` named when it was made */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* constant: to be removed; "": nothing */
    tni_wait pause;                                         /* who waits for files or memory; woken by the close */
    uint64_t pause_ns;                                      /* who accepts: the last pause; 0: there is no shortage */
    tn_stream *spare;                                       /* who accepts: memory for the next stream */
};

#endif
