/* SPDX-License-Identifier: MIT */
/* Connections: attempts, arrivals, the end. */
#include "sim/sim_socket.h"

#include <errno.h>
#include <stdlib.h>

#include "os/os_loop.h"
#include "sim/os_loop_sim.h"
#include "sim/sim_choice.h"
#include "sim/sim_names.h"
#include "sim/sim_trace.h"

/* As Linux by default: an attempt to connect is sent again after 1, 2, 4, ... s, six times, and is given up when the last pause
 * is over, after 127 s. A segment is sent again 15 times, and is given up after 924 s. */
#define ATTEMPTS_MAX 7
#define SENDINGS_MAX 16
#define ATTEMPT_PAUSE_NS UINT64_C(1000000000)
#define VANISHED_NS (UINT64_C(924) * 1000000000)
#define VOID_BYTES ((size_t)64 << 10)

/* The longest time for which a connection takes no more bytes without a reason that the peer could see. */
#define NO_ROOM_MAX_NS (UINT64_C(4) * 1000000)

static int64_t socket_numbers;

tni_sim_socket *tni_sim_socket_new(int domain, int type, int protocol)
{
    tni_sim_socket *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->file.fd = -1;
    self->number = ++socket_numbers;
    self->domain = domain;
    self->type = type;
    self->protocol = protocol;
    TAILQ_INIT(&self->backlog);
    tni_sim_pipe_init(&self->in);
    return self;
}

/* --- Readiness -------------------------------------------------------------------------------------------------------------- */

size_t tni_sim_socket_room(const tni_sim_socket *socket)
{
    const tni_sim_pipe *out;

    if (socket->no_room.position != 0)
        return 0;
    if (socket->other == NULL)
        return socket->vanished ? VOID_BYTES - socket->in_void : VOID_BYTES;
    out = &socket->other->in;
    return out->limit > out->total ? out->limit - out->total : 0;
}

static uint32_t ready_connected(const tni_sim_socket *self)
{
    uint32_t ready = 0;

    if (self->in.arrived > 0)
        ready |= TNI_OS_READABLE;
    if (self->in.end || self->read_shut)
        ready |= TNI_OS_READABLE | TNI_OS_HANGUP;
    if (self->write_shut || tni_sim_socket_room(self) > 0)
        ready |= TNI_OS_WRITABLE;
    return ready;
}

uint32_t tni_sim_socket_ready(const tni_sim_file *file)
{
    const tni_sim_socket *self = tni_container_of(file, const tni_sim_socket, file);

    if (self->error != 0)
        return TNI_OS_READABLE | TNI_OS_WRITABLE | TNI_OS_HANGUP | TNI_OS_ERROR;
    switch (self->state) {
    case TNI_SIM_SOCKET_LISTENING:
        return TAILQ_EMPTY(&self->backlog) ? 0 : TNI_OS_READABLE;
    case TNI_SIM_SOCKET_CONNECTING:
        return 0;
    case TNI_SIM_SOCKET_CONNECTED:
        return ready_connected(self);
    case TNI_SIM_SOCKET_FRESH:
    case TNI_SIM_SOCKET_BROKEN:
        break;
    }
    return TNI_OS_READABLE | TNI_OS_WRITABLE | TNI_OS_HANGUP;
}

static void changed(tni_sim_socket *self)
{
    tni_os_loop_sim_event(&self->file, tni_sim_socket_ready(&self->file));
}

/* --- Arrivals --------------------------------------------------------------------------------------------------------------- */

void tni_sim_socket_break(tni_sim_socket *socket, int error)
{
    if (socket->state == TNI_SIM_SOCKET_BROKEN)
        return;
    socket->state = TNI_SIM_SOCKET_BROKEN;
    socket->error = error;
    socket->in.end = true;
    tni_sim_time_clear(&socket->timer);
    changed(socket);
}

/* A segment for this socket is lost. After too many losses its sender gives up. */
static void lose(tni_sim_socket *self);

