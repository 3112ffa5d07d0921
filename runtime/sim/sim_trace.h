/* SPDX-License-Identifier: MIT */
/* The trace of a run: what each thread did, in order. It holds numbers of threads, files and steps, never addresses, so two
 * runs of one seed have the same trace. Only a digest of it is kept, unless it is printed. */
#ifndef TNI_SIM_TRACE_H
#define TNI_SIM_TRACE_H

#include "base/defs.h"

/* The text may contain %lld twice: `a` and `b`. */
#define TNI_SIM_TRACE_TEXTS(X) \
    X(CONTINUE, "continues") \
    X(START, "starts thread %lld") \
    X(END, "ends") \
    X(JOIN, "joins thread %lld") \
    X(SLEEP, "sleeps in %s") \
    X(WOKEN, "is woken") \
    X(TIMEOUT, "has slept until the deadline") \
    X(STALLED, "loses its processor for %lld ns") \
    X(LOCK, "waits for a lock that thread %lld holds") \
    X(FUTEX_WAKE, "wakes %lld of %lld threads at a futex") \
    X(LOOP_RUN, "runs loop %lld, which reports %lld polls") \
    X(LOOP_FETCH, "fetches %lld events from loop %lld") \
    X(LOOP_WAKE, "wakes loop %lld") \
    X(POLL_OPEN, "loop %lld watches file %lld") \
    X(POLL_CLOSE, "loop %lld watches file %lld no more") \
    X(BORROWED_ARM, "arms borrowed file %lld for %lld") \
    X(BORROWED_REMOVE, "removes borrowed file %lld: %lld") \
    X(BORROWED_FETCH, "fetches %lld borrowed files") \
    X(EVENT_OPEN, "opens event %lld") \
    X(EVENT_POST, "posts event %lld") \
    X(SOCKET, "opens socket %lld") \
    X(BIND, "binds file %lld to port %lld") \
    X(LISTEN, "file %lld listens, backlog %lld") \
    X(CONNECT, "file %lld connects: %lld") \
    X(ACCEPT, "accepts at file %lld: %lld") \
    X(RECV, "receives from file %lld: %lld") \
    X(SEND, "sends to file %lld: %lld") \
    X(SHUTDOWN, "shuts file %lld down: %lld") \
    X(CLOSE, "closes file %lld") \
    X(ARRIVE, "connection %lld: %lld bytes arrive") \
    X(ARRIVE_END, "connection %lld: the end arrives") \
    X(ARRIVE_RESET, "connection %lld: a reset arrives") \
    X(CONNECTED, "connection %lld is established: %lld") \
    X(LOST, "connection %lld: a segment is lost") \
    X(RESOLVE, "resolves a name: %lld") \
    X(MAP, "maps %lld bytes: %lld") \
    X(THREAD_FAIL, "cannot start a thread: %lld") \
    X(FAULT, "fault: %s %lld") \
    X(CHOOSE, "the program chooses %lld of %lld") \
    X(NOTE, "note: %s")

typedef enum {
#define TNI_SIM_ENUM(name, text) TNI_SIM_TRACE_##name,
    TNI_SIM_TRACE_TEXTS(TNI_SIM_ENUM)
#undef TNI_SIM_ENUM
} tni_sim_trace_what;

/* `print`: prints each event to stderr. `stop_at`: raises SIGTRAP at the event with this number; 0: never. */
void tni_sim_trace_begin(bool print, uint64_t stop_at);

void tni_sim_trace(tni_sim_trace_what what, int64_t a, int64_t b);
/* For the texts with %s. */
void tni_sim_trace_note(tni_sim_trace_what what, const char *text, int64_t a);

uint64_t tni_sim_trace_digest(void);
uint64_t tni_sim_trace_count(void);

#endif
