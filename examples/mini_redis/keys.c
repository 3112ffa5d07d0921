/* SPDX-License-Identifier: MIT */
/* Keys and values, some of which expire, in 64 hash tables with a lock each; and the commands on them. Values are counted slices,
 * so a reply is written from one after the lock has been given back. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "session.h"

#define NEVER INT64_MAX
#define NOT_A_NUMBER "value is not an integer or out of range"

typedef struct entry {
    key key;            /* comes first */
    int64_t expires_ms; /* of now_ms */
    tn_slice value;
    char name[];
} entry;

enum { SHARDS = 64 };

static struct shard {
    tn_mutex lock;
    GHashTable *entries;
} shards[SHARDS];
static uint64_t seed; /* a client cannot choose keys that meet in one bucket */

key key_of(tn_bytes name)
{
    uint64_t hash = seed ^ name.size;

    for (size_t i = 0; i < name.size; i += sizeof hash) {
        uint64_t part = 0;
        memcpy(&part, name.data + i, MIN(name.size - i, sizeof part));
        hash = (hash ^ part) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (key){name, (guint)hash};
}

static guint hash_of(gconstpointer of)
{
    return ((const key *)of)->hash;
}

static gboolean are_equal(gconstpointer a, gconstpointer b)
{
    tn_bytes x = ((const key *)a)->name, y = ((const key *)b)->name;

    return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

GHashTable *key_table(GDestroyNotify destroy)
{
    return g_hash_table_new_full(hash_of, are_equal, destroy, NULL);
}

static void free_entry(void *of)
{
    tn_slice_release(((entry *)of)->value);
    g_free(of);
}

void keys_init(void)
{
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = tn_now();
    for (unsigned i = 0; i < SHARDS; i++) {
        tn_mutex_init(&shards[i].lock);
        shards[i].entries = key_table(free_entry);
    }
}

static int64_t now_ms(void)
{
    return (int64_t)(tn_now() / TN_MS);
}

static gboolean is_over(gpointer of, gpointer of_too, gpointer arg)
{
    (void)of_too, (void)arg;
    return ((const entry *)of)->expires_ms <= now_ms();
}

static struct shard *lock_shard(const key *of)
{
    struct shard *in = &shards[of->hash % SHARDS];

    tn_mutex_lock_always(&in->lock);
    return in;
}

/* Returns the entry of a key; NULL: there is none, or it has expired. */
static entry *find_locked(struct shard *in, const key *of)
{
    entry *found = g_hash_table_lookup(in->entries, of);

    if (found == NULL || found->expires_ms == NEVER || !is_over(found, NULL, NULL))
        return found;
    g_hash_table_remove(in->entries, of);
    return NULL;
}

/* Sets the value of a key, whose entry is `old`. Takes the reference to the value. */
static void put_locked(struct shard *in, entry *old, const key *of, tn_slice value, int64_t expires_ms)
{
    entry *to = old;

    if (old != NULL) {
        tn_slice_release(old->value);
    } else {
        to = g_malloc(sizeof *to + of->name.size);
        to->key = (key){{memcpy(to->name, of->name.data, of->name.size), of->name.size}, of->hash};
        g_hash_table_add(in->entries, to);
    }
    to->value = value;
    to->expires_ms = expires_ms;
}

size_t keys_count(void)
{
    size_t count = 0;

    for (unsigned i = 0; i < SHARDS; i++) {
        tn_mutex_lock_always(&shards[i].lock);
        count += g_hash_table_size(shards[i].entries);
        tn_mutex_unlock(&shards[i].lock);
    }
    return count;
}

void *keys_sweep(void *arg)
{
    for (unsigned i = 0; tn_sleep(20 * TN_MS) == 0; i++) {
        tn_mutex_lock_always(&shards[i % SHARDS].lock);
        g_hash_table_foreach_remove(shards[i % SHARDS].entries, is_over, NULL);
        tn_mutex_unlock(&shards[i % SHARDS].lock);
    }
    return arg;
}

/* --- Commands ------------------------------------------------------------------------------------------------------------ */

static void reply_value(session *s, tn_bytes name)
{
    key of = key_of(name);
    struct shard *in = lock_shard(&of);
    const entry *found = find_locked(in, &of);
    tn_slice value = found != NULL ? tn_slice_retain(found->value) : tn_slice_static(NULL, 0);

    tn_mutex_unlock(&in->lock);
    if (found != NULL)
        resp_bulk(&s->out, value.bytes);
    else
        resp_head(&s->out, '$', -1);
    tn_slice_release(value);
}

void get(session *s)
{
    reply_value(s, s->arg[1]);
}

void mget(session *s)
{
    resp_head(&s->out, '*', (int64_t)s->count - 1);
    for (size_t i = 1; i < s->count; i++)
        reply_value(s, s->arg[i]);
}

/* Makes a time of now_ms from seconds from now. Returns false if that has no number. */
static bool in_seconds(int64_t seconds, int64_t *expires_ms)
{
    return !__builtin_mul_overflow(seconds, 1000, expires_ms) && !__builtin_add_overflow(*expires_ms, now_ms(), expires_ms);
}

/* Returns NULL, or what is wrong with the options. */
static const char *set_options(const session *s, bool *only_new, int64_t *expires_ms)
{
    int64_t seconds = 1;
    bool has_time = false;

    for (size_t i = 3; i < s->count; i++) {
        if (resp_is(s->arg[i], "NX"))
            *only_new = true;
        else if (!resp_is(s->arg[i], "EX") || has_time || ++i == s->count)
            return "syntax error";
        else if (!resp_number(s->arg[i], &seconds))
            return NOT_A_NUMBER;
        else
            has_time = true;
    }
    return has_time && (seconds <= 0 || !in_seconds(seconds, expires_ms)) ? "invalid expire time in 'set' command" : NULL;
}

void set(session *s)
{
    bool only_new = false;
    int64_t expires_ms = NEVER;
    const char *error = set_options(s, &only_new, &expires_ms);
    key of = key_of(s->arg[1]);
    struct shard *in;
    tn_slice value;
    entry *old;

    if (error != NULL)
        return resp_error(&s->out, "%s", error);
    s->out.rc = tn_slice_copy(&value, s->arg[2].data, s->arg[2].size, NULL);
    if (s->out.rc != 0)
        return;
    in = lock_shard(&of);
    old = find_locked(in, &of);
    only_new = only_new && old != NULL;
    if (only_new)
        tn_slice_release(value);
    else
        put_locked(in, old, &of, value, expires_ms);
    tn_mutex_unlock(&in->lock);
    resp_text(&s->out, only_new ? "$-1\r\n" : "+OK\r\n");
}

void del(session *s)
{
    int64_t deleted = 0;

    for (size_t i = 1; i < s->count; i++) {
        key of = key_of(s->arg[i]);
        struct shard *in = lock_shard(&of);
        deleted += find_locked(in, &of) != NULL && g_hash_table_remove(in->entries, &of);
        tn_mutex_unlock(&in->lock);
    }
    resp_head(&s->out, ':', deleted);
}

static const char *add_one_locked(struct shard *in, const key *of, int64_t *number, int *rc)
{
    entry *old = find_locked(in, of);
    tn_slice value;
    char text[24];

    if (old != NULL && !resp_number(old->value.bytes, number))
        return NOT_A_NUMBER;
    if (__builtin_add_overflow(*number, 1, number))
        return "increment or decrement would overflow";
    *rc = tn_slice_copy(&value, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)*number), NULL);
    if (*rc == 0)
        put_locked(in, old, of, value, old != NULL ? old->expires_ms : NEVER);
    return NULL;
}

