/* SPDX-License-Identifier: MIT */
/* The encrypted bytes of a session in memory, and the BIO over them. */
#include "tls/tls_bytes.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#define LARGEST ((size_t)1 << 30)

/* Of what waits to be sent. A flight of the handshake is smaller; a peer that asks for replies and reads none reaches it. */
#define OUTPUT_LARGEST (256 * 1024)

bool tni_tls_bytes_reserve(tni_tls_bytes *bytes, size_t size)
{
    size_t capacity = bytes->capacity != 0 ? bytes->capacity : TNI_TLS_BYTES_SMALL;
    char *memory;

    if (size > LARGEST - bytes->end)
        return false;
    while (capacity - bytes->end < size)
        capacity *= 2;
    if (capacity == bytes->capacity)
        return true;
    memory = OPENSSL_malloc(capacity);
    if (memory == NULL)
        return false;
    if (bytes->end > 0)
        memcpy(memory, bytes->memory, bytes->end);
    OPENSSL_free(bytes->memory);
    bytes->memory = memory;
    bytes->capacity = capacity;
    return true;
}

bool tni_tls_bytes_append(tni_tls_bytes *bytes, const char *data, size_t size)
{
    if (!tni_tls_bytes_reserve(bytes, size))
        return false;
    memcpy(bytes->memory + bytes->end, data, size);
    bytes->end += size;
    return true;
}

void tni_tls_bytes_consume(tni_tls_bytes *bytes, size_t size)
{
    bytes->begin += size;
    if (bytes->begin == bytes->end)
        tni_tls_bytes_free(bytes);
}

void tni_tls_bytes_free(tni_tls_bytes *bytes)
{
    OPENSSL_free(bytes->memory);
    *bytes = (tni_tls_bytes){0};
}

/* --- The BIO --------------------------------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *buf, size_t size, size_t *done)
{
    tni_tls_pair *pair = BIO_get_data(bio);
    size_t there = tni_tls_bytes_count(&pair->in);

    BIO_clear_retry_flags(bio);
    if (there == 0) {
        BIO_set_retry_read(bio);
        *done = 0;
        return 0;
    }
    *done = size < there ? size : there;
    memcpy(buf, pair->in.memory + pair->in.begin, *done);
    tni_tls_bytes_consume(&pair->in, *done);
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *done)
{
    tni_tls_pair *pair = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *done = 0;
    if (tni_tls_bytes_count(&pair->out) + size > OUTPUT_LARGEST)
        return 0; /* without a retry flag it is the end of the session */
    if (!tni_tls_bytes_append(&pair->out, data, size)) {
        ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE); /* so the call returns TN_ENOMEM */
        return 0;
    }
    *done = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    const tni_tls_pair *pair = BIO_get_data(bio);

    (void)number, (void)arg;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_PENDING:
        return (long)tni_tls_bytes_count(&pair->in);
    case BIO_CTRL_WPENDING:
        return (long)tni_tls_bytes_count(&pair->out);
    default:
        return 0;
    }
}

BIO_METHOD *tni_tls_bytes_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tournant");

    if (method == NULL || BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

BIO *tni_tls_bytes_bio(BIO_METHOD *method, tni_tls_pair *pair)
{
    BIO *bio = BIO_new(method);

    if (bio != NULL) {
        BIO_set_data(bio, pair);
        BIO_set_init(bio, 1);
    }
    return bio;
}
