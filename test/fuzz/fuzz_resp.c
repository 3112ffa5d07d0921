/* SPDX-License-Identifier: MIT */
/* The requests of mini_redis: the result does not depend on how the bytes arrive, and what was parsed, sent again in its plain
 * form, is parsed to the same.
 *
 * Input: bytes per read; the stream. */
#include "fuzz.h"

#include "mini_redis/resp.h"

/* Reads a request; `piece`: bytes per read. Returns the result, and how many bytes of the stream are read or in the buffer. */
static int parse(resp_request *request, const uint8_t *bytes, size_t size, size_t piece)
{
    fuzz_source source = {bytes, size, 0, piece};
    tn_reader reader;
    int rc;

    resp_init(request);
    fuzz_check(tn_reader_init(&reader, fuzz_source_io(&source), NULL) == 0);
    rc = resp_read(request, &reader);
    tn_reader_fini(&reader);
    return rc;
}

static tn_bytes argument(const resp_request *request, guint i)
{
    return g_array_index(request->arguments, tn_bytes, i);
}

static void same(const resp_request *a, const resp_request *b)
{
    fuzz_check(a->arguments->len == b->arguments->len);
    for (guint i = 0; i < a->arguments->len; i++)
        fuzz_check(argument(a, i).size == argument(b, i).size &&
                   memcmp(argument(a, i).data, argument(b, i).data, argument(a, i).size) == 0);
}

static ssize_t memory_write(void *object, const void *bytes, size_t size)
{
    fuzz_source *to = object;

    memcpy((uint8_t *)(uintptr_t)to->bytes + to->size, bytes, size);
    to->size += size;
    return (ssize_t)size;
}

/* A request as clients send it: an array of strings. */
static void send_again(const resp_request *request, size_t size)
{
    static const tn_io_ops ops = {.size = sizeof ops, .write = memory_write};
    fuzz_source to = {malloc(32 * (request->arguments->len + 2) + size), 0, 0, 1};
    resp_request again;
    resp_replies replies = {.rc = 0};

    fuzz_check(tn_writer_init(&replies.writer, (tn_io){&ops, &to}, NULL) == 0);
    resp_head(&replies, '*', request->arguments->len);
    for (guint i = 0; i < request->arguments->len; i++)
        resp_bulk(&replies, argument(request, i));
    fuzz_check(replies.rc == 0 && tn_writer_flush(&replies.writer) == 0);
    tn_writer_fini(&replies.writer);
    fuzz_check(parse(&again, to.bytes, to.size, SIZE_MAX) == 1);
    same(request, &again);
    resp_free(&again);
    free((void *)(uintptr_t)to.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t piece = fuzz_take(&data, &size);
    resp_request whole, pieces;
    int rc = parse(&whole, data, size, SIZE_MAX);

    fuzz_check(rc == 1 || rc == 0 || rc == TN_EBADMSG);
    fuzz_check(rc != 0 || size == 0);
    fuzz_check(rc == TN_EBADMSG || whole.error == NULL);
    fuzz_check(parse(&pieces, data, size, piece + 1u) == rc);
    fuzz_check((whole.error == NULL) == (pieces.error == NULL));
    if (whole.error != NULL)
        fuzz_check(strcmp(whole.error, pieces.error) == 0);
    if (rc == 1) {
        same(&whole, &pieces);
        send_again(&whole, size);
    }
    resp_free(&whole);
    resp_free(&pieces);
    return 0;
}
