/* SPDX-License-Identifier: MIT */
/* Name resolution: arguments refused without a query, results of the C library, and a resolver that hangs. Uses no network. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tn/blocking.h>
#include <tn/names.h>
#include <tn/net.h>

#include "names/hosts.h"
#include "support/allocator.h"
#include "support/runtime.h"

/* --- A resolver that takes the place of the C library's --------------------------------------------------------------------- */

static tt_gate asked = TT_GATE_INIT;
static tt_gate answered = TT_GATE_INIT;
static atomic_int calls;

typedef int (*resolve_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
extern int __interceptor_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **)
    __attribute__((weak));

/* "hangs.test" waits for the gate. "many.test" has addresses of both families. "again.test" and "none.test" fail. Other names
 * go to the C library's resolver. */
int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    resolve_fn original = __interceptor_getaddrinfo;

    atomic_fetch_add(&calls, 1);
    if (original == NULL)
        *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcasecmp(host, "hangs.test") == 0) {
        tt_gate_open(&asked);
        tt_gate_wait(&answered, 1);
        return EAI_AGAIN;
    }
    if (strcmp(host, "again.test") == 0)
        return EAI_AGAIN;
    if (strcmp(host, "none.test") == 0)
        return EAI_NONAME;
    if (strcmp(host, "silent.test") == 0) {
        errno = ETIMEDOUT;
        return EAI_SYSTEM;
    }
    if (strcmp(host, "many.test") == 0) {
        struct addrinfo *first;
        struct addrinfo *second;
        tt_check(original("127.0.0.9", service, hints, &first) == 0); /* no server listens there */
        tt_check(original("127.0.0.1", service, hints, &second) == 0);
        first->ai_next = second;
        *out = first;
        return 0;
    }
    return original(host, service, hints, out);
}

static void ignore(void *ctx, tn_log_level level, const char *message)
{
    (void)level;
    atomic_fetch_add((atomic_int *)ctx, 1);
    (void)message;
}

static atomic_int messages;

static tn_runtime *quiet_runtime(unsigned threads)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.log = ignore;
    options.log_ctx = &messages;
    options.name_threads = threads;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

static void run(tn_entry_fn entry, void *arg)
{
    tn_runtime *runtime = quiet_runtime(0);

    tt_join(tt_spawn_on(runtime, entry, arg));
    tt_runtime_destroy(runtime);
}

/* --- Refused arguments ---------------------------------------------------------------------------------------------------- */

static void *ask_nonsense(void *arg)
{
    static const char *const hosts[] = {"",           ".",     "a..b",       ".a",        "a b",
                                        "-a",         "a-",    "a.-b",       "a/b",       "b\xc3\xbc.test",
                                        "0x7f.0.0.1", "1.2.3", "1.2.3.4.5",  "256.1.1.1", "01.2.3.4",
                                        "2130706433", "a\n",   "10.300.1.1", "1.2.3.256"};
    static const char *const services[] = {"", "65536", "99999999", "a b", "-1 ", "80/tcp"};
    char label[80];
    char host[300];
    tn_names names;

    (void)arg;
    for (unsigned i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (tn_resolve(NULL, hosts[i], "80", &names) != TN_EINVAL)
            fprintf(stderr, "not refused: %s\n", hosts[i]), abort();
    }
    for (unsigned i = 0; i < sizeof services / sizeof *services; i++)
        tt_check(tn_resolve(NULL, "localhost", services[i], &names) == TN_EINVAL);
    tt_check(tn_resolve(NULL, NULL, "80", &names) == TN_EINVAL);
    memset(label, 'a', sizeof label);
    label[64] = '\0';
    tt_check(tn_resolve(NULL, label, NULL, &names) == -ENAMETOOLONG);
    for (unsigned i = 0; i < sizeof host - 1; i++)
        host[i] = i % 2 == 0 ? 'a' : '.';
    host[sizeof host - 1] = '\0';
    tt_check(tn_resolve(NULL, host, NULL, &names) == -ENAMETOOLONG);
    tt_check(tn_resolve(NULL, "localhost", "a-service-of-more-than-32-characters", &names) == -ENAMETOOLONG);
    tn_names_fini(&names);
    return NULL;
}

