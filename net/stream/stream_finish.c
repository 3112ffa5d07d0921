/* SPDX-License-Identifier: MIT */
/* Ending a stream: in order, or from another task. */
#include "stream/stream.h"

/* What a peer still sends is read into a small buffer on the stack, and dropped. */
#define DROPPED_BYTES 2048

static int read_to_the_end(tn_stream *stream)
{
    char dropped[DROPPED_BYTES];
    ssize_t n;

    do {
        n = tn_read(stream, dropped, sizeof dropped);
    } while (n > 0);
    return (int)n;
}

int tn_stream_finish(tn_stream *stream)
{
    int rc = tn_stream_shutdown_write(stream);

    if (rc == 0)
        rc = read_to_the_end(stream);
    tn_stream_close(stream);
    return rc;
}

/* A close consumes a reference: this one gets one of its own. */
void tn_stream_abort(tn_stream *stream)
{
    tn_stream_close(tn_stream_retain(stream));
}
