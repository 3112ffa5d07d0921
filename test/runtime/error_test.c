/* SPDX-License-Identifier: MIT */
/* Each error code has a text, and the right one: the codes of the public headers and those that the kernel may return. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <uv.h>

#include <tn.h>

static bool has_text(int error)
{
    const char *text = tn_strerror(error);

    return text != NULL && text[0] != '\0' && strcmp(text, "unknown error") != 0;
}

static const struct {
    int code;
    const char *name;
} constants[] = {
#define ERROR(name) {name, #name},
#include "error_constants.inc" /* generated from the headers by test/CMakeLists.txt */
#undef ERROR
};

enum { CONSTANTS = sizeof constants / sizeof constants[0] };

static bool is_listed(int code)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if (constants[i].code == code)
            return true;
    return false;
}

Test(error, each_constant_of_the_headers_has_a_text)
{
    cr_assert(is_listed(TN_EADDRINUSE) && is_listed(TN_EDEADLK) && is_listed(TN_ETIMEDOUT) && is_listed(TN_EAI_SERVICE));
    for (unsigned i = 0; i < CONSTANTS; i++) {
        cr_assert(constants[i].code < 0 && constants[i].code != TN_PENDING, "%s", constants[i].name);
        cr_assert(has_text(constants[i].code), "%s", constants[i].name);
    }
}

Test(error, each_errno_value_has_a_text)
{
    unsigned known = 0;

    for (int value = 1; value < 4096; value++) {
        if (strerrorname_np(value) == NULL)
            continue;
        cr_assert(has_text(-value), "%s", strerrorname_np(value));
        known++;
    }
    cr_assert(known > 100);
}

/* The text of libuv if it has one, else that of the C library. Never called with the code that has a text of this library. */
static const char *wanted_text(int code)
{
    char name[64];

    if (strncmp(uv_err_name_r(code, name, sizeof name), "Unknown", strlen("Unknown")) != 0)
        return uv_strerror(code);
    return strerrordesc_np(-code);
}

Test(error, each_text_is_that_of_its_code)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if (constants[i].code != TN_ETIME)
            cr_assert_str_eq(tn_strerror(constants[i].code), wanted_text(constants[i].code), "%s", constants[i].name);
    for (int value = 1; value < 4096; value++)
        if (strerrorname_np(value) != NULL && -value != TN_ETIME)
            cr_assert_str_eq(tn_strerror(-value), wanted_text(-value), "%s", strerrorname_np(value));
}

/* Of each source of texts, written out: nothing here comes from the functions that the library uses. */
Test(error, texts)
{
    cr_assert_str_eq(tn_strerror(TN_ECONNREFUSED), "connection refused");
    cr_assert_str_eq(tn_strerror(TN_ECANCELED), "operation canceled");
    cr_assert_str_eq(tn_strerror(TN_EAI_SERVICE), "service not available for socket type");
    cr_assert_str_eq(tn_strerror(-ENOKEY), "Required key not available");
    cr_assert_str_eq(tn_strerror(TN_ETIME), "the peer does not reply: connection timed out");
}

Test(error, other_numbers_have_none)
{
    cr_assert_str_eq(tn_strerror(0), "no error");
    cr_assert_str_eq(tn_strerror(1), "unknown error");
    cr_assert_str_eq(tn_strerror(-100000), "unknown error");
    cr_assert_str_eq(tn_strerror(INT_MAX), "unknown error");
    cr_assert_str_eq(tn_strerror(INT_MIN), "unknown error");
}
