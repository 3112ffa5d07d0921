/* SPDX-License-Identifier: MIT */
/* The simulated network: links, cuts, names, full buffers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn.h>
#include <tn/sim.h>

#include "support/runtime.h"

#define HOST "10.0.0.1"
#define ADDRESS HOST ":7000"

static tn_listener *listen_at(const char *address)
{
    tn_listener *listener;

    tt_check_eq(tn_tcp_listen(&listener, address, NULL), 0);
    return listener;
}

static void set_link(uint64_t latency_ns, uint64_t jitter_ns, uint64_t bytes_per_second)
{
    tn_sim_link link = tn_sim_link_default();

    link.latency_ns = latency_ns;
    link.jitter_ns = jitter_ns;
    link.bytes_per_second = bytes_per_second;
    tt_check_eq(tn_sim_set_link(HOST, &link), 0);
}

static tn_stream *connect_to(const char *address)
{
    tn_stream *stream;

    tt_check_eq(tn_tcp_connect(NULL, &stream, address), 0);
    return stream;
}

static tn_stream *accept_from(tn_listener *listener)
{
    tn_stream *stream;

    tt_check_eq(tn_accept(listener, &stream), 0);
    return stream;
}

/* Both ends of a new connection. */
static void connect_pair(tn_stream *ends[2])
{
    tn_listener *listener = listen_at(ADDRESS);

    ends[0] = connect_to(ADDRESS);
    ends[1] = accept_from(listener);
    tn_listener_close(listener);
}

static void close_pair(tn_stream *ends[2])
{
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
}

/* The time until one byte has gone from one end to the other. */
static uint64_t time_of_a_byte(tn_stream *from, tn_stream *to)
{
    uint64_t began_ns = tn_now();
    char byte = 'x';

    tt_check_eq(tn_write_all(from, &byte, 1), 0);
    byte = 0;
    tt_check_eq(tn_read(to, &byte, 1), 1);
    tt_check_eq(byte, 'x');
    return tn_now() - began_ns;
}

/* --- Links ------------------------------------------------------------------------------------------------------------------ */

/* Threads may lose their processors for up to 16 ms at a time, so only the least times are exact. */
static void *in_latency(void *arg)
{
    tn_stream *ends[2];
    uint64_t ns;

    set_link(300 * TN_MS, 0, 0);
    connect_pair(ends);
    for (int i = 0; i < 2; i++) {
        ns = time_of_a_byte(ends[i], ends[1 - i]);
        tt_check(ns >= 300 * TN_MS && ns < 900 * TN_MS);
    }
    set_link(0, 0, 0);
    tt_check(time_of_a_byte(ends[0], ends[1]) < 300 * TN_MS);
    close_pair(ends);
    return arg;
}

Test(network, latency)
{
    tt_run(in_latency, NULL);
}

static void *in_jitter(void *arg)
{
    tn_stream *ends[2];
    uint64_t least_ns = UINT64_MAX;
    uint64_t most_ns = 0;

    set_link(100 * TN_MS, 4 * TN_S, 0);
    connect_pair(ends);
    for (int i = 0; i < 16; i++) {
        uint64_t ns = time_of_a_byte(ends[0], ends[1]);
        least_ns = ns < least_ns ? ns : least_ns;
        most_ns = ns > most_ns ? ns : most_ns;
    }
    tt_check(least_ns >= 100 * TN_MS && most_ns - least_ns > TN_S);
    close_pair(ends);
    return arg;
}

Test(network, jitter)
{
    tt_run(in_jitter, NULL);
}

#define BULK ((size_t)50000)

static void *write_bulk(void *arg)
{
    char *bytes = malloc(BULK);

    tt_check(bytes != NULL);
    for (size_t i = 0; i < BULK; i++)
        bytes[i] = (char)(i * 7 % 251);
    tt_check_eq(tn_write_all(arg, bytes, BULK), 0);
    free(bytes);
    return NULL;
}

static void read_bulk(tn_stream *stream)
{
    char buf[1000];
    size_t got = 0;

    while (got < BULK) {
        ssize_t n = tn_read(stream, buf, sizeof buf);
        tt_check(n > 0);
        for (ssize_t i = 0; i < n; i++, got++)
            tt_check(buf[i] == (char)(got * 7 % 251));
    }
}

static void *in_bandwidth(void *arg)
{
    tn_stream *ends[2];
    uint64_t began_ns;
    tn_task *writer;

    set_link(0, 0, BULK / 10);
    connect_pair(ends);
    began_ns = tn_now();
    writer = tt_spawn(write_bulk, ends[0]);
    read_bulk(ends[1]);
    tt_check(tn_now() - began_ns >= 10 * TN_S && tn_now() - began_ns < 15 * TN_S);
    tt_join(writer);
    close_pair(ends);
    return arg;
}

