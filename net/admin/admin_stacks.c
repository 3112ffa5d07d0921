/* SPDX-License-Identifier: MIT */
/* The stacks of a profile. Nothing here calls malloc: a worker may be stuck inside of it. */
#include "admin/admin_stacks.h"

#include <stdio.h>
#include <string.h>

#define PLACES (2 * TNI_ADMIN_STACKS_MAX)
#define ADDRESSES (2 * TNI_ADMIN_NAMES_MAX)
/* The name of what does not fit into the table of names. */
#define OTHER 0

/* --- Adding -------------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = mix(hash, (unsigned char)*text);
    return mix(hash, 256);
}

static uint64_t key_of(const tn_task_info *info, bool by_name)
{
    uint64_t hash = mix(1, info->state);

    hash = mix_text(hash, by_name ? info->name : "");
    hash = mix_text(hash, info->waits_for);
    if (info->frames == 0)
        hash = mix(hash, (uintptr_t)info->spawned_at);
    for (unsigned i = 0; i < info->frames; i++)
        hash = mix(hash, (uintptr_t)info->frame[i]);
    return hash | 1;
}

void tni_admin_stacks_clear(tni_admin_stacks *self)
{
    memset(self, 0, sizeof *self);
    memcpy(self->names[OTHER], "[other]", sizeof "[other]");
    self->names_used = OTHER + 1;
}

/* The entry with the key, or a new one, or NULL. */
static tni_admin_stack *find(tni_admin_stacks *self, uint64_t key)
{
    unsigned place = (unsigned)(key >> 40) % PLACES;

    while (self->entries[place].key != 0 && self->entries[place].key != key)
        place = (place + 1) % PLACES;
    if (self->entries[place].key == 0) {
        if (self->used == TNI_ADMIN_STACKS_MAX)
            return NULL;
        self->order[self->used++] = (uint16_t)place;
    }
    return &self->entries[place];
}

void tni_admin_stacks_add(tni_admin_stacks *self, const tn_task_info *info, bool by_name, uint64_t ns)
{
    uint64_t key = key_of(info, by_name);
    tni_admin_stack *stack = find(self, key);

    self->total_ns += ns;
    if (stack == NULL) {
        self->left_out_ns += ns;
        return;
    }
    stack->ns += ns;
    if (stack->key == key)
        return;
    stack->key = key;
    stack->state = info->state;
    memcpy(stack->name, info->name, by_name ? sizeof stack->name : 0);
    memcpy(stack->waits_for, info->waits_for, sizeof stack->waits_for);
    stack->spawned_at = info->spawned_at;
    stack->frames = info->frames;
    memcpy(stack->frame, info->frame, info->frames * sizeof *info->frame);
}

/* --- Names --------------------------------------------------------------------------------------------------------------- */

/* The number of a name. A semicolon separates the frames of a folded stack, so there is none in it. */
static uint16_t number_of(tni_admin_stacks *self, const char *name)
{
    char clean[sizeof self->names[0]];
    size_t length = 0;

    for (; name[length] != '\0' && length < sizeof clean - 1; length++) {
        unsigned char c = (unsigned char)name[length];
        clean[length] = (char)(c < 0x20 || c >= 0x7f ? '?' : c == ';' ? ':' : c);
    }
    clean[length] = '\0';
    for (unsigned i = 0; i < self->names_used; i++)
        if (strcmp(self->names[i], clean) == 0)
            return (uint16_t)i;
    if (self->names_used == TNI_ADMIN_NAMES_MAX)
        return OTHER;
    memcpy(self->names[self->names_used], clean, length + 1);
    return (uint16_t)self->names_used++;
}

/* Of "name+0x12 (file+0x345)" the name; of "file+0x345" the file in brackets. */
static uint16_t number_of_function(tni_admin_stacks *self, const void *address)
{
    char text[256];
    char name[256 + 2];
    char *end;

    tn_code_name(address, text, sizeof text);
    end = strstr(text, " (") != NULL ? strstr(text, "+0x") : strrchr(text, '+');
    if (end == NULL)
        return number_of(self, "[unknown]");
    *end = '\0';
    (void)snprintf(name, sizeof name, strstr(end + 1, " (") != NULL ? "%s" : "[%s]", text);
    return number_of(self, name);
}

