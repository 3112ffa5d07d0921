/* SPDX-License-Identifier: MIT */
/* A look-up may hang for long, so who asks can leave: question and answer are in memory that the last of the two gives back, the
 * one who asks or the job. */
#include "names/names.h"

#include <string.h>

#include "base/alloc.h"
#include "os/os_names.h"
#include "pool/job.h"
#include "scope/scope.h"

#define LABEL_MAX 63
#define HOST_MAX 253
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

_Static_assert(TN_NAMES_TEXT_SIZE >= TNI_OS_NAME_TEXT, "an address has to fit");

/* --- What can be a name ----------------------------------------------------------------------------------------------------- */

static int refuse(const tni_log *log, const char *name, const char *reason, int error)
{
    tni_log_write(log, TN_LOG_ERROR, "'%.100s' cannot be looked up: %s", name, reason);
    return error;
}

/* Four numbers from 0 to 255, as people write them. */
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

/* Does the last label make it a number? Resolvers take "0x7f.1" and "2130706433" for 127.0.0.1, and few people mean that. */
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
        return refuse(log, host, "the name is empty", TN_EINVAL);
    if (length > HOST_MAX)
        return refuse(log, host, "a name has at most 253 characters", -ENAMETOOLONG);
    if (memchr(host, ':', length) != NULL) /* a number: the system says whether it is right */
        return 0;
    for (size_t at = 0; at < length;) {
        size_t label = strspn(host + at, LETTERS DIGITS "-_");
        if (label == 0 && host[at] == '.')
            return refuse(log, host, "there is nothing between two dots, or before the first", TN_EINVAL);
        if (at + label < length && host[at + label] != '.')
            return refuse(log, host, "a name has letters, digits, '-' and dots; others have to be written as xn--...", TN_EINVAL);
        if (label > LABEL_MAX)
            return refuse(log, host, "between two dots are at most 63 characters", -ENAMETOOLONG);
        if (host[at] == '-' || host[at + label - 1] == '-')
            return refuse(log, host, "a '-' stands beside a dot, or at an end", TN_EINVAL);
        at += label + 1;
    }
    if (looks_like_a_number(host, length) && !is_v4(host, length))
        return refuse(log, host, "an address is written as four numbers from 0 to 255", TN_EINVAL);
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
        return refuse(log, service, "a service has at most 32 characters", -ENAMETOOLONG);
    if (length == 0 || strspn(service, LETTERS DIGITS "-_") != length)
        return refuse(log, service, "a service is a number from 0 to 65535, or a name such as http", TN_EINVAL);
    if (strspn(service, DIGITS) == length && (length > 5 || (length == 5 && memcmp(service, "65535", 5) > 0)))
        return refuse(log, service, "a port is a number from 0 to 65535", TN_EINVAL);
    return 0;
}

/* --- Answers ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_allocator allocator;
    tni_a32 references; /* who asks, and the job */
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

static void ask(query *self)
{
    int rc = tni_os_resolve(self->host, self->has_service ? self->service : NULL, add, self);

    if (rc == 0 && self->error == 0 && self->names.count == 0)
        rc = TN_EAI_NONAME;
    if (rc != 0)
        self->error = rc;
}

/* --- Asking ----------------------------------------------------------------------------------------------------------------- */

static void unref(query *self)
{
    tn_allocator allocator = self->allocator;

    /* Release: our accesses are over. Acquire: so are the other's, for the last one. */
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
    ask(arg);
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

/* A question that a fiber has in the pool. If the fiber is abandoned, nobody waits for the answer. */
typedef struct {
    tn_scope scope;
    query *asked;
    tn_job *job; /* NULL: it waits for a place */
} asking;

static void let_job_go(tn_job *job)
{
    (void)tn_job_cancel(job);
    tn_job_release(job);
}

static void end_asking(tn_scope *scope, bool abandoned)
{
    asking *self = tni_container_of(scope, asking, scope);

    if (!abandoned)
        return;
    if (self->job != NULL)
        let_job_go(self->job);
    else
        unref(self->asked); /* the one that the job would have had */
    unref(self->asked);
}

/* 0: the answer is there. */
static int ask_in_pool(tni_pool *pool, query *asked)
{
    tn_blocking_options options = tn_blocking_options_default();
    asking self = {.asked = asked};
    int rc;

    options.drop = drop;
    tni_a32_init(&asked->references, 2); /* nobody else knows it yet */
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, end_asking);
    rc = tni_job_spawn(pool, TNI_POOL_NAMES, &options, &self.job, run, asked);
    if (rc != 0)
        tni_a32_init(&asked->references, 1); /* as before */
    else
        rc = tn_job_join(self.job, NULL);
    tn_scope_leave(&self.scope);
    if (self.job != NULL && (rc == TN_ECANCELED || rc == TN_ETIMEDOUT)) /* the job itself answers neither */
        let_job_go(self.job);
    return rc;
}

int tn_resolve(tn_runtime *runtime, const char *host, const char *service, tn_names *out)
{
    const tn_allocator *allocator;
    tni_pool *pool;
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
        ask(self); /* this thread may block */
    else if ((pool = tni_pool_of(runtime, &rc)) != NULL)
        rc = ask_in_pool(pool, self);
    if (rc == 0)
        rc = self->error;
    if (rc == 0) {
        *out = self->names;
        self->names.text = NULL;
    }
    unref(self);
    return rc;
}
