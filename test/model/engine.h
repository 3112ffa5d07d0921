/* SPDX-License-Identifier: MIT */
/* The parts of the checker, as they see each other. Everything here is plain single-threaded C: the threads of a scenario are
 * fibers, and the only one that runs is engine.self. */
#ifndef TN_MODEL_ENGINE_H
#define TN_MODEL_ENGINE_H

#include "model.h"
#include "thread_model.h"

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
    OP_OBJECT, /* some other object changes: futex queue, loop, mutex unlock */
    OP_CHANGE, /* waits for a word to change: enabled while its newest value is another */
    OP_WAKEUP, /* a sleeper goes on: enabled once woken, or by its deadline */
    OP_JOIN,   /* enabled once that thread has ended */
    OP_ALL,    /* enabled once all other threads have ended */
    OP_YIELD,  /* enabled always; then not again until another thread has stepped */
    OP_START,
} model_op_kind;

typedef struct {
    model_op_kind kind;
    bool seq_cst;       /* an access that takes part in the order of the fences */
    const void *object; /* what it is about: address of the word or object */
} model_op;

/* Enters a visible operation: other threads may go first. Returns when it is this one's turn. */
void search_visible(model_op op);
/* A choice between 0..count-1 that is not one between threads; 0 is tried first. */
unsigned search_value(unsigned count);
/* The running thread has ended: another one goes on. Does not return unless that is impossible. */
void search_thread_ended(void);
/* Before an execution. */
void search_execution_begin(void);
/* After one: false when all has been tried. */
bool search_next(void);
void search_init(unsigned bound, bool reduce);
unsigned search_deepest(void);
/* The token of the execution that has just ended, and the other way round. */
const char *search_token(void);
bool search_follow(const char *token);

/* --- Threads (threads.c) --- */

typedef struct {
    void *sp;
    bool exists;
    bool ended;
    bool yielded;         /* spins: nobody has stepped since */
    bool woken;           /* OP_WAKEUP */
    bool may_wake_itself; /* OP_WAKEUP: spurious returns are allowed */
    uint64_t deadline_ns; /* OP_WAKEUP */
    uint32_t unwanted;    /* OP_CHANGE: the value that it waits to go */
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
    unsigned threads_left; /* tni_thread_start succeeds so often */
    bool running;          /* inside an execution */
    bool tracing;          /* inside a replay that is to be printed */
    bool reduce;           /* leave out what cannot make a difference */
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
/* Runs one execution; engine.failure says how it went. */
void model_execute(void);
/* A thread of the model; -1: there are too many. */
int model_thread_new(void (*entry)(void *arg), void *arg, const char *name);
void model_thread_switch(unsigned to);
_Noreturn void model_execution_over(void);

/* --- Memory model (memory.c) --- */

void memory_reset(void);
void memory_init(void *word, unsigned bytes, uint64_t value);
uint64_t memory_load(const void *word, unsigned bytes, tni_order order, const void *pc);
void memory_store(void *word, unsigned bytes, uint64_t value, tni_order order, const void *pc);
/* Reads, and writes desired(old, operand) unless it is a compare-and-swap whose expected value is not found. Answers what was
 * read. */
typedef enum { RMW_EXCHANGE, RMW_ADD, RMW_SUB, RMW_OR, RMW_AND, RMW_CAS } model_rmw;
uint64_t memory_rmw(void *word, unsigned bytes, model_rmw how, uint64_t operand, uint64_t expected, tni_order order,
                    const void *pc);
/* The newest value in modification order, without being an access of anyone. */
uint64_t memory_newest(const void *word, unsigned bytes);
void memory_fence(const void *pc);
void memory_fence_everywhere(const void *pc);
/* Everything that `from` has done happens before what `to` does next. */
void memory_thread_edge(unsigned from, unsigned to);
/* A place to leave what the running thread knows (unlock), and where another takes it up (lock). */
void memory_publish(const void *object);
void memory_observe(const void *object);
/* The running thread spins or sleeps: what it reads again after this is not stale for ever. */
void memory_pauses(void);
/* The bytes were written by a plain access or freed: an atomic word there begins anew. */
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
/* Writes what `ptr` is into `text`. */
void arena_describe(const void *ptr, char *text, size_t size);
/* The running thread touches tracked memory that has to be alive; answers the thread that allocated it, and when. */
typedef struct {
    unsigned thread;
    uint16_t clock;
} arena_birth;
arena_birth arena_touch(const void *ptr, size_t bytes, const void *pc);

typedef enum { RACE_READ, RACE_WRITE, RACE_ATOMIC_READ, RACE_ATOMIC_WRITE } race_kind;
void race_reset(void);
void race_access(const void *ptr, size_t bytes, race_kind kind, const void *pc);
/* Nobody may be using the bytes any more. */
void race_free(const void *ptr, size_t bytes, const void *pc);

/* --- Doors that keep state --- */
void door_loop_reset(void);
void door_socket_reset(void);
void door_local_reset(void);
void door_memory_reset(void);
void door_memory_check_leaks(void);

/* --- Files and sockets (os_loop_model.c, os_socket_model.c) --- */
/* Enters a visible operation on what the kernel has. */
void door_kernel(void);
/* The lowest number that is free; -1: none. */
int door_file_new(void);
/* Events happen: the loop that watches the file will report them. */
void door_file_event(int fd, uint32_t events);
uint32_t door_socket_ready(int fd);
void door_socket_closed(int fd);

/* --- The printed interleaving (trace.c) --- */
void trace_reset(void);
void trace_add(const void *pc, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trace_print(void);
/* The place in the source of a return address; valid until the next call. */
const char *trace_place(const void *pc);

#define MODEL_PC __builtin_return_address(0)

#endif
