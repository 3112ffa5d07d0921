/* SPDX-License-Identifier: MIT */
/* Names and notes of tasks, the list of all tasks, and the grouped dump. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <tn/group.h>
#include <tn/inspect.h>
#include <tn/scope.h>
#include <tn/sync.h>
#include <tn/time.h>

#include "support/runtime.h"

enum { FOUND_MAX = 64 };

typedef struct {
    tn_runtime *runtime;
    tn_task_info found[FOUND_MAX];
    unsigned count;
    unsigned stop_after; /* 0: never */
} list;

static bool add_info(void *ctx, const tn_task_info *info)
{
    list *l = ctx;

    if (l->count < FOUND_MAX)
        l->found[l->count] = *info;
    l->count++;
    return l->count != l->stop_after;
}

static void take_list(list *l)
{
    l->count = 0;
    tn_tasks_each(l->runtime, add_info, l);
}

static const tn_task_info *named(const list *l, const char *name)
{
    for (unsigned i = 0; i < l->count && i < FOUND_MAX; i++)
        if (strcmp(l->found[i].name, name) == 0)
            return &l->found[i];
    return NULL;
}

/* --- Names, notes, parents ----------------------------------------------------------------------------------------------- */

typedef struct {
    list list;
    tn_notify stop;
    atomic_int ready;
    char *gone; /* memory that is unmapped while a note points to it */
} scene;

static void *wait_noted(void *arg)
{
    scene *s = arg;

    tn_task_set_name("renamed, and with a long name");
    tn_task_note("GET /index.html");
    atomic_fetch_add(&s->ready, 1);
    (void)tn_notify_wait(&s->stop);
    return NULL;
}

static void *wait_gone(void *arg)
{
    scene *s = arg;

    tn_task_set_name("gone");
    tn_task_note(s->gone);
    atomic_fetch_add(&s->ready, 1);
    (void)tn_notify_wait(&s->stop);
    return NULL;
}

static bool both_wait(void *arg)
{
    scene *s = arg;
    const tn_task_info *a;
    const tn_task_info *b;

    take_list(&s->list);
    a = named(&s->list, "renamed, and with a lon");
    b = named(&s->list, "gone");
    return a != NULL && b != NULL && a->state == TN_TASK_WAITS && b->state == TN_TASK_WAITS;
}

static void *look_at_children(void *arg)
{
    scene *s = arg;
    tn_task *tasks[2];
    TN_SCOPE(scope, tn_now() + 3600 * TN_S);

    tn_task_set_name("parent");
    tt_check(tn_spawn(&tasks[0], wait_noted, s) == 0);
    tt_check(tn_spawn(&tasks[1], wait_gone, s) == 0);
    while (!both_wait(s))
        (void)tn_sleep(TN_MS);
    tt_check(munmap(s->gone, 4096) == 0);
    take_list(&s->list);
    tn_notify_all(&s->stop);
    for (int i = 0; i < 2; i++)
        tt_check(tn_join(tasks[i], NULL) == 0);
    return NULL;
}

Test(inspect, a_list_has_names_notes_and_parents)
{
    static scene s;
    const tn_task_info *parent;
    const tn_task_info *child;

    s.list.runtime = tt_runtime_create();
    tn_notify_init(&s.stop);
    s.gone = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(s.gone, MAP_FAILED);
    memset(s.gone, 'x', 4096);
    cr_assert_eq(tn_block_on(s.list.runtime, look_at_children, &s, NULL), 0);
    parent = named(&s.list, "parent");
    child = named(&s.list, "renamed, and with a lon");
    cr_assert_not_null(parent);
    cr_assert_not_null(child);
    cr_assert_eq(parent->parent, 0);
    cr_assert_eq(parent->state, TN_TASK_RUNS);
    cr_assert_eq(child->parent, parent->id);
    cr_assert(child->is_fiber);
    cr_assert_str_eq(child->note, "GET /index.html");
    cr_assert_str_eq(child->waits_for, "notify");
    cr_assert_eq(child->deadline_ns, UINT64_MAX, "a scope is not inherited by a spawn");
    cr_assert_str_eq(named(&s.list, "gone")->note, "", "memory that is gone shows as no note");
    cr_assert_eq(s.list.count, 3);
    tt_runtime_destroy(s.list.runtime);
}

