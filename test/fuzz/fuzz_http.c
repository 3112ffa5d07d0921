/* SPDX-License-Identifier: MIT */
/* The requests of the example HTTP servers: the responses do not depend on how the bytes arrive.
 *
 * Input: bytes per piece; the stream. */
#include "fuzz.h"

#include "http.h"

typedef struct {
    char *bytes;
    size_t size;
} output;

/* Feeds the stream in pieces, and collects the responses. Returns whether the session is closing. */
static bool respond(const uint8_t *data, size_t size, size_t piece, output *out)
{
    http_session session;
    char responses[HTTP_OUTPUT_MAX];
    size_t done = 0;

    http_session_init(&session);
    *out = (output){NULL, 0};
    while (done < size && !session.closing) {
        size_t n = size - done < piece ? size - done : piece;
        size_t used = http_feed(&session, (const char *)data + done, n);
        size_t got = http_take(&session, responses);
        fuzz_check(used <= n && got <= sizeof responses);
        fuzz_check(used == n || session.closing || got > 0);
        out->bytes = realloc(out->bytes, out->size + got + 1);
        memcpy(out->bytes + out->size, responses, got);
        out->size += got;
        done += used;
    }
    return session.closing;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t piece = fuzz_take(&data, &size);
    output whole, pieces;
    bool closing = respond(data, size, SIZE_MAX, &whole);

    fuzz_check(respond(data, size, piece + 1u, &pieces) == closing);
    fuzz_check(whole.size == pieces.size && (whole.size == 0 || memcmp(whole.bytes, pieces.bytes, whole.size) == 0));
    fuzz_check(whole.size == 0 || memcmp(whole.bytes, "HTTP/1.1 ", 9) == 0);
    free(whole.bytes);
    free(pieces.bytes);
    return 0;
}
