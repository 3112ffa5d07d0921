/* SPDX-License-Identifier: MIT */
/* The struct of a stream, and creating a stream from a connected socket, for accept and connect. */
#ifndef TNI_STREAM_H
#define TNI_STREAM_H

#include <tn/net.h>

#include "address/address.h"
#include "endpoint/endpoint.h"

struct tn_stream {
    tni_endpoint endpoint;
};

_Static_assert(sizeof(tn_stream) <= 40, "with malloc's header it is a block of 48 bytes");

/* Allocates memory for a stream; NULL: there is none. */
tn_stream *tni_stream_alloc(tn_runtime *runtime);
void tni_stream_free(tn_runtime *runtime, tn_stream *stream);

/* Makes a stream of memory from tni_stream_alloc; takes over `fd`. Cannot fail. */
void tni_stream_init(tn_stream *stream, tn_runtime *runtime, int fd, bool tcp);

/* The poll of tn_wait_readable, for a caller that is the stream's reader. Returns 0, TN_PENDING, or an error of it. */
int tni_stream_poll_readable(tn_stream *stream, tn_waker *waker);

/* As tn_writev, without waiting: TN_EAGAIN. `iov` has a byte. */
ssize_t tni_stream_try_writev(tn_stream *stream, const struct iovec *iov, int count);

/* tn_ready_init for an endpoint that is no stream. */
void tni_ready_init(tn_ready_future *future, tni_endpoint *endpoint, tn_direction direction);

/* Makes a stream of a new socket, which is not connected yet. Returns 0, TN_ENOMEM, or an error of the kernel. */
int tni_stream_open_socket(tn_runtime *runtime, tn_stream **out, int domain);

#endif
