/* SPDX-License-Identifier: MIT */
/* tn_resolve: looks up the addresses of a host name: a number, a name of the hosts file, or else by the resolver. */
#include "names/names.h"

#include <string.h>

#include "base/alloc.h"
#include "names/hosts.h"
#include "names/lookups.h"
#include "os/os_names.h"
#include "pool/pool.h"

#define LABEL_MAX 63
#define HOST_MAX 253
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

_Static_assert(TN_NAMES_TEXT_SIZE >= TNI_OS_NAME_TEXT, "an address has to fit");

/* --- Syntax of names -------------------------------------------------------------------------------------------------------- */

static int reject(const tni_log *log, const char *name, const char *reason, int error)
{
    tni_log_write(log, TN_LOG_ERROR, "'%.100s' cannot be looked up: %s", name, reason);
    return error;
}

/* A dotted quad: four decimal numbers from 0 to 255 without leading zeros. */
static bool is_v4(const char *host, size_t length)
{
    size_t at = 0;

    for (unsigned part = 0; part < 4; part++) {
        size_t digits = strspn(host + at, DIGITS);
        if (digits == 0 || digits > 3 || (digits > 1 && host[at] == '0') || (digits == 3 && memcmp(host + at, "255", 3) > 0))
            return false;
        at += digits;
        if (part < 3 && host[at++] != '.')
            return false;
    }
    return at == length;
}

/* Does the last label look like a number? Resolvers accept "0x7f.1" and "2130706433" for 127.0.0.1, which is seldom
 * intended. */
static bool looks_like_a_number(const char *host, size_t length)
{
    size_t last = length;

    while (last > 0 && host[last - 1] != '.')
        last--;
    if (strspn(host + last, DIGITS) == length - last)
        return true;
    return host[last] == '0' && (host[last + 1] | 0x20) == 'x' &&
           strspn(host + last + 2, DIGITS "abcdefABCDEF") == length - last - 2;
}

static int check_host(const char *host, const tni_log *log)
{
    size_t length = host != NULL ? strnlen(host, HOST_MAX + 2) : 0;

    if (host == NULL)
        host = "NULL";
    if (length > 0 && length <= HOST_MAX + 1 && host[length - 1] == '.')
        length--;
    if (length == 0)
        return reject(log, host, "the name is empty", TN_EINVAL);
    if (length > HOST_MAX)
        return reject(log, host, "a name has at most 253 characters", -ENAMETOOLONG);
    if (memchr(host, ':', length) != NULL) /* an IPv6 address: the resolver checks it */
        return 0;
    for (size_t at = 0; at < length;) {
        size_t label = strspn(host + at, LETTERS DIGITS "-_");
        if (label == 0 && host[at] == '.')
            return reject(log, host, "a label between two dots, or before the first dot, is empty", TN_EINVAL);
        if (at + label < length && host[at + label] != '.')
            return reject(log, host, "a name has letters, digits, '-' and dots; write other characters as xn--...", TN_EINVAL);
        if (label > LABEL_MAX)
            return reject(log, host, "a label between two dots has at most 63 characters", -ENAMETOOLONG);
        if (host[at] == '-' || host[at + label - 1] == '-')
            return reject(log, host, "a label begins or ends with '-'", TN_EINVAL);
        at += label + 1;
    }
    if (looks_like_a_number(host, length) && !is_v4(host, length))
        return reject(log, host, "an address is written as four numbers from 0 to 255", TN_EINVAL);
    return 0;
}

int tni_names_check(const char *host, const char *service, const tni_log *log)
{
    int rc = check_host(host, log);
    size_t length;

    if (rc != 0 || service == NULL)
        return rc;
    length = strnlen(service, TNI_SERVICE_BYTES);
    if (length == TNI_SERVICE_BYTES)
        return reject(log, service, "a service has at most 32 characters", -ENAMETOOLONG);
    if (length == 0 || strspn(service, LETTERS DIGITS "-_") != length)
        return reject(log, service, "a service is a number from 0 to 65535, or a name such as http", TN_EINVAL);
    if (strspn(service, DIGITS) == length && (length > 5 || (length == 5 && memcmp(service, "65535", 5) > 0)))
        return reject(log, service, "a port is a number from 0 to 65535", TN_EINVAL);
    return 0;
}

