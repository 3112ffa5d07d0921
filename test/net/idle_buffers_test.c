/* SPDX-License-Identifier: MIT */
/* Ten thousand idle connections hold no buffer: their readers and writers take one from the core while bytes are in it. */
/* ctest: timeout=180 */
#include <stdlib.h>
#include <string.h>

#include <tn.h>

#include "base/config.h"
#include "support/allocator.h"
#include "support/runtime.h"

enum { CONNECTIONS = 10000, BUFFER = 16384 };

typedef struct connection {
    tn_io ends[2]; /* 0: the client's */
    struct scene *scene;
} connection;

typedef struct scene {
    tt_allocator allocator; /* the runtime's, and so that of the buffers */
    connection *connections;
    unsigned count;
    tn_runtime *runtime;
    atomic_uint waits; /* of servers that found nothing to read */
    unsigned expected;
} scene;

static ssize_t server_read(void *object, void *buf, size_t size)
{
    return tn_io_read(((connection *)object)->ends[1], buf, size);
}

static ssize_t server_write(void *object, const void *buf, size_t size)
{
    return tn_io_write(((connection *)object)->ends[1], buf, size);
}

static int server_wait(void *object, tn_direction direction)
{
    connection *c = object;

    atomic_fetch_add(&c->scene->waits, 1);
    return tn_io_wait(c->ends[1], direction);
}

static const tn_io_ops server_ops = {.size = sizeof server_ops, .read = server_read, .write = server_write, .wait = server_wait};

/* Sends each line back. */
static void *serve(void *arg)
{
    tn_io io = {&server_ops, arg};
    tn_reader reader;
    tn_writer writer;
    tn_bytes line;

    tt_check_eq(tn_reader_init(&reader, io, NULL), 0);
    tt_check_eq(tn_writer_init(&writer, io, NULL), 0);
    while (tn_reader_line(&reader, &line, 100) == 1) {
        tt_check_eq(tn_writer_printf(&writer, "%.*s\n", (int)line.size, line.data), 0);
        tt_check_eq(tn_writer_flush(&writer), 0);
    }
    tn_reader_fini(&reader);
    tn_writer_fini(&writer);
    return NULL;
}

static bool all_wait(void *arg)
{
    scene *s = arg;

    return atomic_load(&s->waits) == s->expected;
}

/* Each connection gets a line and returns it; then all wait again. */
static void echo_once(scene *s)
{
    char back[16];

    s->expected += s->count;
    for (unsigned i = 0; i < s->count; i++)
        tt_check_eq(tn_io_write_all(s->connections[i].ends[0], "hello\n", 6), 0);
    for (unsigned i = 0; i < s->count; i++) {
        size_t done = 0;
        tt_check_eq(tn_io_read_exact(s->connections[i].ends[0], back, 6, &done), 0);
        tt_check(memcmp(back, "hello\n", 6) == 0);
    }
    cr_assert(tt_wait_until(all_wait, s, 60 * TN_S));
}

static void open_all(scene *s)
{
    tn_duplex_options duplex = tn_duplex_options_default();
    tn_options options = tt_options();

    tt_allocator_init(&s->allocator);
    options.allocator = &s->allocator.as_option;
    options.trim_interval_ns = UINT64_MAX; /* what is counted is what is cached at most */
    cr_assert_eq(tn_runtime_create(&s->runtime, &options), 0);
    duplex.capacity = 64;
    s->connections = calloc(s->count, sizeof *s->connections);
    for (unsigned i = 0; i < s->count; i++) {
        s->connections[i].scene = s;
        cr_assert_eq(tn_duplex_open(s->connections[i].ends, &duplex), 0);
        tt_check_eq(tn_spawn_on(s->runtime, NULL, NULL, serve, &s->connections[i]), 0);
    }
    s->expected = s->count;
    cr_assert(tt_wait_until(all_wait, s, 60 * TN_S));
}

static void close_all(scene *s)
{
    for (unsigned i = 0; i < s->count; i++)
        cr_assert_eq(tn_io_close_write(s->connections[i].ends[0]), 0);
    tt_runtime_destroy(s->runtime);
    for (unsigned i = 0; i < s->count; i++) {
        tn_io_close(s->connections[i].ends[0]);
        tn_io_close(s->connections[i].ends[1]);
    }
    free(s->connections);
    cr_assert_eq(atomic_load(&s->allocator.blocks), 0);
}

Test(idle_buffers, idle_connections_hold_none)
{
    static scene s;
    long before, calls, cached;

    s.count = (unsigned)tt_scaled(CONNECTIONS);
    open_all(&s);
    cached = (long)tn_runtime_workers(s.runtime) * TNI_BLOCKS_MAX;
    before = atomic_load(&s.allocator.bytes);
    calls = atomic_load(&s.allocator.calls);
    echo_once(&s);
    cr_assert_leq(atomic_load(&s.allocator.bytes) - before, cached * BUFFER);
    echo_once(&s);
    cr_assert_leq(atomic_load(&s.allocator.bytes) - before, cached * BUFFER);
    /* The second time the blocks of the cores were enough, except that tasks move between cores. */
    cr_assert_leq(atomic_load(&s.allocator.calls) - calls, cached * 2);
    close_all(&s);
}
