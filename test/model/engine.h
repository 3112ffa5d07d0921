/* SPDX-License-Identifier: MIT */
/* The interfaces between the checker's parts. Everything here is plain single-threaded C: the threads of a scenario are
 * fibers, and the only one that runs is engine.self. */
#ifndef TN_MODEL_ENGINE_H
#define TN_MODEL_ENGINE_H

#include "base/thread.h"
#include "model.h"

#define MODEL_THREADS 8
#define MODEL_LOCATIONS 1024
#define MODEL_STEPS_MAX 20000

/* A vector clock: per thread, how many of its visible operations happened before. */
typedef uint16_t model_clock __attribute__((vector_size(2 * MODEL_THREADS)));

/* --- Operations and choices (search.c) --- */

typedef enum {
    OP_READ,
    OP_WRITE,  /* also read-modify-write */
    OP_FENCE,  /* full */
    OP_HEAVY,  /* a full fence in every thread */
    OP_LOCK,   /* enabled while the mutex is free */
    OP_OBJECT, /* another object changes: futex queue, loop, mutex unlock */
    OP_CHANGE, /* waits for a word to change: enabled while its newest value is a different one */
    OP_WAKEUP, /* a sleeper continues: enabled once woken, or by its deadline */
    OP_JOIN,   /* enabled once that thread has ended */
    OP_ALL,    /* enabled once all other threads have ended */
    OP_YIELD,  /* always enabled; then not again until another thread has stepped */
    OP_START,
} model_op_kind;

typedef struct {
    model_op_kind kind;
    bool seq_cst;       /* an access that takes part in the order of the fences */
    const void *object; /* address of the word or object */
} model_op;

/* Enters a visible operation: other threads may go first. Returns when it is the calling thread's turn. */
void search_visible(model_op op);
/* A choice between 0..count-1 that is not a choice between threads; 0 is tried first. */
unsigned search_value(unsigned count);
/* The running thread has ended: another one continues. Does not return, unless no other thread can continue. */
void search_thread_ended(void);
/* Begins an execution. */
void search_execution_begin(void);
/* Ends an execution: returns false when all executions have been tried. */
bool search_next(void);
void search_init(unsigned bound, bool reduce);
unsigned search_deepest(void);
/* Returns the token of the execution that has just ended; makes the next execution follow a token. */
const char *search_token(void);
bool search_follow(const char *token);

/* --- Threads (threads.c) --- */

typedef struct {
    void *sp;
    bool exists;
    bool ended;
    bool yielded;             /* spins: no other thread has stepped since */
    bool woken;               /* OP_WAKEUP */
    bool may_wake_spuriously; /* OP_WAKEUP: spurious returns are allowed */
    uint64_t deadline_ns;     /* OP_WAKEUP */
    uint32_t changes_from;    /* OP_CHANGE: the value that it waits to see replaced */
    uint32_t yields_alone;
    model_op pending;
    unsigned pending_since; /* index of the step before which it became pending */
    void (*entry)(void *arg);
    void *arg;
    const char *name;
} model_thread;

typedef struct {
    model_thread threads[MODEL_THREADS];
    unsigned thread_count;
    unsigned self;
    unsigned threads_left; /* how many more calls of tni_thread_start succeed */
    bool running;          /* inside an execution */
    bool tracing;          /* inside a replay that will be printed */
    bool reduce;           /* skip executions that cannot make a difference */
    uint64_t now_ns;
    const model_scenario *scenario;
    void *state;
    const char *failure; /* kind; NULL: none */
    char message[1024];
} model_engine;

extern model_engine engine;