static void *sleep_in_scope(void *arg)
{
    TN_SCOPE(scope, *(uint64_t *)arg);

    tn_task_set_name("in scope");
    (void)tn_sleep(3600 * TN_S);
    return NULL;
}

static bool scope_is_listed(void *arg)
{
    list *l = arg;
    const tn_task_info *info;

    take_list(l);
    info = named(l, "in scope");
    return info != NULL && info->state == TN_TASK_WAITS && info->deadline_ns != UINT64_MAX;
}

Test(inspect, a_task_that_waits_has_the_deadline_of_its_scopes)
{
    static list l;
    static uint64_t deadline_ns;
    tn_task *task;

    l.runtime = tt_runtime_create();
    deadline_ns = tn_now() + 1800 * TN_S;
    cr_assert_eq(tn_spawn_on(l.runtime, NULL, &task, sleep_in_scope, &deadline_ns), 0);
    cr_assert(tt_wait_until(scope_is_listed, &l, 30 * TN_S));
    cr_assert_eq(named(&l, "in scope")->deadline_ns, deadline_ns);
    cr_assert_not(named(&l, "in scope")->is_cancelled);
    cr_assert_str_eq(named(&l, "in scope")->waits_for, "sleep");
    tn_cancel(task);
    cr_assert_eq(tn_join(task, NULL), 0);
    tt_runtime_destroy(l.runtime);
}

Test(inspect, names_outside_of_tasks_have_no_effect)
{
    tn_task_set_name("nobody");
    tn_task_note("nothing");
}

/* --- Groups -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    char text[16384];
    size_t length;
} page;

static void add_line(void *ctx, const char *line)
{
    page *p = ctx;
    size_t length = strlen(line);

    if (p->length + length + 2 > sizeof p->text)
        return;
    memcpy(p->text + p->length, line, length);
    p->length += length;
    p->text[p->length++] = '\n';
    p->text[p->length] = '\0';
}

typedef struct {
    tn_runtime *runtime;
    unsigned long count;
    page page;
    char wanted[64];
    tn_notify stop;
} crowd;

static void *wait_for_stop(void *arg)
{
    (void)tn_notify_wait(&((crowd *)arg)->stop);
    return NULL;
}

static void *hold_crowd(void *arg)
{
    crowd *c = arg;
    tn_group group;

    tn_group_enter(&group, NULL);
    for (unsigned long i = 0; i < c->count; i++)
        tt_check(tn_group_spawn(&group, NULL, wait_for_stop, c) == 0);
    tt_check(tn_group_wait(&group) == 0);
    tn_group_leave(&group);
    return NULL;
}

static bool is_one_group(void *arg)
{
    crowd *c = arg;

    c->page.length = 0;
    tt_check(tn_dump_grouped(c->runtime, add_line, &c->page) == 0);
    return strstr(c->page.text, c->wanted) != NULL;
}

Test(inspect, tasks_at_one_place_are_one_group)
{
    static crowd c;
    tn_task *task;

    c.runtime = tt_runtime_create();
    c.count = tt_scaled(2000);
    tn_notify_init(&c.stop);
    (void)snprintf(c.wanted, sizeof c.wanted, "%lu tasks (fiber) wait for notify, the longest for ", c.count);
    cr_assert_eq(tn_spawn_on(c.runtime, NULL, &task, hold_crowd, &c), 0);
    cr_assert(tt_wait_until(is_one_group, &c, 30 * TN_S), "%s", c.page.text);
    cr_assert_not_null(strstr(c.page.text, "wait_for_stop"), "%s", c.page.text);
    cr_assert_not_null(strstr(c.page.text, " by task "), "%s", c.page.text);
    cr_assert_lt(c.page.length, 8000, "the size does not grow with the tasks");
    cr_assert_leq(strstr(c.page.text, c.wanted), strstr(c.page.text, "1 tasks (fiber)"), "large groups come first");
    tn_notify_all(&c.stop);
    cr_assert_eq(tn_join(task, NULL), 0);
    tt_runtime_destroy(c.runtime);
}

/* --- Pauses of a dump ---------------------------------------------------------------------------------------------------- */