/* The same, looked up once for each address while the table has space. */
static uint16_t number_of_address(tni_admin_stacks *self, const void *address)
{
    unsigned place = (unsigned)(mix(1, (uintptr_t)address) >> 40) % ADDRESSES;
    tni_admin_address *found = NULL;

    for (unsigned tries = 0; tries < 64 && found == NULL; tries++) {
        tni_admin_address *at = &self->addresses[(place + tries) % ADDRESSES];
        if (at->address == address)
            return at->name;
        if (at->address == NULL)
            found = at;
    }
    if (found == NULL)
        return number_of_function(self, address);
    found->name = number_of_function(self, address);
    found->address = address;
    return found->name;
}

static void push(tni_admin_stack *stack, uint16_t name)
{
    stack->path[stack->depth++] = name;
}

static void push_label(tni_admin_stacks *self, tni_admin_stack *stack, const char *before, const char *text)
{
    char label[96];

    (void)snprintf(label, sizeof label, "[%s%s]", before, text);
    push(stack, number_of(self, label));
}

/* The path of a stack: the task's name, the functions, and what it waits for. */
static void resolve(tni_admin_stacks *self, tni_admin_stack *stack)
{
    stack->depth = 0;
    if (stack->name[0] != '\0')
        push_label(self, stack, "task ", stack->name);
    if (stack->state == TN_TASK_BLOCKS)
        push_label(self, stack, "", "blocks its worker");
    if (stack->frames == 0)
        push(stack, number_of_address(self, stack->spawned_at));
    for (unsigned i = stack->frames; i-- > 0;) {
        /* A return address may be that of the next function, if the call does not return. */
        bool exact = i == 0 && stack->state != TN_TASK_WAITS;
        push(stack, number_of_address(self, (const char *)stack->frame[i] - !exact));
    }
    if (stack->state == TN_TASK_WAITS)
        push_label(self, stack, "waits for ", stack->waits_for[0] != '\0' ? stack->waits_for : "a future");
    else if (stack->state == TN_TASK_WAITS_FOR_STACK)
        push_label(self, stack, "", "waits for a stack");
    else if (stack->frames == 0)
        push_label(self, stack, "", "runs, its stack is unknown");
}

/* --- Sorting ------------------------------------------------------------------------------------------------------------- */

static int compare(const tni_admin_stacks *self, uint16_t a, uint16_t b)
{
    const tni_admin_stack *s = &self->entries[a];
    const tni_admin_stack *t = &self->entries[b];

    for (unsigned i = 0; i < s->depth && i < t->depth; i++)
        if (s->path[i] != t->path[i])
            return strcmp(self->names[s->path[i]], self->names[t->path[i]]);
    return (int)s->depth - (int)t->depth;
}

static void sift(tni_admin_stacks *self, unsigned at, unsigned count)
{
    uint16_t moved = self->order[at];
    unsigned child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && compare(self, self->order[child + 1], self->order[child]) > 0)
            child++;
        if (compare(self, self->order[child], moved) <= 0)
            break;
        self->order[at] = self->order[child];
        at = child;
    }
    self->order[at] = moved;
}

/* Heap sort: qsort may call malloc. */
static void sort(tni_admin_stacks *self)
{
    for (unsigned i = self->used / 2; i-- > 0;)
        sift(self, i, self->used);
    for (unsigned left = self->used; left > 1; left--) {
        uint16_t last = self->order[left - 1];
        self->order[left - 1] = self->order[0];
        self->order[0] = last;
        sift(self, 0, left - 1);
    }
}

/* Stacks that differ in the addresses within functions have the same path. */
static void merge(tni_admin_stacks *self)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < self->used; i++)
        if (kept > 0 && compare(self, self->order[kept - 1], self->order[i]) == 0)
            self->entries[self->order[kept - 1]].ns += self->entries[self->order[i]].ns;
        else
            self->order[kept++] = self->order[i];
    self->used = kept;
}

int tni_admin_stacks_resolve(tni_admin_stacks *self)
{
    for (unsigned i = 0; i < self->used; i++) {
        int rc = tn_yield();
        if (rc != 0)
            return rc;
        resolve(self, &self->entries[self->order[i]]);
    }
    sort(self);
    merge(self);
    return 0;
}
