/* SPDX-License-Identifier: MIT */
/* The encrypted bytes of a session in memory, and the BIO by which OpenSSL takes and appends them. It never waits. */
#ifndef TNI_TLS_BYTES_H
#define TNI_TLS_BYTES_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

/* The size of memory in which a record of the largest write fits. */
#define TNI_TLS_BYTES_LARGE 16384

/* The size at first. Handshakes and small requests fit. */
#define TNI_TLS_BYTES_SMALL 2048

/* Bytes in a row. It has memory only while there are bytes in it. */
typedef struct tni_tls_bytes {
    char *memory;    /* NULL: there is none */
    size_t capacity; /* of `memory` */
    size_t begin;    /* memory[begin … end) are the bytes */
    size_t end;
} tni_tls_bytes;

static inline size_t tni_tls_bytes_count(const tni_tls_bytes *bytes)
{
    return bytes->end - bytes->begin;
}

/* Makes the capacity at least `size` bytes behind `end`; false: there is no memory. */
bool tni_tls_bytes_reserve(tni_tls_bytes *bytes, size_t size);

/* Appends; false: there is no memory. */
bool tni_tls_bytes_append(tni_tls_bytes *bytes, const char *data, size_t size);

/* Removes the first `size` bytes; the last of them takes the memory with it. */
void tni_tls_bytes_consume(tni_tls_bytes *bytes, size_t size);

void tni_tls_bytes_free(tni_tls_bytes *bytes);

/* The two directions of a BIO. */
typedef struct tni_tls_pair {
    tni_tls_bytes in;  /* OpenSSL takes them */
    tni_tls_bytes out; /* OpenSSL appends them */
} tni_tls_pair;

/* The kind of BIO; NULL: there is no memory. It ends with BIO_meth_free, after its BIOs. */
BIO_METHOD *tni_tls_bytes_method(void);

/* A BIO over `pair`, which must outlive it; NULL: there is no memory. */
BIO *tni_tls_bytes_bio(BIO_METHOD *method, tni_tls_pair *pair);

#endif
