/* SPDX-License-Identifier: MIT */
/* Copying between TCP streams inside the kernel, through a pipe, while much is there. README.md ("Copying") has the figures. */
#include "copy/copy.h"
#include "io/stream_io.h"
#include "os/os_socket.h"
#include "os/os_splice.h"
#include "stream/stream_splice.h"

#define PIPE_BYTES ((size_t)1 << 20) /* with 64 KiB it takes no less processor time than a buffer */
#define WORTH_BYTES 65536            /* less than this at once is left to the buffer */
#define REFUSED_BUFFERS 64           /* full buffers until a pipe is asked for again: a shortage of files may pass */

static bool is_tcp(tn_io io)
{
    const tn_stream *stream = tni_stream_io_get(io);

    return stream != NULL && stream->endpoint.tcp;
}

bool tni_copy_can_splice(tni_copy_direction *self)
{
    if (self->copy->options.no_splice || !is_tcp(self->from) || !is_tcp(self->to))
        return false;
    if (self->without_pipe == 0)
        return true;
    self->without_pipe--;
    return false;
}

void tni_copy_close_pipe(tni_copy_direction *self)
{
    for (unsigned i = 0; self->has_pipe && i < 2; i++)
        tni_os_close(self->pipe[i]);
    self->has_pipe = false;
}

/* The pipe holds `size` bytes. */
static int drain(tni_copy_direction *self, size_t size)
{
    while (size > 0) {
        ssize_t n = tni_copy_step(self, TNI_COPY_SPLICE, NULL, size);
        if (n < 0)
            return tni_copy_write_failed(self, (int)n);
        size -= (size_t)n;
        self->bytes += (size_t)n;
    }
    return 0;
}

static int splice_burst(tni_copy_direction *self)
{
    for (;;) {
        ssize_t n = tni_stream_splice_in(tni_stream_io_get(self->from), self->pipe[1], PIPE_BYTES);
        int rc;

        if (n == TN_EAGAIN)
            return 1;
        if (n <= 0)
            return (int)n;
        tni_copy_has_moved(self->copy);
        rc = drain(self, (size_t)n);
        if (rc != 0)
            return rc;
        if (n < WORTH_BYTES)
            return 1;
    }
}

int tni_copy_splice(tni_copy_direction *self)
{
    int rc;

    if (tni_os_splice_pipe(self->pipe, PIPE_BYTES) != 0) {
        self->without_pipe = REFUSED_BUFFERS;
        return 1;
    }
    self->has_pipe = true;
    rc = splice_burst(self);
    tni_copy_close_pipe(self);
    return rc;
}
