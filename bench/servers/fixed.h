/* SPDX-License-Identifier: MIT */
/* What the benchmark servers share: the fixed answer, the end of a request, the command line, and how a task blocks its thread.
 *
 * No parser: a request ends with an empty line, and each gets the same answer. The peers in bench/peers/ do the same, byte by
 * byte, so that a comparison compares how servers wait. */
#ifndef FIXED_H
#define FIXED_H

#include <stdbool.h>
#include <stddef.h>

enum {
    FIXED_READ_SIZE = 4096,  /* what a server reads at once */
    FIXED_REQUESTS_MAX = 64, /* answered by one write */
    FIXED_BLOCK_MS = 100,    /* a blocking task blocks as long, then rests as long */
    FIXED_SOME_MS = 20,      /* a request that blocks does so as long */
    FIXED_SOME = 100,        /* one request of as many blocks */
};

#define FIXED_ANSWER "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n"
#define FIXED_ANSWER_SIZE (sizeof FIXED_ANSWER - 1)

/* The answer, FIXED_REQUESTS_MAX times. */
extern const char *fixed_answers;

/* How many requests end in `data`; `matched`: how much of an end the bytes before it were, 0 at first. */
size_t fixed_count_requests(unsigned *matched, const char *data, size_t size);

enum fixed_block {
    FIXED_BLOCK_NEVER,
    FIXED_BLOCK_SLEEP,    /* as many tasks as workers block their thread half of the time */
    FIXED_BLOCK_DECLARED, /* the same, and they declare it to the runtime, if it has a call for that */
    FIXED_BLOCK_BUSY,     /* the same, by a busy loop */
    FIXED_BLOCK_SOME,     /* no such tasks: the handler blocks its thread in one request of FIXED_SOME */
};

typedef struct {
    const char *name;
    unsigned port;
    unsigned workers;
    enum fixed_block block;
    bool held_buffer; /* a connection keeps its buffer while it waits */
} fixed_options;

/* Reads --port, --workers, --block and --buffer; ends the program with a message on nonsense. */
fixed_options fixed_parse(const char *name, int argc, char **argv);

/* A listening socket on 127.0.0.1, announced on stderr. */
int fixed_listen(const fixed_options *options);

/* Whether there are tasks that block. */
bool fixed_has_blocking_tasks(const fixed_options *options);

/* For the following: some requests block. */
void fixed_block_for(size_t count);

/* In the handler of `count` requests: blocks the calling thread for each one that blocks, by sleep(3)'s system call. Inline:
 * where none does, it is one branch. */
static inline void fixed_block_some(const fixed_options *options, size_t count)
{
    if (options->block == FIXED_BLOCK_SOME)
        fixed_block_for(count);
}

/* Blocks the calling thread for FIXED_BLOCK_MS, by sleep(3)'s system call or by a busy loop. */
void fixed_block_thread(enum fixed_block block);

#endif