void incr(session *s)
{
    int64_t number = 0;
    key of = key_of(s->arg[1]);
    struct shard *in = lock_shard(&of);
    const char *error = add_one_locked(in, &of, &number, &s->out.rc);
    tn_mutex_unlock(&in->lock);
    if (error != NULL)
        resp_error(&s->out, "%s", error);
    else
        resp_head(&s->out, ':', number);
}

void expire(session *s)
{
    int64_t seconds, expires_ms;
    key of = key_of(s->arg[1]);
    struct shard *in;
    entry *found;

    if (!resp_number(s->arg[2], &seconds))
        return resp_error(&s->out, NOT_A_NUMBER);
    if (!in_seconds(seconds, &expires_ms))
        return resp_error(&s->out, "invalid expire time in 'expire' command");
    in = lock_shard(&of);
    found = find_locked(in, &of);
    if (found != NULL)
        found->expires_ms = expires_ms; /* if that has passed, the key is gone */
    tn_mutex_unlock(&in->lock);
    resp_head(&s->out, ':', found != NULL);
}

void ttl(session *s)
{
    key of = key_of(s->arg[1]);
    struct shard *in = lock_shard(&of);
    const entry *found = find_locked(in, &of);
    int64_t seconds = found == NULL ? -2 : found->expires_ms == NEVER ? -1 : (found->expires_ms - now_ms() + 500) / 1000;

    tn_mutex_unlock(&in->lock);
    resp_head(&s->out, ':', seconds);
}
