/* SPDX-License-Identifier: MIT */
/* The requests of the admin server: what is parsed does not depend on how the bytes arrive, and no text is longer than its field.
 *
 * Input: bytes per piece; the stream. */
#include <strings.h>

#include "fuzz.h"

#include "admin/admin_request.h"

/* Returns what the last feed returned. */
static int parse(const uint8_t *data, size_t size, size_t piece, tni_admin_request *out)
{
    tni_admin_parsing parsing;
    size_t done = 0;
    int rc = 0;

    tni_admin_request_begin(&parsing, out);
    while (rc == 0 && done < size) {
        size_t n = size - done < piece ? size - done : piece;
        char *copy = malloc(n); /* exactly: an access behind the end is an error */
        fuzz_check(copy != NULL);
        memcpy(copy, data + done, n);
        rc = tni_admin_request_feed(&parsing, copy, n);
        free(copy);
        done += n;
    }
    return rc;
}

static bool is_same(const tni_admin_request *a, const tni_admin_request *b)
{
    return strcmp(a->target, b->target) == 0 && strcmp(a->host, b->host) == 0 && a->hosts == b->hosts && a->is_get == b->is_get &&
           a->is_head == b->is_head && a->is_old == b->is_old;
}

static void check_parameters(const tni_admin_request *request)
{
    static const char *const names[] = {"limit", "offset", "name", "seconds", ""};
    char value[16];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        memset(value, 'x', sizeof value);
        if (tni_admin_request_parameter(request, names[i], value, sizeof value))
            fuzz_check(tni_admin_request_has(request, names[i]));
        fuzz_check(!tni_admin_request_has(request, names[i]) || memchr(value, '\0', sizeof value) != NULL);
    }
}

/* A host that is taken for local has no letters but those of localhost, so no other name of the DNS. */
static void check_host(const tni_admin_request *request)
{
    if (!tni_admin_request_is_local(request))
        return;
    fuzz_check(request->hosts == 1);
    fuzz_check(strspn(request->host, "0123456789.:[]") == strlen(request->host) ||
               strncasecmp(request->host, "localhost", strlen("localhost")) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece = fuzz_take(&data, &size) + 1U;
    tni_admin_request whole;
    tni_admin_request pieces;
    int rc = parse(data, size, size + 1, &whole);

    fuzz_check(rc == 0 || rc == 1 || rc == TN_EBADMSG);
    fuzz_check(parse(data, size, piece, &pieces) == rc);
    fuzz_check(rc != 1 || is_same(&whole, &pieces));
    fuzz_check(memchr(whole.target, '\0', sizeof whole.target) != NULL && memchr(whole.host, '\0', sizeof whole.host) != NULL);
    if (rc == 1) {
        check_parameters(&whole);
        check_host(&whole);
    }
    return 0;
}