Test(names, nonsense_is_refused_before_anybody_is_asked)
{
    run(ask_nonsense, NULL);
    cr_assert_eq(atomic_load(&calls), 0);
    cr_assert_geq(atomic_load(&messages), 25);
}

/* `arg`: the port; questions for different ports are not equal. */
static void *ask_and_leave(void *arg)
{
    char host[] = "hangs.test"; /* is invalid when the resolver returns, as is the port */
    char port[8];
    tn_names names;

    snprintf(port, sizeof port, "%u", (unsigned)(uintptr_t)arg);
    tt_check(tn_resolve(NULL, host, port, &names) == TN_ECANCELED);
    tt_check(names.count == 0 && names.text == NULL);
    return NULL;
}

/* --- Results -------------------------------------------------------------------------------------------------------------- */

static bool has(const tn_names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->text[i], text) == 0)
            return true;
    return false;
}

static void *ask_localhost(void *arg)
{
    tn_names names;

    (void)arg;
    tt_check(tn_resolve(NULL, "localhost", "80", &names) == 0);
    tt_check(has(&names, "127.0.0.1:80") || has(&names, "[::1]:80"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "127.0.0.1", NULL, &names) == 0 && names.count == 1 && has(&names, "127.0.0.1:0"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "::1", "7000", &names) == 0 && has(&names, "[::1]:7000"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "many.test", "7", &names) == 0 && names.count == 2);
    tt_check(strcmp(names.text[0], "127.0.0.9:7") == 0 && strcmp(names.text[1], "127.0.0.1:7") == 0);
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "none.test", "7", &names) == TN_EAI_NONAME && names.count == 0);
    tt_check(tn_resolve(NULL, "again.test", "7", &names) == TN_EAI_AGAIN);
    tt_check(tn_resolve(NULL, "silent.test", "7", &names) == TN_ETIME); /* TN_ETIMEDOUT is the caller's deadline */
    tt_check(strcmp(tn_strerror(TN_EAI_NONAME), "unknown error") != 0);
    return NULL;
}

Test(names, all_addresses_in_their_order)
{
    run(ask_localhost, NULL);
}

static void *ask_for_numbers(void *arg)
{
    tn_names names;

    tt_check(tn_resolve(NULL, "192.0.2.1", "65535", &names) == 0 && names.count == 1 && has(&names, "192.0.2.1:65535"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "10.255.0.255", "1", &names) == 0 && names.count == 1 && has(&names, "10.255.0.255:1"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "2001:db8::1", NULL, &names) == 0 && names.count == 1 && has(&names, "[2001:db8::1]:0"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "fe80::1%1", "80", &names) == 0 && names.count == 1 && has(&names, "[fe80::1%1]:80"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "fe80::1%lo", "80", &names) == 0 && names.count == 1 && has(&names, "[fe80::1%1]:80"));
    tn_names_fini(&names);
    tt_check(atomic_load(&calls) == 0);
    tt_check(tn_resolve(NULL, "fe80::1%no-such-interface", "80", &names) < 0 && names.count == 0);
    tt_check(tn_resolve(NULL, "fe80::zz", "80", &names) == TN_EAI_NONAME);
    return arg;
}

Test(names, numbers_ask_no_resolver)
{
    run(ask_for_numbers, NULL);
}

/* --- The hosts file ------------------------------------------------------------------------------------------------------- */

static const char hosts_text[] = "# 127.0.0.9 here\n"
                                 "127.0.0.1\tlocalhost here # there\n"
                                 "::1  Here\n"
                                 "  127.0.0.2 other   HERE\r\n"
                                 "127.0.0.1 here\n"
                                 "127.0.0.3\n"
                                 "\n"
                                 "nonsense-that-is-much-longer-than-any-address-of-any-kind-could-ever-be here\n"
                                 "127.0.0.4 last";

