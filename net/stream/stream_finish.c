/* SPDX-License-Identifier: MIT */
/* Ending a stream: in order, or from another task. */
#include "scope/scope.h"
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

typedef struct {
    tn_scope scope; /* closes the stream at its end, also if the fiber is abandoned in a read */
    tn_stream *stream;
} finish;

static void finish_end(tn_scope *scope, bool abandoned)
{
    (void)abandoned;
    tn_stream_close(tni_container_of(scope, finish, scope)->stream);
}

int tn_stream_finish(tn_stream *stream)
{
    finish self = {.stream = stream};
    int rc;

    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, finish_end);
    rc = tn_stream_shutdown_write(stream);
    if (rc == 0)
        rc = read_to_the_end(stream);
    tn_scope_leave(&self.scope);
    return rc;
}

/* A close consumes a reference: this one gets one of its own. */
void tn_stream_abort(tn_stream *stream)
{
    tn_stream_close(tn_stream_retain(stream));
}
