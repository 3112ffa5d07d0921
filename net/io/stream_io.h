/* SPDX-License-Identifier: MIT */
/* Which byte streams are streams of sockets, with no layer around them. */
#ifndef TNI_STREAM_IO_H
#define TNI_STREAM_IO_H

#include <tn/io.h>

/* Returns the stream of tn_stream_io; NULL: `io` is of another kind. */
tn_stream *tni_stream_io_get(tn_io io);

#endif