static void arrive(tni_sim_socket *self, const tni_sim_segment *segment)
{
    switch (segment->kind) {
    case TNI_SIM_DATA:
        tni_sim_trace(TNI_SIM_TRACE_ARRIVE, self->number, (int64_t)segment->bytes);
        self->in.arrived += segment->bytes;
        break;
    case TNI_SIM_END:
        tni_sim_trace(TNI_SIM_TRACE_ARRIVE_END, self->number, 0);
        self->in.end = true;
        break;
    case TNI_SIM_RESET_SEGMENT:
        tni_sim_trace(TNI_SIM_TRACE_ARRIVE_RESET, self->number, 0);
        tni_sim_socket_break(self, ECONNRESET);
        break;
    }
}

static void on_arrival(tni_sim_event *event)
{
    tni_sim_socket *self = tni_container_of(tni_container_of(event, tni_sim_pipe, event), tni_sim_socket, in);
    const tni_sim_segment *segment;

    while ((segment = tni_sim_pipe_due(&self->in)) != NULL) {
        if (self->link != NULL && tni_sim_link_is_cut(self->link)) {
            lose(self);
            return;
        }
        arrive(self, segment);
        tni_sim_pipe_next(&self->in, on_arrival);
        changed(self);
    }
}

static void lose(tni_sim_socket *self)
{
    if (tni_sim_pipe_lose(&self->in, on_arrival) <= SENDINGS_MAX) {
        tni_sim_trace(TNI_SIM_TRACE_LOST, self->number, 0);
        return;
    }
    tni_sim_time_clear(&self->in.event);
    if (self->other != NULL)
        tni_sim_socket_break(self->other, ETIMEDOUT);
}

/* Behind a reset nothing arrives. */
static void send_segment(tni_sim_socket *to, tni_sim_segment_kind kind, size_t bytes)
{
    if (to->reset_sent)
        return;
    to->reset_sent = kind == TNI_SIM_RESET_SEGMENT;
    tni_sim_pipe_send(&to->in, to->link, kind, bytes, on_arrival);
}

void tni_sim_socket_reset_other(tni_sim_socket *socket)
{
    if (socket->other != NULL)
        send_segment(socket->other, TNI_SIM_RESET_SEGMENT, 0);
}

void tni_sim_socket_send_end(tni_sim_socket *socket)
{
    socket->write_shut = true;
    if (socket->other != NULL)
        send_segment(socket->other, TNI_SIM_END, 0);
}

/* --- Sending and receiving -------------------------------------------------------------------------------------------------- */

static void on_vanished(tni_sim_event *event)
{
    tni_sim_socket_break(tni_container_of(event, tni_sim_socket, timer), ETIMEDOUT);
}

/* The peer is closed: bytes are taken, and the response to them is a reset, or none. */
static size_t send_to_closed(tni_sim_socket *self, size_t size)
{
    size_t n = size < tni_sim_socket_room(self) ? size : tni_sim_socket_room(self);

    if (!self->vanished && self->in.segments_count == 0) {
        send_segment(self, TNI_SIM_RESET_SEGMENT, 0);
    } else if (self->vanished) {
        self->in_void += n;
        if (self->timer.position == 0)
            tni_sim_time_set(&self->timer, tni_sim_time_ns() + VANISHED_NS, on_vanished);
    }
    return n;
}

/* Sends what was put into the pipe: in one segment or in two. */
static void send_data(tni_sim_socket *to, size_t size)
{
    size_t first = size;

    if (size > 1 && tni_sim_choice_happens(TNI_SIM_SEGMENT))
        first = 1 + tni_sim_choice_below(TNI_SIM_SEGMENT, (uint32_t)(size - 1));
    send_segment(to, TNI_SIM_DATA, first);
    if (first < size)
        send_segment(to, TNI_SIM_DATA, size - first);
}

static void on_room(tni_sim_event *event)
{
    changed(tni_container_of(event, tni_sim_socket, no_room));
}

/* How many bytes a send takes now. A connection that takes a part of them has no room until its next report, as the library may
 * conclude from a short count. */