static unsigned found_of(const char *host, tni_hosts_found *found)
{
    tni_hosts_search(hosts_text, host, found);
    return found->count;
}

Test(names, what_the_hosts_file_has)
{
    tni_hosts_found found;
    unsigned v4;

    cr_assert_eq(found_of("here", &found), 3);
    v4 = strcmp(found.addresses[0].text, "::1") == 0; /* the first one, unless this machine has no IPv6 */
    cr_assert_str_eq(found.addresses[v4].text, "127.0.0.1");
    cr_assert_str_eq(found.addresses[v4 + 1].text, "127.0.0.2");
    cr_assert_eq(found_of("last.", &found), 1);
    cr_assert_str_eq(found.addresses[0].text, "127.0.0.4");
    cr_assert_eq(found_of("there", &found), 0);
    cr_assert_eq(found_of("her", &found), 0);
    cr_assert_eq(found_of("127.0.0.3", &found), 0);
}

Test(names, whether_the_hosts_file_comes_first)
{
    cr_assert(tni_hosts_are_first("passwd: x\nhosts:\tfiles dns\n"));
    cr_assert(tni_hosts_are_first("#hosts: dns\n  hosts: files"));
    cr_assert(tni_hosts_are_first("hosts:files dns\n"));
    cr_assert_not(tni_hosts_are_first("hosts:dns files\n"));
    cr_assert_not(tni_hosts_are_first("hostss: files\nhosts:\tdns\n"));
    cr_assert(tni_hosts_are_first("hosts\npasswd: dns\n"));
    cr_assert(tni_hosts_are_first(""));
    cr_assert_not(tni_hosts_are_first("hosts: resolve files\n"));
    cr_assert_not(tni_hosts_are_first("hosts:\nfiles: x\n"));
}

static void *ask_beside_a_dead_server(void *arg)
{
    tn_names names;

    tt_check(tn_resolve(NULL, "localhost", "80", &names) == 0);
    tt_check(has(&names, "127.0.0.1:80") || has(&names, "[::1]:80"));
    tn_names_fini(&names);
    tt_check(tn_resolve(NULL, "127.0.0.1", "80", &names) == 0 && has(&names, "127.0.0.1:80"));
    tn_names_fini(&names);
    return arg;
}

static bool hosts_file_has_localhost(void)
{
    tni_hosts_found found;

    return tni_hosts_find("localhost", &found) == 0 && found.count > 0;
}

Test(names, local_names_wait_for_no_thread)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *hangs;

    if (!hosts_file_has_localhost())
        cr_skip_test("the hosts file does not have localhost, or is not asked first");
    options.name_threads = 1;
    options.blocking_queue_max = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    hangs = tt_spawn_on(runtime, ask_and_leave, NULL);
    tt_gate_wait(&asked, 1);
    tt_join(tt_spawn_on(runtime, ask_beside_a_dead_server, NULL));
    tn_cancel(hangs);
    tt_join(hangs);
    tt_gate_open(&answered);
    tt_runtime_destroy(runtime);
}

static void *ask_in_a_job(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, ask_localhost, arg) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return NULL;
}

Test(names, asked_in_a_job_and_on_a_plain_thread)
{
    tn_runtime *runtime = quiet_runtime(0);
    tn_names names;

    tt_join(tt_spawn_on(runtime, ask_in_a_job, NULL));
    cr_assert_eq(tn_resolve(runtime, "127.0.0.1", "1", &names), 0);
    tn_names_fini(&names);
    tt_runtime_destroy(runtime);
    (void)ask_localhost(NULL);
}

/* --- A resolver that hangs ------------------------------------------------------------------------------------------------ */

static void *run_a_job(void *arg)
{
    return arg;
}

static void *use_the_pool(void *arg)
{
    void *result = NULL;
    tn_stat status;

    tt_check(tn_run_blocking(run_a_job, arg, &result) == 0 && result == arg);
    tt_check(tn_fs_stat("/", &status) == 0 && status.is_folder);
    return NULL;
}

