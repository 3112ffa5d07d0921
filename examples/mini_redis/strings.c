/* SPDX-License-Identifier: MIT */
/* The commands on keys. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "session.h"
#include "table.h"

#define NOT_A_NUMBER "-ERR value is not an integer or out of range"

int echo(session *s, const tn_bytes *arg, size_t count)
{
    (void)count;
    return resp_bulk(&s->writer, arg[1]);
}

/* The value is counted: the reply needs no lock, and a large one no copy. */
static int reply_value(session *s, tn_bytes key)
{
    table_place place;
    const table_entry *entry = table_lock(&place, key);
    tn_slice value = entry != NULL ? tn_slice_retain(entry->value) : tn_slice_static("", 0);
    int rc;

    table_unlock(&place);
    rc = entry != NULL ? resp_bulk(&s->writer, value.bytes) : resp_head(&s->writer, '$', -1);
    tn_slice_release(value);
    return rc;
}

int get(session *s, const tn_bytes *arg, size_t count)
{
    (void)count;
    return reply_value(s, arg[1]);
}

int mget(session *s, const tn_bytes *arg, size_t count)
{
    int rc = resp_head(&s->writer, '*', (int64_t)count - 1);

    for (size_t i = 1; i < count && rc == 0; i++)
        rc = reply_value(s, arg[i]);
    return rc;
}

static bool is(tn_bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* Makes a time of the table from seconds from now. Returns false if that has no number in milliseconds. */
static bool in_seconds(int64_t seconds, int64_t *expires_ms)
{
    return !__builtin_mul_overflow(seconds, 1000, expires_ms) && !__builtin_add_overflow(*expires_ms, table_now(), expires_ms);
}

int set(session *s, const tn_bytes *arg, size_t count)
{
    bool only_new = false, has_time = false, exists;
    int64_t seconds = 0, expires_ms = 0;
    table_place place;
    tn_slice value;
    int rc = 0;

    for (size_t i = 3; i < count; i++) {
        if (is(arg[i], "NX")) {
            only_new = true;
        } else if (is(arg[i], "EX") && !has_time && i + 1 < count) {
            has_time = true;
            if (!resp_number(arg[++i], &seconds))
                return resp_text(&s->writer, NOT_A_NUMBER);
        } else {
            return resp_text(&s->writer, "-ERR syntax error");
        }
    }
    if (has_time && (seconds <= 0 || !in_seconds(seconds, &expires_ms)))
        return resp_text(&s->writer, "-ERR invalid expire time in 'set' command");
    rc = tn_slice_copy(&value, arg[2].data, arg[2].size, NULL);
    if (rc != 0)
        return rc;
    exists = table_lock(&place, arg[1]) != NULL;
    if (only_new && exists)
        tn_slice_release(value);
    else
        rc = table_set(&place, value, expires_ms);
    table_unlock(&place);
    if (rc != 0)
        return rc;
    return only_new && exists ? resp_head(&s->writer, '$', -1) : resp_text(&s->writer, "+OK");
}

int del(session *s, const tn_bytes *arg, size_t count)
{
    int64_t deleted = 0;

    for (size_t i = 1; i < count; i++) {
        table_place place;
        if (table_lock(&place, arg[i]) != NULL) {
            table_remove(&place);
            deleted++;
        }
        table_unlock(&place);
    }
    return resp_head(&s->writer, ':', deleted);
}

int incr(session *s, const tn_bytes *arg, size_t count)
{
    table_place place;
    const table_entry *entry = table_lock(&place, arg[1]);
    const char *error = NULL;
    int64_t number = 0;
    tn_slice value;
    char text[24];
    int rc = 0;

    (void)count;
    if (entry != NULL && !resp_number(entry->value.bytes, &number))
        error = NOT_A_NUMBER;
    else if (__builtin_add_overflow(number, 1, &number))
        error = "-ERR increment or decrement would overflow";
    else
        rc = tn_slice_copy(&value, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)number), NULL);
    if (error == NULL && rc == 0)
        rc = table_set(&place, value, entry != NULL ? entry->expires_ms : 0);
    table_unlock(&place);
    if (rc != 0)
        return rc;
    return error != NULL ? resp_text(&s->writer, error) : resp_head(&s->writer, ':', number);
}

int expire(session *s, const tn_bytes *arg, size_t count)
{
    int64_t seconds, expires_ms;
    table_place place;
    table_entry *entry;

    (void)count;
    if (!resp_number(arg[2], &seconds))
        return resp_text(&s->writer, NOT_A_NUMBER);
    if (!in_seconds(seconds, &expires_ms))
        return resp_text(&s->writer, "-ERR invalid expire time in 'expire' command");
    entry = table_lock(&place, arg[1]);
    if (entry != NULL && seconds <= 0)
        table_remove(&place);
    else if (entry != NULL)
        entry->expires_ms = expires_ms;
    table_unlock(&place);
    return resp_head(&s->writer, ':', entry != NULL);
}

int ttl(session *s, const tn_bytes *arg, size_t count)
{
    table_place place;
    const table_entry *entry = table_lock(&place, arg[1]);
    int64_t seconds = -2;

    (void)count;
    if (entry != NULL)
        seconds = entry->expires_ms == 0 ? -1 : (entry->expires_ms - table_now() + 500) / 1000;
    table_unlock(&place);
    return resp_head(&s->writer, ':', seconds);
}