enum { MANY = 2100, A_PAUSE = 1024 };

typedef struct {
    page page; /* the first member: add_line receives the same ctx */
    unsigned pauses;
    unsigned end_at; /* the number of the pause that ends the dump, from 1; 0: none */
    bool late;       /* a pause came after a line */
} paused_dump;

static int count_pause(void *ctx)
{
    paused_dump *p = ctx;

    p->late = p->late || p->page.length != 0;
    return ++p->pauses == p->end_at ? TN_ECANCELED : 0;
}

static int dump_with_pauses(tn_runtime *runtime, paused_dump *p, unsigned end_at)
{
    memset(p, 0, sizeof *p);
    p->end_at = end_at;
    return tn_dump_grouped_pausing(runtime, add_line, count_pause, p);
}

Test(inspect, a_grouped_dump_pauses_between_tasks)
{
    static crowd c;
    static paused_dump p;
    tn_task *task;

    c.runtime = tt_runtime_create();
    c.count = MANY;
    tn_notify_init(&c.stop);
    (void)snprintf(c.wanted, sizeof c.wanted, "%lu tasks (fiber) wait for notify, the longest for ", c.count);
    cr_assert_eq(tn_spawn_on(c.runtime, NULL, &task, hold_crowd, &c), 0);
    cr_assert(tt_wait_until(is_one_group, &c, 30 * TN_S), "%s", c.page.text);
    cr_assert_eq(dump_with_pauses(c.runtime, &p, 0), 0);
    cr_assert_eq(p.pauses, MANY / A_PAUSE);
    cr_assert(!p.late);
    cr_assert_not_null(strstr(p.page.text, c.wanted), "%s", p.page.text);
    cr_assert_eq(dump_with_pauses(c.runtime, &p, 1), TN_ECANCELED);
    cr_assert_eq(p.pauses, 1);
    cr_assert_eq(p.page.length, 0);
    tn_notify_all(&c.stop);
    cr_assert_eq(tn_join(task, NULL), 0);
    tt_runtime_destroy(c.runtime);
}

/* --- Stuck workers ------------------------------------------------------------------------------------------------------- */

static atomic_int spinning;
static atomic_bool release;

static void *spin(void *arg)
{
    tn_task_set_name("spins");
    atomic_fetch_add(&spinning, 1);
    while (!atomic_load(&release))
        ;
    return arg;
}

static bool all_spin(void *arg)
{
    return atomic_load(&spinning) == *(int *)arg;
}

Test(inspect, lists_and_dumps_need_no_worker)
{
    static list l;
    static page p;
    tn_runtime *runtime = tt_runtime_create();
    int workers = (int)tn_runtime_workers(runtime);
    tn_task **tasks = calloc((size_t)workers, sizeof(tn_task *));

    cr_assert_not_null(tasks);
    l.runtime = runtime;
    for (int i = 0; i < workers; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], spin, NULL), 0);
    cr_assert(tt_wait_until(all_spin, &workers, 30 * TN_S));
    take_list(&l);
    cr_assert_eq(l.count, (unsigned)workers);
    cr_assert_eq(named(&l, "spins")->state, TN_TASK_RUNS);
    cr_assert_eq(tn_dump_grouped(runtime, add_line, &p), 0);
    cr_assert_not_null(strstr(p.text, "run, or are about to"), "%s", p.text);
    l.stop_after = 1;
    take_list(&l);
    cr_assert_eq(l.count, 1, "the function ends the list");
    atomic_store(&release, true);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    free(tasks);
    tt_runtime_destroy(runtime);
}