Test(names, a_resolver_that_hangs_is_left_and_stops_nobody_else)
{
    tt_allocator allocator;
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *tasks[6];

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.name_threads = 2;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (uintptr_t i = 0; i < 6; i++) /* two hang, four wait for a thread */
        tasks[i] = tt_spawn_on(runtime, ask_and_leave, (void *)(i + 1));
    tt_gate_wait(&asked, 2);
    tt_join(tt_spawn_on(runtime, use_the_pool, &allocator)); /* jobs and files have their own threads */
    for (unsigned i = 0; i < 6; i++)
        tn_cancel(tasks[i]);
    for (unsigned i = 0; i < 6; i++)
        tt_join(tasks[i]); /* the resolver still hangs */
    tt_gate_open(&answered);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

static void *ask_within_a_deadline(void *arg)
{
    char host[] = "hangs.test";
    tn_names names;
    tn_scope scope;

    (void)arg;
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check(tn_resolve(NULL, host, "80", &names) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(names.count == 0 && names.text == NULL);
    return NULL;
}

Test(names, a_resolver_that_hangs_is_left_at_the_deadline)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *tasks[3];

    options.name_threads = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (unsigned i = 0; i < 3; i++) /* one hangs, two wait for the thread */
        tasks[i] = tt_spawn_on(runtime, ask_within_a_deadline, NULL);
    for (unsigned i = 0; i < 3; i++)
        tt_join(tasks[i]); /* the resolver still hangs */
    cr_assert_leq(atomic_load(&calls), 1);
    tt_gate_open(&answered);
    tt_runtime_destroy(runtime);
}

/* --- Equal questions; lookups that no caller waits for -------------------------------------------------------------------- */

static bool one_is_detached(void *runtime)
{
    tn_blocking_counters counters = {.size = sizeof counters};

    tt_check(tn_runtime_blocking(runtime, &counters) == 0);
    return counters.detached == 1;
}

static void *ask_for_many(void *arg)
{
    tn_names names;

    tt_check(tn_resolve(NULL, "many.test", "7", &names) == 0 && names.count == 2);
    tn_names_fini(&names);
    return arg;
}

static void *ask_and_hear(void *arg)
{
    tn_names names;

    tt_check(tn_resolve(NULL, "HANGS.test", "0", &names) == TN_EAI_AGAIN && names.count == 0);
    tn_names_fini(&names);
    return arg;
}

/* The class has one thread. The first callers leave; their lookup hangs. Another name is looked up nevertheless. An equal
 * question waits for the lookup that hangs. */
Test(names, a_lookup_without_callers_leaves_its_place)
{
    enum { CROWD = 8 };
    tt_allocator allocator;
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *tasks[CROWD];

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.name_threads = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (unsigned i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, ask_and_leave, NULL);
    tt_gate_wait(&asked, 1);
    for (unsigned i = 0; i < CROWD; i++)
        tn_cancel(tasks[i]);
    for (unsigned i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    cr_assert(tt_wait_until(one_is_detached, runtime, 30 * TN_S));
    tt_join(tt_spawn_on(runtime, ask_for_many, NULL));
    for (unsigned i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, ask_and_hear, NULL);
    tt_join(tt_spawn_on(runtime, ask_for_many, NULL));
    tt_gate_open(&answered);
    for (unsigned i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    cr_assert_leq(tt_gate_opened(&asked), 1 + CROWD); /* those that came after the reply ask again */
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

typedef struct {
    atomic_bool over;
    atomic_ulong answers;
} storm;

static void *ask_in_a_storm(void *arg)
{
    storm *self = arg;
    uint64_t random = (uintptr_t)tn_self();

    while (!atomic_load(&self->over)) {
        tn_names names;
        tn_scope scope;
        int rc;
        random = random * 6364136223846793005u + 1442695040888963407u;
        tn_scope_enter_for(&scope, (random >> 33) % (300 * TN_US));
        rc = tn_resolve(NULL, random % 3 == 0 ? "again.test" : "many.test", "7", &names);
        tn_scope_leave(&scope);
        tt_check(rc == 0 || rc == TN_ETIMEDOUT || rc == TN_EAI_AGAIN);
        tt_check(rc != 0 || (names.count == 2 && strcmp(names.text[1], "127.0.0.1:7") == 0));
        tn_names_fini(&names);
        if (rc == 0)
            atomic_fetch_add(&self->answers, 1);
    }
    return NULL;
}

static bool has_enough(void *arg)
{
    return atomic_load(&((storm *)arg)->answers) > tt_scaled(2000);
}

Test(names, many_ask_the_same_and_leave_at_any_moment)
{
    enum { CROWD = 16 };
    tt_allocator allocator;
    tn_options options = tt_options();
    storm self = {.answers = 0};
    tn_runtime *runtime;
    tn_task *tasks[CROWD];

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.name_threads = 2;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (unsigned i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, ask_in_a_storm, &self);
    cr_assert(tt_wait_until(has_enough, &self, 50 * TN_S));
    atomic_store(&self.over, true);
    for (unsigned i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

static bool is_queued(void *runtime)
{
    tn_blocking_counters counters = {.size = sizeof counters};

    tt_check(tn_runtime_blocking(runtime, &counters) == 0);
    return counters.queued > 0;
}

Test(names, cancelled_look_ups_leave_the_queue)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *hangs;

    options.name_threads = 1;
    options.blocking_queue_max = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    hangs = tt_spawn_on(runtime, ask_and_leave, NULL);
    tt_gate_wait(&asked, 1);
    for (uintptr_t i = 0; i < 5; i++) {
        tn_task *task = tt_spawn_on(runtime, ask_and_leave, (void *)(i + 1));
        cr_assert(tt_wait_until(is_queued, runtime, 30 * TN_S));
        tn_cancel(task);
        tt_join(task);
        cr_assert_not(is_queued(runtime));
    }
    tn_cancel(hangs);
    tt_join(hangs);
    tt_gate_open(&answered);
    tt_runtime_destroy(runtime);
}

/* --- Connecting ----------------------------------------------------------------------------------------------------------- */

static void *connect_by_name(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    char name[64];
    tn_listener *listener;
    tn_stream *client;
    tn_stream *server;

    (void)arg;
    tt_check(tn_tcp_listen(&listener, "127.0.0.1:0", NULL) == 0);
    tt_check(tn_listener_address(listener, address, sizeof address) == 0);
    snprintf(name, sizeof name, "many.test%s", strrchr(address, ':')); /* its first address refuses connections */
    tt_check(tn_tcp_connect(NULL, &client, name) == 0);
    tt_check(tn_accept(listener, &server) == 0);
    tn_stream_close(server);
    tn_stream_close(client);
    snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
    tt_check(tn_tcp_connect(NULL, &client, name) == 0);
    tn_stream_close(client);
    tn_listener_close(listener);
    tt_check(tn_tcp_connect(NULL, &client, name) == TN_ECONNREFUSED);
    tt_check(tn_tcp_connect(NULL, &client, "none.test:80") == TN_EAI_NONAME);
    tt_check(tn_tcp_connect(NULL, &client, "no name:80") == TN_EINVAL);
    tt_check(tn_tcp_connect(NULL, &client, "localhost:no port") == TN_EINVAL);
    tt_check(tn_tcp_connect(NULL, &client, "1.2.3:80") == TN_EINVAL);
    return NULL;
}

Test(names, a_stream_connects_to_the_first_address_that_answers)
{
    run(connect_by_name, NULL);
}

static void *connect_and_leave(void *arg)
{
    tn_stream *stream;

    (void)arg;
    tt_check(tn_tcp_connect(NULL, &stream, "hangs.test:80") == TN_ECANCELED);
    return NULL;
}

Test(names, a_connect_to_a_name_is_left_while_it_is_looked_up)
{
    tn_runtime *runtime = quiet_runtime(0);
    tn_task *task = tt_spawn_on(runtime, connect_and_leave, NULL);

    tt_gate_wait(&asked, 1);
    tn_cancel(task);
    tt_join(task);
    tt_gate_open(&answered);
    tt_runtime_destroy(runtime);
}
