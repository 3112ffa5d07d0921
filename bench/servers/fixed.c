/* SPDX-License-Identifier: MIT */
#include "fixed.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tcp_listen.h"

static char answers[FIXED_REQUESTS_MAX * FIXED_ANSWER_SIZE];
const char *fixed_answers = answers;

size_t fixed_count_requests(unsigned *matched, const char *data, size_t size)
{
    static const char end[] = "\r\n\r\n";
    unsigned at = *matched;
    size_t count = 0;

    for (size_t i = 0; i < size; i++) {
        at = data[i] == end[at] ? at + 1 : data[i] == '\r' ? 1 : 0;
        if (at == sizeof end - 1) {
            at = 0;
            count++;
        }
    }
    *matched = at;
    return count;
}

_Noreturn static void usage(const char *name)
{
    fprintf(stderr, "usage: %s [--port N] [--workers N] [--block sleep|declared|busy|some] [--buffer held|none]\n", name);
    exit(2);
}

static unsigned parse_number(const char *name, const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > max)
        usage(name);
    return (unsigned)value;
}

/* Which of the words, which end with NULL. */
static unsigned parse_word(const char *name, const char *text, const char *const words[])
{
    for (unsigned i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    usage(name);
}

static const char *const buffers[] = {"none", "held", NULL};
static const char *const blocks[] = {"sleep", "declared", "busy", "some", NULL}; /* in the order of fixed_block */

fixed_options fixed_parse(const char *name, int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"workers", required_argument, NULL, 'w'},
        {"block", required_argument, NULL, 'b'},
        {"buffer", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    fixed_options options = {.name = name, .port = 8080, .workers = 2, .block = FIXED_BLOCK_NEVER, .held_buffer = true};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'p':
            options.port = parse_number(name, optarg, 65535);
            break;
        case 'w':
            options.workers = parse_number(name, optarg, 1024);
            break;
        case 'b':
            options.block = (enum fixed_block)(FIXED_BLOCK_SLEEP + parse_word(name, optarg, blocks));
            break;
        case 'k':
            options.held_buffer = parse_word(name, optarg, buffers) == 1;
            break;
        default:
            usage(name);
        }
    }
    if (optind < argc || options.workers == 0)
        usage(name);
    for (size_t i = 0; i < FIXED_REQUESTS_MAX; i++)
        memcpy(answers + i * FIXED_ANSWER_SIZE, FIXED_ANSWER, FIXED_ANSWER_SIZE);
    return options;
}

int fixed_listen(const fixed_options *options)
{
    server_options listen = {.name = options->name, .port = options->port};

    return tcp_listen(&listen);
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_in_thread(long ms)
{
    struct timespec length = {.tv_nsec = ms * 1000000L};

    while (nanosleep(&length, &length) != 0)
        ;
}

bool fixed_has_blocking_tasks(const fixed_options *options)
{
    return options->block != FIXED_BLOCK_NEVER && options->block != FIXED_BLOCK_SOME;
}

void fixed_block_for(size_t count)
{
    static atomic_ulong requests;

    for (size_t i = 0; i < count; i++)
        if (atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) % FIXED_SOME == 0)
            sleep_in_thread(FIXED_SOME_MS);
}

void fixed_block_thread(enum fixed_block block)
{
    long until = now_ms() + FIXED_BLOCK_MS;

    if (block != FIXED_BLOCK_BUSY)
        sleep_in_thread(FIXED_BLOCK_MS);
    else
        while (now_ms() < until)
            ;
}