Test(network, bandwidth)
{
    tt_run(in_bandwidth, NULL);
}

Test(network, links_that_are_refused)
{
    tn_sim_link link = tn_sim_link_default();
    char host[TN_ADDRESS_SIZE];
    int rc = 0;

    cr_assert_eq(tn_sim_set_link("nonsense", &link), TN_EINVAL);
    cr_assert_eq(tn_sim_set_link("10.0.0.1:80", &link), TN_EINVAL);
    cr_assert_eq(tn_sim_cut_link("nonsense", true), TN_EINVAL);
    link.jitter_ns = (uint64_t)UINT32_MAX + 1;
    cr_assert_eq(tn_sim_set_link(HOST, &link), TN_EINVAL);
    link = tn_sim_link_default();
    link.size = 1;
    cr_assert_eq(tn_sim_set_link(HOST, &link), TN_EINVAL);
    link = tn_sim_link_default();
    for (int i = 0; i < 256 && rc == 0; i++) {
        (void)snprintf(host, sizeof host, "10.1.0.%d", i);
        rc = tn_sim_set_link(host, &link);
    }
    cr_assert_eq(rc, TN_ENOMEM);
    cr_assert_eq(tn_sim_cut_link("10.2.0.1", true), TN_ENOMEM);
    cr_assert_eq(tn_sim_cut_link("10.1.0.1", true), 0);
}

/* --- Cuts ------------------------------------------------------------------------------------------------------------------- */

static void *in_connect_through_a_cut(void *arg)
{
    tn_listener *listener = listen_at(ADDRESS);
    tn_stream *stream;
    uint64_t began_ns = tn_now();

    set_link(TN_MS, 0, 0);
    tt_check_eq(tn_sim_cut_link(HOST, true), 0);
    tt_check_eq(tn_tcp_connect(NULL, &stream, ADDRESS), TN_ETIME);
    tt_check(tn_now() - began_ns >= 127 * TN_S && tn_now() - began_ns < 128 * TN_S);
    tn_listener_close(listener);
    return arg;
}

Test(network, a_cut_ends_an_attempt_to_connect_after_127_s)
{
    tt_run(in_connect_through_a_cut, NULL);
}

static void *heal_after_ten_seconds(void *arg)
{
    tt_check_eq(tn_sleep(10 * TN_S), 0);
    tt_check_eq(tn_sim_cut_link(HOST, false), 0);
    return arg;
}

/* The attempts are sent after 0, 1, 3, 7 and 15 s. */
static void *in_connect_that_is_healed(void *arg)
{
    tn_listener *listener = listen_at(ADDRESS);
    uint64_t began_ns = tn_now();
    tn_stream *ends[2];
    tn_task *healer;

    set_link(TN_MS, 0, 0);
    tt_check_eq(tn_sim_cut_link(HOST, true), 0);
    healer = tt_spawn(heal_after_ten_seconds, NULL);
    ends[0] = connect_to(ADDRESS);
    tt_check(tn_now() - began_ns >= 15 * TN_S && tn_now() - began_ns < 16 * TN_S);
    ends[1] = accept_from(listener);
    (void)time_of_a_byte(ends[0], ends[1]);
    tt_join(healer);
    close_pair(ends);
    tn_listener_close(listener);
    return arg;
}

Test(network, an_attempt_to_connect_outlives_a_short_cut)
{
    tt_run(in_connect_that_is_healed, NULL);
}

static void *in_cut_that_is_healed(void *arg)
{
    tn_stream *ends[2];
    tn_task *healer;
    uint64_t ns;

    set_link(TN_MS, 0, 0);
    connect_pair(ends);
    tt_check_eq(tn_sim_cut_link(HOST, true), 0);
    healer = tt_spawn(heal_after_ten_seconds, NULL);
    ns = time_of_a_byte(ends[0], ends[1]);
    tt_check(ns >= 10 * TN_S && ns < 30 * TN_S);
    tt_join(healer);
    (void)time_of_a_byte(ends[1], ends[0]);
    close_pair(ends);
    return arg;
}

Test(network, bytes_arrive_when_a_cut_is_healed)
{
    tt_run(in_cut_that_is_healed, NULL);
}

