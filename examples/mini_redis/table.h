/* SPDX-License-Identifier: MIT */
/* Keys and values, of which some expire. */
#ifndef TABLE_H
#define TABLE_H

#include <tn.h>

typedef struct table_entry {
    struct table_entry *next;
    uint64_t hash;
    int64_t expires_ms; /* of table_now; 0: never */
    tn_slice value;     /* counted, so a reply is written from it when the key is unlocked */
    size_t size;        /* of the key */
    char key[];
} table_entry;

/* A key that is locked. */
typedef struct table_place {
    struct table_shard *shard;
    table_entry **link; /* leads to the entry; to NULL: there is none */
    uint64_t hash;
    tn_bytes key;
} table_place;

void table_init(void);
int64_t table_now(void);
size_t table_count(void);

/* Locks a key. An entry that has expired is gone. Returns the entry, or NULL. */
table_entry *table_lock(table_place *place, tn_bytes key);
void table_unlock(table_place *place);

/* Of a locked key: sets the value, whose reference is taken in any case. Returns 0 or TN_ENOMEM. */
int table_set(table_place *place, tn_slice value, int64_t expires_ms);
/* Of a locked key: removes the entry. */
void table_remove(table_place *place);

/* A fiber: frees what has expired, for ever. */
void *table_sweep(void *arg);

#endif