/* --- Results ---------------------------------------------------------------------------------------------------------------- */

void tn_names_fini(tn_names *names)
{
    if (names->text != NULL)
        names->free(names->free_ctx, names->text, names->capacity * sizeof names->text[0]);
    names->text = NULL;
    names->count = 0;
    names->capacity = 0;
}

typedef struct {
    const tn_allocator *allocator;
    tn_names *names;
    int error; /* that ended the lookup; 0: none */
} builder;

static bool add(void *arg, const char *text)
{
    builder *self = arg;
    tn_names *names = self->names;

    if (names->count == names->capacity) {
        size_t capacity = names->capacity > 0 ? names->capacity * 2 : 4;
        char(*larger)[TN_NAMES_TEXT_SIZE] = tni_alloc(self->allocator, capacity * sizeof *larger, sizeof(void *));
        if (larger == NULL) {
            self->error = TN_ENOMEM;
            return false;
        }
        if (names->count > 0)
            memcpy(larger, names->text, names->count * sizeof *larger);
        tni_free(self->allocator, names->text, names->capacity * sizeof *larger);
        names->text = larger;
        names->capacity = capacity;
    }
    memcpy(names->text[names->count++], text, strlen(text) + 1);
    return true;
}

/* --- Resolving -------------------------------------------------------------------------------------------------------------- */

/* On a thread that may block. */
static int ask_resolver(const tn_allocator *allocator, const char *host, const char *service, tn_names *out)
{
    builder self = {.allocator = allocator, .names = out};
    int rc = tni_os_resolve(host, service, add, &self);

    if (rc == 0)
        rc = self.error;
    return rc == 0 && out->count == 0 ? TN_EAI_NONAME : rc;
}

/* 0: `out` has the addresses, or none; then the resolver is asked. */
static int find_here(const tn_allocator *allocator, const char *host, const char *service, tn_names *out)
{
    builder self = {.allocator = allocator, .names = out};
    char text[TNI_OS_NAME_TEXT];
    tni_hosts_found found;
    int rc;

    if (tni_os_numeric(host, service, text)) {
        (void)add(&self, text);
        return self.error;
    }
    if (!tni_os_numeric("0.0.0.0", service, text) || strchr(host, ':') != NULL)
        return 0;                      /* the resolver finds the service by its name, or refuses the address */
    rc = tni_hosts_find(host, &found); /* suspends, so nothing is allocated before */
    for (unsigned i = 0; rc == 0 && i < found.count; i++) {
        if (tni_os_numeric(found.addresses[i].text, service, text) && !add(&self, text))
            rc = self.error;
    }
    return rc;
}

static int resolve_without_blocking(tn_runtime *runtime, const char *host, const char *service, tn_names *out)
{
    int rc = find_here(&runtime->allocator, host, service, out);
    tni_pool *pool;

    if (rc != 0 || out->count > 0)
        return rc;
    pool = tni_pool_of(runtime, &rc);
    return pool != NULL ? tni_lookups_resolve(pool, ask_resolver, host, service, out) : rc;
}

int tn_resolve(tn_runtime *runtime, const char *host, const char *service, tn_names *out)
{
    const tn_allocator *allocator;
    int rc = tn_checkpoint();

    if (runtime == NULL)
        runtime = tni_pool_current_runtime();
    allocator = runtime != NULL ? &runtime->allocator : &tni_alloc_default;
    *out = (tn_names){.free = allocator->free, .free_ctx = allocator->ctx};
    if (rc == 0)
        rc = tni_names_check(host, service, runtime != NULL ? &runtime->log : NULL);
    if (rc != 0)
        return rc;
    if (runtime == NULL || tni_pool_current_thread() != NULL)
        rc = ask_resolver(allocator, host, service, out); /* this thread may block */
    else
        rc = resolve_without_blocking(runtime, host, service, out);
    if (rc != 0)
        tn_names_fini(out);
    return rc;
}
