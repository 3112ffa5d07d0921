/* SPDX-License-Identifier: MIT */
/* What it costs to read lines and frames by a tn_reader, beside a loop written by hand.
 *
 * One task writes to one end of a Unix socket pair, by a plain system call, and reads from the other end. `many`: 2048 lines or
 * frames per write. `each`: one, as a client sends it that waits for the reply. Nothing waits: what is counted is reading. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"
#include "micro_cases.h"

enum { PIECE = 32, MANY = 2048, BUFFER = 16384, PREFIX = 4 };

typedef struct {
    tn_stream *stream;
    int peer;
    bool frames;
    char block[MANY * PIECE];
} source;

static source *source_open(bool frames)
{
    source *s = calloc(1, sizeof *s);
    int fds[2];

    measure_check(s != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    measure_check(tn_stream_open(NULL, &s->stream, fds[0]) == 0);
    s->peer = fds[1];
    s->frames = frames;
    memset(s->block, 'x', sizeof s->block);
    for (size_t at = 0; at < sizeof s->block; at += PIECE) {
        if (frames)
            memcpy(s->block + at, "\0\0\0\x1c", PREFIX);
        else
            s->block[at + PIECE - 1] = '\n';
    }
    return s;
}

static void source_close(source *s)
{
    tn_stream_close(s->stream);
    (void)close(s->peer);
    free(s);
}

static void source_send(const source *s, size_t pieces)
{
    measure_check(write(s->peer, s->block, pieces * PIECE) == (ssize_t)(pieces * PIECE));
}

/* --- By tn_reader --------------------------------------------------------------------------------------------------------- */

static void by_reader(const source *s, long times, long pieces)
{
    tn_reader reader;
    tn_bytes bytes;

    measure_check(tn_reader_init(&reader, tn_stream_io(s->stream), NULL) == 0);
    for (long i = 0; i < times; i++) {
        if (i % pieces == 0)
            source_send(s, (size_t)pieces);
        if (s->frames)
            measure_check(tn_reader_frame(&reader, &bytes, TN_FRAME_32_BE, 1024) == 1 && bytes.size == PIECE - PREFIX);
        else
            measure_check(tn_reader_line(&reader, &bytes, 1024) == 1 && bytes.size == PIECE - 1);
    }
    tn_reader_fini(&reader);
}

/* --- By hand: a buffer of the connection, which is never given back ------------------------------------------------------- */

typedef struct {
    size_t begin, end;
    char bytes[BUFFER];
} hand;

/* Reads more behind what is in the buffer. */
static void hand_fill(hand *h, tn_stream *stream)
{
    ssize_t n;

    memmove(h->bytes, h->bytes + h->begin, h->end - h->begin);
    h->end -= h->begin;
    h->begin = 0;
    measure_check(h->end < BUFFER); /* a longer line or frame would be refused */
    n = tn_read(stream, h->bytes + h->end, BUFFER - h->end);
    measure_check(n > 0);
    h->end += (size_t)n;
}

static size_t hand_line(hand *h, tn_stream *stream, const char **line)
{
    size_t searched = 0;
    const char *found = NULL;

    while (h->end == h->begin + searched ||
           (found = memchr(h->bytes + h->begin + searched, '\n', h->end - h->begin - searched)) == NULL) {
        searched = h->end - h->begin;
        hand_fill(h, stream);
    }
    *line = h->bytes + h->begin;
    h->begin = (size_t)(found - h->bytes) + 1;
    return found > *line && found[-1] == '\r' ? (size_t)(found - *line) - 1 : (size_t)(found - *line);
}

static size_t hand_frame(hand *h, tn_stream *stream, const char **frame)
{
    const unsigned char *prefix;
    size_t size;

    while (h->end - h->begin < PREFIX)
        hand_fill(h, stream);
    prefix = (const unsigned char *)h->bytes + h->begin;
    size = (size_t)prefix[0] << 24 | (size_t)prefix[1] << 16 | (size_t)prefix[2] << 8 | prefix[3];
    measure_check(size <= 1024);
    while (h->end - h->begin < PREFIX + size)
        hand_fill(h, stream);
    *frame = h->bytes + h->begin + PREFIX;
    h->begin += PREFIX + size;
    return size;
}

static void by_hand(const source *s, long times, long pieces)
{
    hand *h = calloc(1, sizeof *h);
    const char *bytes;

    measure_check(h != NULL);
    for (long i = 0; i < times; i++) {
        if (i % pieces == 0)
            source_send(s, (size_t)pieces);
        if (s->frames)
            measure_check(hand_frame(h, s->stream, &bytes) == PIECE - PREFIX && *bytes == 'x');
        else
            measure_check(hand_line(h, s->stream, &bytes) == PIECE - 1 && *bytes == 'x');
    }
    free(h);
}

/* --- tn_io beside tn_stream ----------------------------------------------------------------------------------------------- */

static void by_io(const source *s, long times, long pieces)
{
    tn_io io = tn_stream_io(s->stream);
    char buf[PIECE];

    for (long i = 0; i < times; i++) {
        if (i % pieces == 0)
            source_send(s, (size_t)pieces);
        measure_check(tn_io_read(io, buf, sizeof buf) == PIECE);
    }
}

static void by_stream(const source *s, long times, long pieces)
{
    char buf[PIECE];

    for (long i = 0; i < times; i++) {
        if (i % pieces == 0)
            source_send(s, (size_t)pieces);
        measure_check(tn_read(s->stream, buf, sizeof buf) == PIECE);
    }
}

/* --- Cases ---------------------------------------------------------------------------------------------------------------- */

/* What a case reads, and how. */
typedef struct {
    const char *name;
    const char *unit;
    void (*read)(const source *s, long times, long pieces);
    bool frames;
    long pieces; /* that are sent at once */
    long blocks; /* of MANY pieces, that are read in all */
} reading;

static const reading readings[] = {
    {"read_lines", "ns/line", by_reader, false, MANY, 5000},   {"read_lines_hand", "ns/line", by_hand, false, MANY, 5000},
    {"read_lines_each", "ns/line", by_reader, false, 1, 500},  {"read_lines_each_hand", "ns/line", by_hand, false, 1, 500},
    {"read_frames", "ns/frame", by_reader, true, MANY, 5000},  {"read_frames_hand", "ns/frame", by_hand, true, MANY, 5000},
    {"read_frames_each", "ns/frame", by_reader, true, 1, 500}, {"read_frames_each_hand", "ns/frame", by_hand, true, 1, 500},
    {"io_read", "ns/read", by_io, false, MANY, 500},           {"io_read_stream", "ns/read", by_stream, false, MANY, 500},
};

static const reading *measured; /* the one that runs */

static void *read_all(void *arg)
{
    source *s = source_open(measured->frames);

    measured->read(s, *(long *)arg, measured->pieces);
    source_close(s);
    return NULL;
}

void micro_reading(const micro_settings *settings)
{
    micro_loop loop = {
        .entry = read_all,
        .quick_times = 10L * MANY, /* times are a multiple of MANY, so that all that was written is read */
        .warm_times = 2L * MANY,
        .operations = 1,
    };

    measured = readings;
    while (strcmp(measured->name, settings->name) != 0)
        measured++;
    loop.name = measured->name;
    loop.unit = measured->unit;
    loop.times = measured->blocks * MANY;
    micro_measure_loop(settings, &loop);
}