/* Ends the execution: kinds are race, use-after-free, double-free, leak, assertion, deadlock, livelock, crash. */
_Noreturn void model_fail(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void model_report_crashes(void);
/* Runs one execution; engine.failure is its result. */
void model_execute(void);
/* Creates a thread of the model; returns -1 if there are too many. */
int model_thread_new(void (*entry)(void *arg), void *arg, const char *name);
void model_thread_switch(unsigned to);
_Noreturn void model_execution_over(void);

/* --- Memory model (memory.c) --- */

void memory_reset(void);
void memory_init(void *word, unsigned bytes, uint64_t value);
uint64_t memory_load(const void *word, unsigned bytes, tni_order order, const void *pc);
void memory_store(void *word, unsigned bytes, uint64_t value, tni_order order, const void *pc);
/* Reads, and writes desired(old, operand) unless it is a compare-and-swap that does not find the expected value. Returns the
 * value read. */
typedef enum { RMW_EXCHANGE, RMW_ADD, RMW_SUB, RMW_OR, RMW_AND, RMW_CAS } model_rmw;
uint64_t memory_rmw(void *word, unsigned bytes, model_rmw how, uint64_t operand, uint64_t expected, tni_order order,
                    const void *pc);
/* Returns the newest value in modification order; this is no access of any thread. */
uint64_t memory_newest(const void *word, unsigned bytes);
void memory_fence(const void *pc);
void memory_fence_everywhere(const void *pc);
/* Everything that `from` has done happens before what `to` does next. */
void memory_thread_edge(unsigned from, unsigned to);
/* Stores what the running thread knows at `object` (unlock), and joins it into what another thread knows (lock). */
void memory_publish(const void *object);
void memory_observe(const void *object);
/* The running thread spins or sleeps: afterwards it does not read a stale value for ever. */
void memory_pauses(void);
/* The bytes were written by a plain access or freed: the history of an atomic word there starts again. */
void memory_forget(const void *ptr, size_t bytes);
model_clock memory_clock(void);

/* --- Tracked memory and plain accesses (arena.c, race.c) --- */

#define MODEL_ARENA_BYTES ((size_t)MODEL_THREADS << 20)
extern char model_arena[]; /* aligned to a megabyte */

void arena_reset(void);
void *arena_alloc(size_t bytes, size_t align_bytes, const void *pc);
void arena_free(void *ptr, const void *pc);
void arena_check_leaks(void);
bool arena_contains(const void *ptr);
/* Writes a description of `ptr` into `text`. */
void arena_describe(const void *ptr, char *text, size_t size);
/* The running thread accesses tracked memory, which must be allocated; returns the thread that allocated it, and when. */
typedef struct {
    unsigned thread;
    uint16_t clock;
} arena_origin;
arena_origin arena_touch(const void *ptr, size_t bytes, const void *pc);

typedef enum { RACE_READ, RACE_WRITE, RACE_ATOMIC_READ, RACE_ATOMIC_WRITE } race_kind;
void race_reset(void);
void race_access(const void *ptr, size_t bytes, race_kind kind, const void *pc);
/* No thread may still use the bytes. */
void race_free(const void *ptr, size_t bytes, const void *pc);

/* --- The models of the OS layer that keep state: begin again at each execution --- */
void os_loop_model_reset(void);
void os_borrowed_model_reset(void);
void os_socket_model_reset(void);
void os_tls_model_reset(void);
void os_memory_model_reset(void);
void os_memory_model_check_leaks(void);

/* --- Files and sockets (os_loop_model.c, os_socket_model.c) --- */
/* Enters a visible operation on the kernel's state. */
void model_kernel_step(void);
/* Opens a file; returns the lowest number that is free; -1: none. */
int model_file_new(void);
/* Events occur: the loop that watches the file will report them. */
void model_file_event(int fd, uint32_t events);
uint32_t model_socket_ready(int fd);
void model_socket_closed(int fd);

/* Files as os_borrowed_model.c knows them: the id of the open file with this number (0: none), and what a file is ready for. */
unsigned model_file_id(int fd);
uint32_t model_file_ready(unsigned id);
/* Something has become ready in this tni_os_loop: its sleep ends. */
void model_loop_event(const void *loop);
/* For os_loop_model.c: whether a descriptor in this tni_os_loop is ready; one may have become ready; a number is closed. */
bool model_borrowed_is_ready(const void *loop);
void model_borrowed_event(void);
void model_borrowed_closed(int fd, unsigned file);

/* --- The printed interleaving (trace.c) --- */
void trace_reset(void);
void trace_add(const void *pc, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trace_print(void);
/* Returns the place in the source of a return address; valid until the next call. */
const char *trace_place(const void *pc);

#define MODEL_PC __builtin_return_address(0)

#endif
