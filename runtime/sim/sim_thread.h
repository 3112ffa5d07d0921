/* SPDX-License-Identifier: MIT */
/* The threads of the simulated machine: contexts on one thread of the process, and the choice which one continues. */
#ifndef TNI_SIM_THREAD_H
#define TNI_SIM_THREAD_H

#include "base/tls.h"
#include "fiber/context.h"
#include "sim/sim_choice.h"
#include "sim/sim_time.h"

typedef enum { TNI_SIM_READY, TNI_SIM_ASLEEP, TNI_SIM_STARVED, TNI_SIM_ENDED } tni_sim_thread_state;

typedef struct tni_sim_thread tni_sim_thread;
struct tni_sim_thread {
    tni_tls tls;
    tni_context context;
    uint32_t id; /* 0: the thread that runs the program's function */
    tni_sim_thread_state state;
    uint32_t ready_at;    /* its place in the list of ready threads */
    char name[16];        /* "": none */
    const char *asleep;   /* what it sleeps in, a constant text */
    const void *object;   /* the word or the lock that it sleeps on */
    bool woken;           /* the last sleep was ended by a wake */
    bool stalled;         /* it does not sleep, but has no processor */
    tni_sim_event timer;  /* the deadline of its sleep */
    tni_sim_thread *next; /* the next one that sleeps on a futex or a lock */
    uint32_t clock_reads; /* since its last call */
    uint32_t spins;       /* in a row, without another thread to run */
    uint64_t cpu_ns;      /* virtual processor time */
    uint64_t since_ns;    /* when it continued */
    void *(*main)(void *);
    void *arg;
    void *result;
    tni_sim_thread *joiner;
    bool joined;      /* or detached: no other join is allowed */
    tni_stack *stack; /* NULL: that of the process */
};

/* Makes the caller thread 0. A thread that takes the name `starved` (NULL: none) gets no processor from its next sleep on, until
 * another thread joins it. */
void tni_sim_thread_begin(const char *starved);

tni_sim_thread *tni_sim_thread_self(void);
/* NULL: there is none. */
tni_sim_thread *tni_sim_thread_find(uint32_t id);
const char *tni_sim_thread_name_of(const tni_sim_thread *thread);

/* A call of the OS layer begins: time passes, and another thread may run before it takes effect. */
void tni_sim_thread_call(void);

/* The clock is read: a little time passes. A thread that reads it again and again waits for a time, so others run. */
void tni_sim_thread_clock(void);

/* The caller waits for others by spinning: another one continues, or time passes. */
void tni_sim_thread_spin(void);

/* Lets another thread continue, or the time pass if there is none and threads may lose their processors; for fine mode. */
void tni_sim_thread_preempt(void);

/* Sleeps until tni_sim_thread_wake or the deadline (TNI_FOREVER: none). Returns whether it was woken. */
bool tni_sim_thread_sleep(const char *what, const void *object, uint64_t deadline_ns);

/* No effect on a thread that does not sleep. */
void tni_sim_thread_wake(tni_sim_thread *thread);

/* NULL: no memory. */
tni_sim_thread *tni_sim_thread_start(void *(*main)(void *), void *arg);
void *tni_sim_thread_join(tni_sim_thread *thread);
/* It is never joined. */
void tni_sim_thread_detach(tni_sim_thread *thread);

/* Virtual processor time of the thread. */
uint64_t tni_sim_thread_cpu_ns(const tni_sim_thread *thread);

/* Prints where each thread sleeps, to stderr. */
void tni_sim_thread_print_all(void);

/* How many threads have neither ended nor been detached, thread 0 excepted. */
unsigned tni_sim_thread_left(void);

#endif
