/* SPDX-License-Identifier: MIT */
/* Keys and values in 64 hash tables, each with a lock. */
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* More keys than buckets make the lists longer. Buckets that are never used take no memory. */
enum { SHARDS = 64, BUCKETS = 8192 };

typedef struct table_shard {
    tn_mutex lock;
    size_t count;
    table_entry *buckets[BUCKETS];
} shard;

static shard shards[SHARDS];
static uint64_t seed; /* a client cannot choose keys that meet in one bucket */

void table_init(void)
{
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = tn_now();
    for (unsigned i = 0; i < SHARDS; i++)
        tn_mutex_init(&shards[i].lock);
}

int64_t table_now(void)
{
    return (int64_t)(tn_now() / TN_MS);
}

static bool is_over(const table_entry *entry, int64_t now_ms)
{
    return entry->expires_ms != 0 && entry->expires_ms <= now_ms;
}

static void remove_entry(shard *in, table_entry **link)
{
    table_entry *old = *link;

    *link = old->next;
    in->count--;
    tn_slice_release(old->value);
    free(old);
}

table_entry *table_lock(table_place *place, tn_bytes key)
{
    uint64_t hash = seed;
    table_entry **link;
    shard *in;

    for (size_t i = 0; i < key.size; i++) {
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    in = &shards[hash >> 58];
    tn_mutex_lock_always(&in->lock);
    for (link = &in->buckets[hash % BUCKETS]; *link != NULL; link = &(*link)->next)
        if ((*link)->hash == hash && (*link)->size == key.size && memcmp((*link)->key, key.data, key.size) == 0)
            break;
    *place = (table_place){in, link, hash, key};
    if (*link != NULL && is_over(*link, table_now()))
        table_remove(place);
    return *place->link;
}

void table_unlock(table_place *place)
{
    tn_mutex_unlock(&place->shard->lock);
}

void table_remove(table_place *place)
{
    remove_entry(place->shard, place->link);
    while (*place->link != NULL) /* a new entry becomes the last of the bucket */
        place->link = &(*place->link)->next;
}

int table_set(table_place *place, tn_slice value, int64_t expires_ms)
{
    table_entry *entry = *place->link;

    if (entry != NULL) {
        tn_slice_release(entry->value);
        entry->value = value;
        entry->expires_ms = expires_ms;
        return 0;
    }
    entry = malloc(sizeof *entry + place->key.size);
    if (entry == NULL) {
        tn_slice_release(value);
        return TN_ENOMEM;
    }
    *entry = (table_entry){NULL, place->hash, expires_ms, value, place->key.size};
    memcpy(entry->key, place->key.data, place->key.size);
    *place->link = entry;
    place->shard->count++;
    return 0;
}

size_t table_count(void)
{
    size_t count = 0;

    for (unsigned i = 0; i < SHARDS; i++) {
        tn_mutex_lock_always(&shards[i].lock);
        count += shards[i].count;
        tn_mutex_unlock(&shards[i].lock);
    }
    return count;
}

void *table_sweep(void *arg)
{
    for (unsigned i = 0; tn_sleep(20 * TN_MS) == 0; i++) {
        shard *in = &shards[i % SHARDS];
        tn_mutex_lock_always(&in->lock);
        for (size_t bucket = 0; bucket < BUCKETS; bucket++)
            for (table_entry **link = &in->buckets[bucket]; *link != NULL;)
                if (is_over(*link, table_now()))
                    remove_entry(in, link);
                else
                    link = &(*link)->next;
        tn_mutex_unlock(&in->lock);
    }
    return arg;
}
