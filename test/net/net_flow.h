/* SPDX-License-Identifier: MIT */
/* Sends a known sequence of bytes through a connection, with a checksum at both ends. */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include "net_support.h"

#define NF_BIG (32ul << 20)
#define NF_CHUNK (64ul << 10)

static inline unsigned char nf_pattern(size_t position)
{
    return (unsigned char)((position * 2654435761u) >> 13);
}

typedef struct {
    tn_stream *stream;
    size_t chunk;      /* of a read or write */
    bool slow;         /* sleeps from time to time */
    uint64_t checksum; /* of all bytes */
    size_t bytes;
} nf_flow;

static inline uint64_t nf_add_up(uint64_t sum, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = sum * 1099511628211u + data[i];
    return sum;
}

static inline void *nf_send_big(void *arg)
{
    nf_flow *out = arg;
    unsigned char *buf = malloc(out->chunk);
    size_t total = ns_scaled(NF_BIG);

    while (out->bytes < total) {
        size_t size = out->chunk < total - out->bytes ? out->chunk : total - out->bytes;
        for (size_t i = 0; i < size; i++)
            buf[i] = nf_pattern(out->bytes + i);
        tt_check_eq(tn_write_all(out->stream, buf, size), 0);
        out->checksum = nf_add_up(out->checksum, buf, size);
        out->bytes += size;
    }
    tt_check_eq(tn_stream_shutdown_write(out->stream), 0);
    free(buf);
    return NULL;
}

static inline void *nf_receive_big(void *arg)
{
    nf_flow *in = arg;
    unsigned char *buf = malloc(in->chunk);
    unsigned reads = 0;
    ssize_t n;

    while ((n = tn_read(in->stream, buf, in->chunk)) > 0) {
        in->checksum = nf_add_up(in->checksum, buf, (size_t)n);
        in->bytes += (size_t)n;
        if (in->slow && ++reads % 64 == 0)
            tt_check_eq(tn_sleep(TN_MS), 0);
    }
    tt_check_eq(n, 0);
    free(buf);
    return NULL;
}

static inline void nf_compare(const nf_flow *out, const nf_flow *in)
{
    tt_check_eq(in->bytes, ns_scaled(NF_BIG));
    tt_check_eq(in->bytes, out->bytes);
    tt_check(in->checksum == out->checksum);
}

#endif