/* The end that has sent gives up; the other one learns nothing of it. */
static void *in_cut_for_good(void *arg)
{
    tn_stream *ends[2];
    uint64_t began_ns;
    tn_scope scope;
    char byte = 'x';

    set_link(TN_MS, 0, 0);
    connect_pair(ends);
    tt_check_eq(tn_sim_cut_link(HOST, true), 0);
    began_ns = tn_now();
    tt_check_eq(tn_write_all(ends[0], &byte, 1), 0);
    tt_check_eq(tn_read(ends[0], &byte, 1), TN_ETIME);
    tt_check(tn_now() - began_ns >= 15 * 60 * TN_S && tn_now() - began_ns < 16 * 60 * TN_S);
    tn_scope_enter_for(&scope, 3600 * TN_S);
    tt_check_eq(tn_read(ends[1], &byte, 1), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    close_pair(ends);
    return arg;
}

Test(network, a_connection_is_given_up_after_15_minutes)
{
    tt_run(in_cut_for_good, NULL);
}

/* --- Names ------------------------------------------------------------------------------------------------------------------ */

static void *in_names(void *arg)
{
    tn_listener *listener = listen_at(ADDRESS);
    tn_stream *ends[2];
    tn_stream *none;

    tt_check_eq(tn_sim_add_name("kitchen.example", HOST), 0);
    ends[0] = connect_to("kitchen.example:7000");
    ends[1] = accept_from(listener);
    (void)time_of_a_byte(ends[0], ends[1]);
    close_pair(ends);
    tt_check(tn_tcp_connect(NULL, &none, "cellar.example:7000") < 0);
    tn_listener_close(listener);
    return arg;
}

Test(network, names)
{
    tt_run(in_names, NULL);
}

/* No socket listens at the first address. */
static void *in_two_addresses(void *arg)
{
    tn_listener *listener = listen_at("10.0.0.2:7000");
    tn_stream *ends[2];

    tt_check_eq(tn_sim_add_name("kitchen.example", HOST), 0);
    tt_check_eq(tn_sim_add_name("kitchen.example", "10.0.0.2"), 0);
    ends[0] = connect_to("kitchen.example:7000");
    ends[1] = accept_from(listener);
    close_pair(ends);
    tn_listener_close(listener);
    return arg;
}

Test(network, names_with_two_addresses)
{
    tt_run(in_two_addresses, NULL);
}

static void *in_localhost(void *arg)
{
    tn_listener *listener;
    tn_stream *ends[2];

    tt_check_eq(tn_sim_add_name("kitchen.example", HOST), 0);
    listener = listen_at("127.0.0.1:7000");
    ends[0] = connect_to("localhost:7000");
    ends[1] = accept_from(listener);
    close_pair(ends);
    tn_listener_close(listener);
    return arg;
}

Test(network, localhost_is_known_beside_other_names)
{
    tt_run(in_localhost, NULL);
}

Test(network, names_that_are_refused)
{
    char name[65];
    int rc = 0;

    memset(name, 'a', sizeof name);
    name[64] = '\0';
    cr_assert_eq(tn_sim_add_name(name, HOST), TN_EINVAL);
    name[63] = '\0';
    cr_assert_eq(tn_sim_add_name(name, HOST), 0);
    cr_assert_eq(tn_sim_add_name("kitchen.example", "kitchen"), TN_EINVAL);
    for (int i = 0; i < 256 && rc == 0; i++)
        rc = tn_sim_add_name("kitchen.example", HOST);
    cr_assert_eq(rc, TN_ENOMEM);
}

/* --- Buffers ---------------------------------------------------------------------------------------------------------------- */

static void *write_until_it_stops(void *arg)
{
    static const char zeros[1000];
    uint64_t *total = malloc(sizeof *total);

    tt_check(total != NULL);
    *total = 0;
    for (;;) {
        ssize_t n = tn_write(arg, zeros, sizeof zeros);
        if (n == TN_ETIMEDOUT)
            return total;
        tt_check(n > 0);
        *total += (uint64_t)n;
    }
}

/* A peer that reads nothing stops the writer; all that was written arrives later. */
static void *in_full_buffers(void *arg)
{
    tn_stream *ends[2];
    tn_scope scope;
    uint64_t *total;
    uint64_t got = 0;
    char buf[5000];

    connect_pair(ends);
    tn_scope_enter_for(&scope, 60 * TN_S);
    total = write_until_it_stops(ends[0]);
    tn_scope_leave(&scope);
    tt_check(*total >= 4096 && *total <= 1 << 20);
    while (got < *total) {
        ssize_t n = tn_read(ends[1], buf, sizeof buf);
        tt_check(n > 0);
        got += (uint64_t)n;
    }
    tt_check_eq(got, *total);
    free(total);
    (void)time_of_a_byte(ends[0], ends[1]);
    close_pair(ends);
    return arg;
}

Test(network, full_buffers_stop_a_writer)
{
    tt_run(in_full_buffers, NULL);
}

static void *in_writer_and_slow_reader(void *arg)
{
    tn_stream *ends[2];
    tn_task *writer;

    connect_pair(ends);
    writer = tt_spawn(write_bulk, ends[0]);
    tt_check_eq(tn_sleep(60 * TN_S), 0);
    read_bulk(ends[1]);
    tt_join(writer);
    close_pair(ends);
    return arg;
}

Test(network, a_reader_wakes_the_writer)
{
    tt_run(in_writer_and_slow_reader, NULL);
}
