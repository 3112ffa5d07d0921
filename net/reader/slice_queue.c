/* SPDX-License-Identifier: MIT */
/* The slices that wait in a writer. */
#include "reader/slice_queue.h"

#include <string.h>

#include "base/defs.h"

void tni_slice_queue_push(tn_slice_queue *queue, size_t used, tn_slice slice)
{
    tni_slice_part *part = &queue->parts[queue->count++];

    *part = (tni_slice_part){used - queue->ahead, slice.bytes, tn_slice_retain(slice)};
    queue->ahead = used;
    queue->bytes += slice.bytes.size;
}

void tni_slice_queue_pop(tn_slice_queue *queue)
{
    tni_slice_part *part = &queue->parts[--queue->count];

    queue->ahead -= part->ahead;
    queue->bytes -= part->left.size;
    tn_slice_release(part->slice);
}

void tni_slice_queue_clear(tn_slice_queue *queue)
{
    while (queue->count > 0)
        tni_slice_queue_pop(queue);
}

int tni_slice_queue_gather(const tn_slice_queue *queue, char *buffer, size_t used, struct iovec *iov)
{
    int count = 0;

    for (unsigned i = 0; i < queue->count; i++) {
        const tni_slice_part *part = &queue->parts[i];
        if (part->ahead > 0)
            iov[count++] = (struct iovec){buffer, part->ahead};
        buffer = part->ahead > 0 ? buffer + part->ahead : buffer;
        /* The bytes are only read; iovec has no const because readv uses it too. */
        iov[count++] = (struct iovec){(void *)(uintptr_t)part->left.data, part->left.size};
    }
    if (used > queue->ahead)
        iov[count++] = (struct iovec){buffer, used - queue->ahead};
    return count;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Takes what was sent off one part. Returns how many bytes of the buffer that were. */
static size_t part_sent(tn_slice_queue *queue, tni_slice_part *part, size_t *sent)
{
    size_t ahead = least_of(*sent, part->ahead);
    size_t bytes = least_of(*sent - ahead, part->left.size);

    part->ahead -= ahead;
    queue->ahead -= ahead;
    part->left.data += bytes;
    part->left.size -= bytes;
    queue->bytes -= bytes;
    *sent -= ahead + bytes;
    return ahead;
}

size_t tni_slice_queue_sent(tn_slice_queue *queue, size_t *sent)
{
    size_t of_buffer = 0;
    unsigned done = 0;

    while (done < queue->count) {
        tni_slice_part *part = &queue->parts[done];
        of_buffer += part_sent(queue, part, sent);
        if (part->left.size > 0)
            break;
        tn_slice_release(part->slice);
        done++;
    }
    queue->count -= done;
    memmove(queue->parts, queue->parts + done, queue->count * sizeof *queue->parts);
    return of_buffer;
}