static size_t take(tni_sim_socket *self, size_t size)
{
    size_t room = tni_sim_socket_room(self);
    size_t n = size < room ? size : room;

    if (n > 1 && tni_sim_choice_happens(TNI_SIM_SHORT)) {
        n = 1 + tni_sim_choice_below(TNI_SIM_SHORT, (uint32_t)(n < UINT32_MAX ? n - 1 : UINT32_MAX));
        tni_sim_time_set(&self->no_room, tni_sim_time_ns() + tni_sim_choice_scale(TNI_SIM_SHORT, NO_ROOM_MAX_NS), on_room);
    }
    self->blocked = self->blocked || n < size;
    return n;
}

size_t tni_sim_socket_send(tni_sim_socket *socket, const void *bytes, size_t size)
{
    tni_sim_socket *other = socket->other;
    size_t n = take(socket, size);
    size_t sent;

    if (n == 0)
        return 0;
    if (other == NULL)
        return send_to_closed(socket, n);
    if (other->reset_sent)
        return n; /* the reset of this end is still on its way */
    if (tni_sim_choice_happens(TNI_SIM_RESET)) {
        sent = tni_sim_choice_below(TNI_SIM_RESET, (uint32_t)(n < UINT32_MAX ? n + 1 : n));
        tni_sim_pipe_put(&other->in, bytes, sent);
        if (sent > 0)
            send_data(other, sent);
        send_segment(other, TNI_SIM_RESET_SEGMENT, 0);
        send_segment(socket, TNI_SIM_RESET_SEGMENT, 0);
        return n;
    }
    tni_sim_pipe_put(&other->in, bytes, n);
    send_data(other, n);
    return n;
}

size_t tni_sim_socket_receive(tni_sim_socket *socket, void *out, size_t size)
{
    size_t n;

    if (socket->domain == AF_UNIX && size > 1 && tni_sim_choice_happens(TNI_SIM_SEGMENT))
        size = 1 + tni_sim_choice_below(TNI_SIM_SEGMENT, (uint32_t)(size < UINT32_MAX ? size : UINT32_MAX));
    n = tni_sim_pipe_take(&socket->in, out, size);
    if (n > 0 && socket->other != NULL && socket->other->blocked) {
        socket->other->blocked = false;
        changed(socket->other);
    }
    return n;
}

/* --- Connecting ------------------------------------------------------------------------------------------------------------- */

void tni_sim_socket_join(tni_sim_socket *client, tni_sim_socket *server)
{
    client->other = server;
    server->other = client;
    client->state = TNI_SIM_SOCKET_CONNECTED;
    server->state = TNI_SIM_SOCKET_CONNECTED;
    server->link = client->link;
    server->local = client->peer;
    server->peer = client->local;
    server->bound = true;
}

/* Puts the other end of a new connection into the backlog. False: no memory. */
static bool enqueue(tni_sim_socket *client, tni_sim_socket *listener)
{
    tni_sim_socket *server = tni_sim_socket_new(listener->domain, listener->type, listener->protocol);

    if (server == NULL)
        return false;
    tni_sim_socket_join(client, server);
    TAILQ_INSERT_TAIL(&listener->backlog, server, link_bound);
    listener->backlog_count++;
    changed(listener);
    return true;
}

static bool is_full(const tni_sim_socket *listener)
{
    return listener->backlog_count > listener->backlog_max;
}

static void end_attempt(tni_sim_socket *self, int error)
{
    tni_sim_trace(TNI_SIM_TRACE_CONNECTED, self->number, -error);
    if (error != 0) {
        self->state = TNI_SIM_SOCKET_FRESH;
        self->error = error;
    }
    changed(self);
}

