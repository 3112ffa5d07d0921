/* SPDX-License-Identifier: MIT */
/* One end of a pipe, in this process: it is read or written by tasks as a stream is. */
#ifndef TNI_PIPE_H
#define TNI_PIPE_H

#include <tn/io.h>

#include "endpoint/endpoint.h"

typedef struct {
    tni_endpoint endpoint;
} tni_pipe;

/* Makes a pipe of the descriptor, which it takes over and makes non-blocking. On an error it is closed. */
int tni_pipe_make(tni_pipe **out, tn_runtime *runtime, int fd);
void tni_pipe_close(tni_pipe *pipe);

/* As a tn_io, which takes over the reference. */
tn_io tni_pipe_reader(tni_pipe *pipe);
tn_io tni_pipe_writer(tni_pipe *pipe);

/* Calls of the kernel that do not wait; `arg` is a tni_pipe_buffers. For endpoint/attempt.h. */
typedef struct {
    const struct iovec *iov;
    int count;
} tni_pipe_buffers;

ssize_t tni_pipe_run_read(tni_endpoint *endpoint, void *arg);
ssize_t tni_pipe_run_write(tni_endpoint *endpoint, void *arg);

#endif
