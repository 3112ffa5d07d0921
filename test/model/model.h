/* SPDX-License-Identifier: MIT */
/* The interface for scenarios of the model checker. README.md shows one. */
#ifndef TN_MODEL_H
#define TN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_SCENARIO_THREADS 6

struct tn_runtime;

/* A scenario: `setup` runs first, then `threads` run in every order that the bound allows, then `finish`. All get the same
 * zeroed state of `state_bytes`. The threads see everything that setup wrote, and finish sees everything that the threads
 * wrote. A scenario file ends with the table model_scenarios, closed by an empty entry. */
typedef struct {
    const char *name; /* FILE.NAME, where FILE.c is the source */
    size_t state_bytes;
    void (*setup)(void *state); /* or NULL */
    void (*threads[MODEL_SCENARIO_THREADS])(void *state);
    void (*finish)(void *state); /* or NULL */
    const char *expect;          /* NULL: must hold; otherwise the kind of failure that must be found */
    unsigned bound;              /* preemptions, unless the command line has a bound; 0: 2 */
    bool no_preemptions;         /* a bound of 0 */
    bool symmetric;              /* membarrier is not available: light fences are full ones */
    bool denied;                 /* membarrier is available at first, and then refused: heavy fences fail */
    bool asleep;                 /* the kernel reports that every thread sleeps */
    bool no_chance;              /* futexes return only when woken or at their deadline */
} model_scenario;

extern const model_scenario model_scenarios[];

/* An assertion of the scenario. */
#define model_check(condition) model_check_at((condition), #condition, __FILE__, __LINE__)
void model_check_at(bool holds, const char *text, const char *file, int line);

/* Names `bytes` at `ptr` in the printed interleaving. */
void model_name(const void *ptr, size_t bytes, const char *name);
#define model_name_of(object) model_name(&(object), sizeof(object), #object)

/* Allocates zeroed memory that the checker tracks; frees it. */
void *model_alloc(size_t bytes, size_t align_bytes);
void model_free(void *ptr);

/* Returns one of 0..count-1: all are tried. */
unsigned model_choose(unsigned count);

/* Waits until the newest value of a word of four bytes differs from `from`: a spin that the search does not have to try at
 * each step. It orders no memory, and a load after it may still read an old value. */
void model_until_changed(const void *word, uint32_t from);

/* Returns the number of the running thread of the scenario: 1 for threads[0], 0 in setup and finish. */
unsigned model_self(void);

/* For a setup without workers: all threads count as workers of the runtime (NULL: of none), so no wake comes from outside. */
void model_be_workers_of(const struct tn_runtime *runtime);

/* Advances the clock. */
void model_time_passes(uint64_t ns);

/* From now on `count` more threads can be started; the next start fails. Initially there is no limit. */
void model_threads_left(unsigned count);

/* Adds to the set of outcomes that the search prints (--outcomes) and compares (--compare). */
void model_outcome(uint64_t outcome);

/* Gets the lines of the log, on the thread that writes them; NULL: they are dropped. Set by setup. */
extern void (*model_log)(const char *line);

/* Selects one of many programs that a scenario can be: --compare counts it up. */
extern uint64_t model_seed;

/* --- The world outside (os_loop_model.c, os_socket_model.c) --- */

/* Events occur on `fd`: the loop that watches it will report them. */
void model_fire(int fd, uint32_t events);
/* Opens a file; returns the lowest number that is free. */
int model_fd_open(void);
bool model_fd_is_open(int fd);
/* Whether events have occurred on it. */
bool model_fd_is_ready(int fd);
/* A copy of the descriptor is open elsewhere, so the file lives on when `fd` is closed. Returns the copy. */
unsigned model_fd_copy(int fd);
/* Events occur on the file of a copy. */
void model_fire_copy(unsigned copy, uint32_t events);
/* From now on a loop that starts to watch `fd` fails with this negative errno value. */
void model_fd_refuse(int fd, int error);

/* A client outside connects to the socket `listener`, or (-1) to a socket that is open at once. Returns the client. */
int model_connect(int listener);
/* Returns the file at this end; -1: closed, or not accepted yet. */
int model_client_fd(int client);
void model_client_send(int client, char byte);
/* Returns a byte; -1: the end; -2: nothing has arrived. A client has a buffer of one byte. */
int model_client_receive(int client);
/* The client sends no more. */
void model_client_end(int client);
/* An entry in the error queue of the client's socket here: reported like an error, though the socket is healthy. */
void model_client_error_queue(int client);

#endif
