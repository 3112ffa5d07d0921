/* SPDX-License-Identifier: MIT */
/* Publish and subscribe. A connection that subscribes has a queue, and its fiber waits for requests and messages at the same
 * time. The bytes of a message are counted, and the same in all queues. All subscriptions are under one lock. A session frees its
 * queue after its last one is gone, so a publisher that holds the lock finds it alive. */
#include <string.h>

#include "session.h"

enum { QUEUE_MAX = 1024, AT_ONCE = 16 };

typedef struct message {
    tn_slice channel, text;
} message;

typedef struct channel {
    key key;                 /* comes first */
    GHashTable *subscribers; /* a set of sessions */
    char bytes[];
} channel;

static tn_mutex lock;
static GHashTable *channels;

static void free_channel(void *of)
{
    g_hash_table_unref(((channel *)of)->subscribers);
    g_free(of);
}

void pubsub_init(void)
{
    tn_mutex_init(&lock);
    channels = key_table(free_channel);
}

static void release(void *of)
{
    tn_slice_release(((message *)of)->channel);
    tn_slice_release(((message *)of)->text);
}

static void send(session *s, message *messages, int count)
{
    for (int i = 0; i < count; i++) {
        resp_text(&s->out, "*3\r\n$7\r\nmessage\r\n");
        resp_bulk(&s->out, messages[i].channel.bytes);
        resp_bulk(&s->out, messages[i].text.bytes);
        release(&messages[i]);
    }
}

int pubsub_wait(session *s)
{
    message received[AT_ONCE];
    tn_io_wait_future request;
    tn_mpsc_recv_future messages;
    tn_cancel_token_future drain;
    tn_future *const all[] = {&request.base, &messages.base, &drain.base};
    int which, result;

    do {
        tn_io_wait_init(&request, tn_stream_io(s->stream), TN_READABLE);
        tn_mpsc_recv_many_init(&messages, s->queue, received, AT_ONCE);
        tn_cancel_token_wait_init(&drain, tn_session_token(s->self));
        which = tn_race(all, 3, &result);
        if (which != 1)
            return which == 0 ? result : which == 2 ? TN_ESHUTDOWN : which;
        send(s, received, result);
    } while (resp_flush(&s->out) == 0);
    return s->out.rc;
}

static int open_queue(session *s)
{
    tn_channel_options options = tn_channel_options_default();
    int rc;

    options.discard = release;
    rc = tn_mpsc_create(&s->queue, sizeof(message), QUEUE_MAX, &options);
    if (rc == 0)
        s->channels = g_ptr_array_new();
    return rc;
}

static void add_locked(session *s, const key *of)
{
    channel *to = g_hash_table_lookup(channels, of);

    if (to == NULL) {
        to = g_malloc(sizeof *to + of->name.size);
        to->key = (key){{memcpy(to->bytes, of->name.data, of->name.size), of->name.size}, of->hash};
        to->subscribers = g_hash_table_new(NULL, NULL);
        g_hash_table_add(channels, to);
    }
    if (g_hash_table_add(to->subscribers, s))
        g_ptr_array_add(s->channels, to);
}

/* The reply comes before the first message, because this fiber sends both. */
void subscribe(session *s)
{
    if (s->queue == NULL)
        s->out.rc = open_queue(s);
    for (size_t i = 1; i < s->count && s->out.rc == 0; i++) {
        key of = key_of(s->arg[i]);
        tn_mutex_lock_always(&lock);
        add_locked(s, &of);
        tn_mutex_unlock(&lock);
        resp_text(&s->out, "*3\r\n$9\r\nsubscribe\r\n");
        resp_bulk(&s->out, s->arg[i]);
        resp_head(&s->out, ':', s->channels->len);
    }
}

void pubsub_leave(session *s)
{
    message left;

    if (s->queue == NULL)
        return;
    tn_mutex_lock_always(&lock);
    for (guint i = 0; i < s->channels->len; i++) {
        channel *from = g_ptr_array_index(s->channels, i);
        g_hash_table_remove(from->subscribers, s);
        if (g_hash_table_size(from->subscribers) == 0)
            g_hash_table_remove(channels, from);
    }
    tn_mutex_unlock(&lock);
    g_ptr_array_unref(s->channels);
    while (tn_mpsc_try_recv(s->queue, &left) == 0)
        send(s, &left, 1);
    tn_mpsc_release_sender(s->queue);
    tn_mpsc_release_receiver(s->queue);
}

/* A connection that reads too slowly is ended. */
static void put(gpointer to, gpointer to_too, gpointer arg)
{
    session *s = to;
    message sent = *(const message *)arg;

    (void)to_too;
    tn_slice_retain(sent.channel);
    tn_slice_retain(sent.text);
    if (tn_mpsc_try_send(s->queue, &sent) == 0)
        return;
    release(&sent);
    tn_stream_abort(s->stream);
}

void publish(session *s)
{
    message sent = {tn_slice_static(NULL, 0), tn_slice_static(NULL, 0)};
    key of = key_of(s->arg[1]);
    guint receivers = 0;
    const channel *to;

    s->out.rc = tn_slice_copy(&sent.channel, s->arg[1].data, s->arg[1].size, NULL);
    if (s->out.rc == 0)
        s->out.rc = tn_slice_copy(&sent.text, s->arg[2].data, s->arg[2].size, NULL);
    tn_mutex_lock_always(&lock);
    to = s->out.rc == 0 ? g_hash_table_lookup(channels, &of) : NULL;
    if (to != NULL) {
        receivers = g_hash_table_size(to->subscribers);
        g_hash_table_foreach(to->subscribers, put, &sent);
    }
    tn_mutex_unlock(&lock);
    release(&sent);
    resp_head(&s->out, ':', receivers);
}
