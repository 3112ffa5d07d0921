/* SPDX-License-Identifier: MIT */
/* Publish and subscribe. A connection that subscribes has a queue, and a fiber that sends what is in it. A message is one
 * counted slice in all queues.
 *
 * All links from channels to sessions are in one hash table under one lock. A session frees its queue after its last link is
 * gone, so a publisher that holds the lock finds it alive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { BUCKETS = 1024, QUEUE_MAX = 1024 };

typedef struct link {
    struct link *next;
    session *to;
    tn_bytes channel; /* its bytes follow */
} link;

static tn_mutex lock;
static link *buckets[BUCKETS];

void pubsub_init(void)
{
    tn_mutex_init(&lock);
}

static link **bucket_of(tn_bytes channel)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < channel.size; i++)
        hash = hash * 31 + (unsigned char)channel.data[i];
    return &buckets[hash % BUCKETS];
}

static bool is_of(const link *found, tn_bytes channel)
{
    return found->channel.size == channel.size && memcmp(found->channel.data, channel.data, channel.size) == 0;
}

/* --- Queues -------------------------------------------------------------------------------------------------------------- */

/* Takes the reference. A connection that reads too slowly is ended. */
static int put(session *to, tn_slice slice)
{
    int rc = tn_mpsc_try_send(to->queue, &slice);

    if (rc != 0) {
        tn_slice_release(slice);
        tn_stream_abort(to->stream);
    }
    return rc;
}

/* The queue as a byte stream: replies go there too while a connection subscribes, so each has its place among the messages. */
static ssize_t queue_write(void *to, const void *bytes, size_t size)
{
    tn_slice slice;
    int rc = tn_slice_copy(&slice, bytes, size, NULL);

    if (rc == 0)
        rc = put(to, slice);
    return rc == 0 ? (ssize_t)size : rc;
}

/* In its own fiber: sends what is in the queue, until the session gives it up. */
static void *send_queue(void *arg)
{
    session *s = arg;
    tn_writer writer;
    tn_slice slice;
    int rc = tn_writer_init(&writer, tn_stream_io(s->stream), NULL);

    while (tn_mpsc_recv(s->queue, &slice) == 0) {
        do {
            rc = rc == 0 ? tn_writer_slice(&writer, slice) : rc;
            tn_slice_release(slice);
        } while (tn_mpsc_try_recv(s->queue, &slice) == 0);
        rc = rc == 0 ? tn_writer_flush(&writer) : rc;
        if (rc != 0)
            tn_stream_abort(s->stream); /* ends the session; the queue is emptied until then */
    }
    tn_writer_fini(&writer);
    return NULL;
}

static int open_queue(session *s)
{
    static const tn_io_ops queue_ops = {.size = sizeof queue_ops, .write = queue_write};
    int rc = tn_writer_flush(&s->writer);

    if (rc == 0)
        rc = tn_mpsc_create(&s->queue, sizeof(tn_slice), QUEUE_MAX, NULL);
    if (rc != 0)
        return rc;
    rc = tn_spawn(&s->sender, send_queue, s);
    if (rc != 0) {
        tn_mpsc_release_sender(s->queue);
        tn_mpsc_release_receiver(s->queue);
        s->queue = NULL;
        return rc;
    }
    tn_writer_fini(&s->writer);
    return tn_writer_init(&s->writer, (tn_io){&queue_ops, s}, NULL);
}

/* --- Subscriptions ------------------------------------------------------------------------------------------------------- */

static int add_link_locked(session *s, tn_bytes channel)
{
    link **bucket = bucket_of(channel);
    link *added;

    for (unsigned i = 0; i < s->channels; i++)
        if (is_of(s->links[i], channel))
            return 0;
    added = s->channels < CHANNELS_MAX ? malloc(sizeof *added + channel.size) : NULL;
    if (added == NULL)
        return TN_ENOMEM;
    *added = (link){*bucket, s, {memcpy(added + 1, channel.data, channel.size), channel.size}};
    *bucket = s->links[s->channels++] = added;
    return 0;
}

/* The reply is in the queue before the first message is, and the client sees it only when messages are. */
int subscribe(session *s, const tn_bytes *arg, size_t count)
{
    int rc = s->queue == NULL ? open_queue(s) : 0;

    for (size_t i = 1; i < count && rc == 0; i++) {
        tn_mutex_lock_always(&lock);
        rc = add_link_locked(s, arg[i]);
        if (rc == 0)
            rc = resp_text(&s->writer, "*3\r\n$9\r\nsubscribe");
        if (rc == 0)
            rc = resp_bulk(&s->writer, arg[i]);
        if (rc == 0)
            rc = resp_head(&s->writer, ':', s->channels);
        if (rc == 0)
            rc = tn_writer_flush(&s->writer);
        tn_mutex_unlock(&lock);
    }
    return rc;
}

/* The sender uses the session, so it is waited for also if this task is cancelled. Then its writes fail, so that it ends. */
static void join_sender(session *s)
{
    tn_scope shield;

    if (tn_join(s->sender, NULL) == 0)
        return;
    tn_stream_abort(s->stream);
    tn_shield_enter(&shield, TN_NEVER);
    (void)tn_join(s->sender, NULL);
    tn_scope_leave(&shield);
}

void pubsub_leave(session *s)
{
    if (s->queue == NULL)
        return;
    tn_mutex_lock_always(&lock);
    while (s->channels > 0) {
        link *removed = s->links[--s->channels];
        link **at = bucket_of(removed->channel);
        while (*at != removed)
            at = &(*at)->next;
        *at = removed->next;
        free(removed);
    }
    tn_mutex_unlock(&lock);
    tn_mpsc_release_sender(s->queue);
    join_sender(s);
    tn_mpsc_release_receiver(s->queue);
}

int publish(session *s, const tn_bytes *arg, size_t count)
{
    char head[80], middle[32];
    int head_size = snprintf(head, sizeof head, "*3\r\n$7\r\nmessage\r\n$%zu\r\n", arg[1].size);
    int middle_size = snprintf(middle, sizeof middle, "\r\n$%zu\r\n", arg[2].size);
    int64_t receivers = 0;
    tn_slice message;
    char *at;
    int rc = tn_slice_alloc(&message, &at, (size_t)(head_size + middle_size) + arg[1].size + arg[2].size + 2, NULL);

    (void)count;
    if (rc != 0)
        return rc;
    at = mempcpy(at, head, (size_t)head_size);
    at = mempcpy(at, arg[1].data, arg[1].size);
    at = mempcpy(at, middle, (size_t)middle_size);
    at = mempcpy(at, arg[2].data, arg[2].size);
    memcpy(at, "\r\n", 2);
    tn_mutex_lock_always(&lock);
    for (link *found = *bucket_of(arg[1]); found != NULL; found = found->next) {
        if (!is_of(found, arg[1]))
            continue;
        receivers++;
        (void)put(found->to, tn_slice_retain(message));
    }
    tn_mutex_unlock(&lock);
    tn_slice_release(message);
    return resp_head(&s->writer, ':', receivers);
}