static void on_attempt(tni_sim_event *event)
{
    tni_sim_socket *self = tni_container_of(event, tni_sim_socket, timer);
    tni_sim_socket *listener = tni_sim_names_listener(&self->peer);
    bool lost;

    if (self->attempts == ATTEMPTS_MAX) {
        end_attempt(self, ETIMEDOUT);
        return;
    }
    lost = tni_sim_link_is_cut(self->link) || tni_sim_choice_happens(TNI_SIM_BLACK_HOLE);
    if (!lost && (listener == NULL || tni_sim_choice_happens(TNI_SIM_REFUSE))) {
        end_attempt(self, ECONNREFUSED);
        return;
    }
    if (!lost && !is_full(listener) && !tni_sim_choice_happens(TNI_SIM_BACKLOG)) {
        end_attempt(self, enqueue(self, listener) ? 0 : ENOBUFS);
        return;
    }
    tni_sim_trace(TNI_SIM_TRACE_LOST, self->number, 0);
    tni_sim_time_set(&self->timer, tni_sim_time_ns() + (ATTEMPT_PAUSE_NS << self->attempts++), on_attempt);
}

static int connect_unix(tni_sim_socket *self)
{
    tni_sim_socket *listener = tni_sim_names_listener(&self->peer);

    if (listener == NULL && self->peer.path[0] != '\0' && tni_sim_names_path_number(&self->peer) == 0)
        return -ENOENT;
    if (listener == NULL || tni_sim_choice_happens(TNI_SIM_REFUSE))
        return -ECONNREFUSED;
    if (is_full(listener) || tni_sim_choice_happens(TNI_SIM_BACKLOG))
        return -EAGAIN;
    return enqueue(self, listener) ? 0 : -ENOMEM;
}

int tni_sim_socket_connect(tni_sim_socket *socket, const tni_sim_address *address)
{
    int rc;

    if (socket->state == TNI_SIM_SOCKET_CONNECTING)
        return -EALREADY;
    if (socket->state != TNI_SIM_SOCKET_FRESH)
        return -EISCONN;
    socket->peer = *address;
    if (socket->domain == AF_UNIX)
        return connect_unix(socket);
    rc = tni_sim_names_choose_source(socket);
    if (rc != 0)
        return rc;
    socket->state = TNI_SIM_SOCKET_CONNECTING;
    socket->attempts = 0;
    socket->link = tni_sim_link_of(&socket->peer);
    tni_sim_time_set(&socket->timer, tni_sim_time_ns() + 1 + tni_sim_link_latency_ns(socket->link), on_attempt);
    return -EINPROGRESS;
}

tni_sim_socket *tni_sim_socket_accept(tni_sim_socket *listener)
{
    tni_sim_socket *server = TAILQ_FIRST(&listener->backlog);

    if (server == NULL)
        return NULL;
    TAILQ_REMOVE(&listener->backlog, server, link_bound);
    listener->backlog_count--;
    return server;
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

void tni_sim_socket_stop_listening(tni_sim_socket *socket)
{
    tni_sim_socket *server;

    while ((server = tni_sim_socket_accept(socket)) != NULL) {
        tni_sim_socket_reset_other(server);
        tni_sim_socket_free(server);
    }
    if (socket->state == TNI_SIM_SOCKET_LISTENING)
        socket->state = TNI_SIM_SOCKET_FRESH;
    changed(socket);
}

/* A close with unread bytes is a reset. A fault may keep the peer from learning anything. */
static void tell_other(tni_sim_socket *self)
{
    if (self->other == NULL)
        return;
    if (self->domain != AF_UNIX && tni_sim_choice_happens(TNI_SIM_HALF_OPEN))
        self->other->vanished = true;
    else if (self->in.total > 0)
        tni_sim_socket_reset_other(self);
    else if (!self->write_shut && self->state == TNI_SIM_SOCKET_CONNECTED)
        tni_sim_socket_send_end(self);
    self->other->other = NULL;
    if (self->other->blocked)
        changed(self->other);
}

void tni_sim_socket_free(tni_sim_socket *socket)
{
    if (socket->state == TNI_SIM_SOCKET_LISTENING)
        tni_sim_socket_stop_listening(socket);
    tni_sim_names_unbind(socket);
    tell_other(socket);
    tni_sim_time_clear(&socket->timer);
    tni_sim_time_clear(&socket->no_room);
    tni_sim_pipe_fini(&socket->in);
    free(socket);
}
