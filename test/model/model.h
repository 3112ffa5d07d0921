/* SPDX-License-Identifier: MIT */
/* What a scenario of the model checker is written with. README.md shows one. */
#ifndef TN_MODEL_H
#define TN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_SCENARIO_THREADS 6

/* A scenario: `setup` runs first, then `threads` run in every order that the bound allows, then `finish`. All get the same zeroed
 * state of `state_bytes`. Whatever setup wrote is seen by the threads, and whatever they wrote by finish. A scenario file ends
 * with the table model_scenarios, closed by an empty entry. */
typedef struct {
    const char *name; /* FILE.NAME, where FILE.c is the source */
    size_t state_bytes;
    void (*setup)(void *state); /* or NULL */
    void (*threads[MODEL_SCENARIO_THREADS])(void *state);
    void (*finish)(void *state); /* or NULL */
    const char *expect;          /* NULL: must hold; else the kind of failure that has to be found */
    unsigned bound;              /* preemptions; 0: the caller's, 2 if he does not say */
    bool no_preemptions;         /* a bound of 0 */
    bool symmetric;              /* membarrier is not to be had: light fences are full ones */
    bool asleep;                 /* the kernel says of every thread that it waits for something */
    bool no_chance;              /* futexes return only when woken or when their time is up */
} model_scenario;

extern const model_scenario model_scenarios[];

/* A claim of the scenario. */
#define model_check(condition) model_check_at((condition), #condition, __FILE__, __LINE__)
void model_check_at(bool holds, const char *text, const char *file, int line);

/* Names `bytes` at `ptr` in the printed interleaving. */
void model_name(const void *ptr, size_t bytes, const char *name);
#define model_name_of(object) model_name(&(object), sizeof(object), #object)

/* Zeroed memory that the checker watches, and its end. */
void *model_alloc(size_t bytes, size_t align_bytes);
void model_free(void *ptr);

/* One of 0..count-1: all are tried. */
unsigned model_choose(unsigned count);

/* Waits until the newest value of a word of four bytes is another than `from`: a spin that the search need not try at each step.
 * It orders no memory, and what a load reads behind it may still be old. */
void model_until_changed(const void *word, uint32_t from);

/* Which thread of the scenario is running: 1 for threads[0], 0 in setup and finish. */
unsigned model_self(void);

/* The clock goes on. */
void model_time_passes(uint64_t ns);

/* So many more threads can be started from now on; the start of one more fails. In the beginning there is no limit. */
void model_threads_left(unsigned count);

/* Adds to the set of outcomes that the search prints (--outcomes) and compares (--compare). */
void model_outcome(uint64_t outcome);

/* Which of many programs a scenario is to be: --compare counts it up. */
extern uint64_t model_seed;

/* --- The world outside (os_loop_model.c, os_socket_model.c) --- */

/* Events happen on `fd`: the loop that watches it will report them. */
void model_fire(int fd, uint32_t events);
/* A new file number: the lowest that is free. */
int model_fd_open(void);
bool model_fd_is_open(int fd);
/* From now on a loop that is to watch `fd` answers with this negative errno value. */
void model_fd_refuse(int fd, int error);

/* A client outside connects to the socket `listener`, or (-1) to one that is open at once. Answers the client. */
int model_connect(int listener);
/* The file at this end; -1: closed, or not accepted yet. */
int model_client_fd(int client);
void model_client_send(int client, char byte);
/* A byte; -1: the end; -2: nothing is there. A client has room for one byte. */
int model_client_receive(int client);
/* The client sends no more. */
void model_client_end(int client);

#endif
