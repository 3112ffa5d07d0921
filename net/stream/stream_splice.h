/* SPDX-License-Identifier: MIT */
/* Moving bytes between a stream and a pipe inside the kernel. */
#ifndef TNI_STREAM_SPLICE_H
#define TNI_STREAM_SPLICE_H

#include "stream/stream.h"

/* Moves at most `size` bytes from the stream into the pipe, which is empty. Does not wait. Returns how many; 0 at the end of the
 * stream; TN_EAGAIN: no byte is there; or the errors of tn_try_read. */
ssize_t tni_stream_splice_in(tn_stream *stream, int pipe, size_t size);

/* Moves at least 1 and at most `size` bytes from the pipe, which holds so many, to the stream. Waits as tn_write does, and has
 * its errors. */
ssize_t tni_stream_splice_out(tn_stream *stream, int pipe, size_t size);

#endif
