/* SPDX-License-Identifier: MIT */
/* The slices that wait in a writer, between the bytes of its buffer. There is a queue only while slices wait. */
#ifndef TNI_SLICE_QUEUE_H
#define TNI_SLICE_QUEUE_H

#include <tn/writer.h>

#include <sys/uio.h>

#define TNI_SLICES_MAX 16
/* What tni_slice_queue_gather fills at most: bytes of the buffer before each slice and behind the last one. */
#define TNI_SLICES_IOV (2 * TNI_SLICES_MAX + 1)

typedef struct {
    size_t ahead; /* bytes of the buffer that are sent between the slice before and this one */
    tn_bytes left;
    tn_slice slice;
} tni_slice_part;

struct tn_slice_queue {
    unsigned count;
    size_t ahead; /* sum over the parts */
    size_t bytes; /* of the slices, that are left to send */
    tni_slice_part parts[TNI_SLICES_MAX];
};

/* Appends a slice behind all `used` bytes of the buffer. The queue has a slot. Retains the slice. */
void tni_slice_queue_push(tn_slice_queue *queue, size_t used, tn_slice slice);
/* Takes the last slice back. */
void tni_slice_queue_pop(tn_slice_queue *queue);
/* Releases all slices. */
void tni_slice_queue_clear(tn_slice_queue *queue);

/* Lists what waits, in order: `iov` has TNI_SLICES_IOV elements; `buffer`, `used`: the bytes of the buffer. Returns how many
 * elements there are. */
int tni_slice_queue_gather(const tn_slice_queue *queue, char *buffer, size_t used, struct iovec *iov);

/* `*sent` bytes of what was gathered, and of what followed it, have been sent. Releases the slices that are done. Returns how
 * many bytes of the buffer in front of slices were sent; `*sent` becomes what was sent behind the last slice. */
size_t tni_slice_queue_sent(tn_slice_queue *queue, size_t *sent);

#endif
