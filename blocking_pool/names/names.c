/* SPDX-License-Identifier: MIT */
/* tn_resolve: looks up the addresses of a host name. A lookup may hang for long, and its caller may be cancelled meanwhile. So
 * the request is in counted memory; the caller or the job frees it, whichever ends last. */
#include "names/names.h"

#include <string.h>

#include "base/alloc.h"
#include "names/hosts.h"
#include "os/os_names.h"
#include "pool/job.h"
#include "scope/scope.h"

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

typedef struct {
    tn_allocator allocator;
    tni_a32 references; /* the caller and the job */
    int error;
    bool has_service;
    tn_names names;
    char host[TNI_HOST_BYTES];
    char service[TNI_SERVICE_BYTES];
} query;

void tn_names_fini(tn_names *names)
{
    if (names->text != NULL)
        names->free(names->free_ctx, names->text, names->capacity * sizeof names->text[0]);
    names->text = NULL;
    names->count = 0;
    names->capacity = 0;
}

static bool add(void *arg, const char *text)
{
    query *self = arg;
    tn_names *names = &self->names;

    if (names->count == names->capacity) {
        size_t capacity = names->capacity > 0 ? names->capacity * 2 : 4;
        char(*larger)[TN_NAMES_TEXT_SIZE] = tni_alloc(&self->allocator, capacity * sizeof *larger, sizeof(void *));
        if (larger == NULL) {
            self->error = TN_ENOMEM;
            return false;
        }
        if (names->count > 0)
            memcpy(larger, names->text, names->count * sizeof *larger);
        tni_free(&self->allocator, names->text, names->capacity * sizeof *larger);
        names->text = larger;
        names->capacity = capacity;
    }
    memcpy(names->text[names->count++], text, strlen(text) + 1);
    return true;
}

static void resolve(query *self)
{
    int rc = tni_os_resolve(self->host, self->has_service ? self->service : NULL, add, self);

    if (rc == 0 && self->error == 0 && self->names.count == 0)
        rc = TN_EAI_NONAME;
    if (rc != 0)
        self->error = rc;
}

/* --- Resolving -------------------------------------------------------------------------------------------------------------- */

static void unref(query *self)
{
    tn_allocator allocator = self->allocator;

    /* Publishes this holder's accesses, observes the other's for the last one, which frees. Partner: unref. */
    if (tni_a32_fetch_sub(&self->references, 1, TNI_ACQ_REL) != 1)
        return;
    tn_names_fini(&self->names);
    tni_free(&allocator, self, sizeof *self);
}

static void drop(void *arg)
{
    unref(arg);
}

static void *run(void *arg)
{
    resolve(arg);
    unref(arg);
    return NULL;
}

static query *make(const tn_allocator *allocator, const char *host, const char *service)
{
    query *self = tni_alloc(allocator, sizeof *self, _Alignof(query));

    if (self == NULL)
        return NULL;
    self->allocator = *allocator;
    tni_a32_init(&self->references, 1);
    self->names.free = allocator->free;
    self->names.free_ctx = allocator->ctx;
    memcpy(self->host, host, strlen(host) + 1);
    self->has_service = service != NULL;
    if (service != NULL)
        memcpy(self->service, service, strlen(service) + 1);
    return self;
}

/* A request that the pool works on while a fiber waits. If the fiber is abandoned, the scope's end releases the request. */
typedef struct {
    tn_scope scope;
    query *shared;
    tn_job *job; /* NULL: the fiber waits for a slot */
} pool_query;

static void cancel_and_release(tn_job *job)
{
    (void)tn_job_cancel(job);
    tn_job_release(job);
}

static void pool_query_end(tn_scope *scope, bool abandoned)
{
    pool_query *self = tni_container_of(scope, pool_query, scope);

    if (!abandoned)
        return;
    if (self->job != NULL)
        cancel_and_release(self->job);
    else
        unref(self->shared); /* the reference intended for the job */
    unref(self->shared);
}

/* 0: the request is complete. */
static int resolve_in_pool(tni_pool *pool, query *shared)
{
    tn_blocking_options options = tn_blocking_options_default();
    pool_query self = {.shared = shared};
    int rc;

    options.drop = drop;
    tni_a32_init(&shared->references, 2); /* not visible to other threads yet */
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, pool_query_end);
    rc = tni_job_spawn(pool, TNI_POOL_NAMES, &options, &self.job, run, shared);
    if (rc != 0)
        tni_a32_init(&shared->references, 1); /* no job was made */
    else
        rc = tn_job_join(self.job, NULL);
    tn_scope_leave(&self.scope);
    if (self.job != NULL && (rc == TN_ECANCELED || rc == TN_ETIMEDOUT)) /* from the join: the job itself returns neither */
        cancel_and_release(self.job);
    return rc;
}

/* 0: the request is complete, or `self` has no address; then the resolver is asked. */
static int answer_here(query *self)
{
    const char *service = self->has_service ? self->service : NULL;
    char text[TNI_OS_NAME_TEXT];
    tni_hosts_found found;
    int rc;

    if (tni_os_numeric(self->host, service, text))
        return add(self, text) ? 0 : TN_ENOMEM;
    if (!tni_os_numeric("0.0.0.0", service, text) || strchr(self->host, ':') != NULL)
        return 0; /* the resolver finds the service by its name, or refuses the address */
    rc = tni_hosts_find(self->host, &found);
    for (unsigned i = 0; rc == 0 && i < found.count; i++)
        if (tni_os_numeric(found.addresses[i].text, service, text) && !add(self, text))
            rc = TN_ENOMEM;
    return rc;
}

typedef struct {
    tn_scope scope;
    query *self;
} local_query;

static void local_query_end(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        unref(tni_container_of(scope, local_query, scope)->self);
}

static int resolve_without_blocking(tn_runtime *runtime, query *self)
{
    local_query local = {.self = self};
    tni_pool *pool;
    int rc;

    tn_scope_enter(&local.scope, TN_NEVER);
    tni_scope_on_end(&local.scope, local_query_end);
    rc = answer_here(self);
    tn_scope_leave(&local.scope);
    if (rc != 0 || self->names.count > 0)
        return rc;
    pool = tni_pool_of(runtime, &rc);
    return pool != NULL ? resolve_in_pool(pool, self) : rc;
}

int tn_resolve(tn_runtime *runtime, const char *host, const char *service, tn_names *out)
{
    const tn_allocator *allocator;
    query *self;
    int rc = tn_checkpoint();

    if (runtime == NULL)
        runtime = tni_pool_current_runtime();
    memset(out, 0, sizeof *out);
    if (rc == 0)
        rc = tni_names_check(host, service, runtime != NULL ? &runtime->log : NULL);
    if (rc != 0)
        return rc;
    allocator = runtime != NULL ? &runtime->allocator : &tni_alloc_default;
    self = make(allocator, host, service);
    if (self == NULL)
        return TN_ENOMEM;
    if (runtime == NULL || tni_pool_thread_current() != NULL)
        resolve(self); /* this thread may block */
    else
        rc = resolve_without_blocking(runtime, self);
    if (rc == 0)
        rc = self->error;
    if (rc == 0) {
        *out = self->names;
        self->names.text = NULL;
    }
    unref(self);
    return rc;
}