/* --- What runs ----------------------------------------------------------------------------------------------------------- */

static atomic_bool burned_enough;

static void *burn(void *arg)
{
    tn_task_set_name("burner");
    while (!atomic_load(&burned_enough))
        ;
    return arg;
}

typedef struct {
    tn_runtime *runtime;
    bool found;
} running;

/* Under a sanitizer, signals may be late: what counts is that the stack comes at some time. */
static bool add_running(void *ctx, const tn_task_info *info)
{
    running *r = ctx;
    char name[256];

    tt_check(info->frames <= TN_TASK_FRAMES);
    for (unsigned i = 0; i < info->frames; i++) {
        tn_code_name(info->frame[i], name, sizeof name);
        r->found = r->found || (strcmp(info->name, "burner") == 0 && strncmp(name, "burn+0x", 7) == 0);
    }
    return !r->found;
}

static bool burner_is_found(void *arg)
{
    running *r = arg;

    tn_tasks_each_running(r->runtime, add_running, r);
    return r->found;
}

static bool is_unknown(void *ctx, const tn_task_info *info)
{
    *(bool *)ctx = info->frames == 0 && info->state == TN_TASK_RUNS;
    return true;
}

static void *look_at_itself(void *arg)
{
    bool unknown = false;

    tn_tasks_each_running(arg, is_unknown, &unknown);
    tt_check(unknown);
    return NULL;
}

Test(inspect, what_runs_is_shown_with_its_stack)
{
    tn_options options = tt_options();
    running r = {.found = false};
    tn_task *task;

    options.report_stuck_ns = 3600 * TN_S;
    cr_assert_eq(tn_runtime_create(&r.runtime, &options), 0);
    cr_assert_eq(tn_spawn_on(r.runtime, NULL, &task, burn, NULL), 0);
    cr_assert(tt_wait_until(burner_is_found, &r, 60 * TN_S));
    atomic_store(&burned_enough, true);
    cr_assert_eq(tn_join(task, NULL), 0);
    tt_runtime_destroy(r.runtime);
}

Test(inspect, what_runs_has_no_stack_without_the_option)
{
    tn_runtime *runtime = tt_runtime_create();

    cr_assert_eq(tn_block_on(runtime, look_at_itself, runtime, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- The last reference -------------------------------------------------------------------------------------------------- */

static atomic_bool may_end;
static atomic_int dropped;
static pthread_t dropped_by;

static void *end_when_told(void *arg)
{
    while (!atomic_load(&may_end))
        (void)tn_yield();
    return arg;
}

static void note_drop(void *result)
{
    (void)result;
    dropped_by = pthread_self();
    atomic_fetch_add(&dropped, 1);
}

static bool has_no_task(void *arg)
{
    return tn_runtime_tasks(arg) == 0;
}

/* Called while the dump has a reference to the task. */
static void end_task_meanwhile(void *ctx, const char *line)
{
    if (strstr(line, "\"detached\"") == NULL)
        return;
    atomic_store(&may_end, true);
    cr_assert(tt_wait_until(has_no_task, ctx, 60 * TN_S));
}

static bool is_dropped(void *arg)
{
    (void)arg;
    return atomic_load(&dropped) > 0;
}

/* drop_result may wait for what a stuck worker has, so it is not the thread of a dump that calls it. */
Test(inspect, a_result_is_not_dropped_by_a_dump)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_spawn_options options = tn_spawn_options_default();

    options.name = "detached";
    options.drop_result = note_drop;
    cr_assert_eq(tn_spawn_on(runtime, &options, NULL, end_when_told, &options), 0);
    tn_dump(runtime, end_task_meanwhile, runtime);
    cr_assert(tt_wait_until(is_dropped, NULL, 60 * TN_S));
    cr_assert_not(pthread_equal(dropped_by, pthread_self()));
    cr_assert_eq(atomic_load(&dropped), 1);
    tt_runtime_destroy(runtime);
}
