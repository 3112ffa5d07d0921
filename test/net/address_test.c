/* SPDX-License-Identifier: MIT */
/* Tests of net/address: which texts are addresses, what the log says about the others, and the text of each address. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "address/address.h"

static char last_line[512];

static void keep_line(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    cr_assert_eq(level, TN_LOG_ERROR);
    snprintf(last_line, sizeof last_line, "%s", message);
}

static const tni_log quiet = {keep_line, NULL};

/* Parses, prints and compares. */
static void round_trip(const char *text, const char *expected)
{
    tni_address address;
    char buf[TN_ADDRESS_SIZE];

    cr_assert_eq(tni_address_parse_tcp(&address, text, TNI_TO_LISTEN, &quiet), 0, "%s: %s", text, last_line);
    tni_address_print(&address, buf);
    cr_assert_str_eq(buf, expected);
}

static void round_trip_unix(const char *path)
{
    tni_address address;
    char buf[TN_ADDRESS_SIZE];

    cr_assert_eq(tni_address_parse_unix(&address, path, &quiet), 0, "%s: %s", path, last_line);
    tni_address_print(&address, buf);
    cr_assert_str_eq(buf, path);
}

/* Checks that `text` is refused, and that the line in the log contains `hint`. */
static void refused(const char *text, tni_purpose purpose, const char *hint)
{
    tni_address address;

    last_line[0] = '\0';
    cr_assert_eq(tni_address_parse_tcp(&address, text, purpose, &quiet), TN_EINVAL, "%s was taken", text);
    cr_assert_not_null(strstr(last_line, hint), "'%s': the log says '%s', not '%s'", text, last_line, hint);
}

Test(address, v4)
{
    round_trip("127.0.0.1:7000", "127.0.0.1:7000");
    round_trip("0.0.0.0:0", "0.0.0.0:0");
    round_trip("255.255.255.255:65535", "255.255.255.255:65535");
    round_trip("10.0.0.1:00080", "10.0.0.1:80");
}

Test(address, v6)
{
    round_trip("[::1]:7000", "[::1]:7000");
    round_trip("[::]:0", "[::]:0");
    round_trip("[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]:443");
    round_trip("[::ffff:10.1.2.3]:80", "10.1.2.3:80");
    round_trip("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

Test(address, scope_by_name_and_number)
{
    tni_address address;

    round_trip("[fe80::1%lo]:7000", "[fe80::1%lo]:7000");
    cr_assert_eq(tni_address_parse_tcp(&address, "[fe80::1%lo]:7000", TNI_TO_CONNECT, &quiet), 0);
    cr_assert_eq(address.socket.v6.sin6_scope_id, tni_os_interface_index("lo"));
    cr_assert_eq(tni_address_parse_tcp(&address, "[fe80::1%77]:7000", TNI_TO_CONNECT, &quiet), 0);
    cr_assert_eq(address.socket.v6.sin6_scope_id, 77);
    round_trip("[fe80::1%777777777]:7000", "[fe80::1%777777777]:7000");
    refused("[fe80::1%]:7000", TNI_TO_LISTEN, "interface");
    refused("[fe80::1%nosuch0]:7000", TNI_TO_LISTEN, "interface");
    refused("[fe80::1%0]:7000", TNI_TO_LISTEN, "interface");
    refused("[fe80::1%-1]:7000", TNI_TO_LISTEN, "interface");
    refused("[fe80::1%4294967297]:7000", TNI_TO_LISTEN, "interface");
    refused("[fe80::1%lo%lo]:7000", TNI_TO_LISTEN, "interface");
    refused("127.0.0.1%lo:7000", TNI_TO_LISTEN, "four numbers");
}

Test(address, everywhere)
{
    tni_address address;

    cr_assert_eq(tni_address_parse_tcp(&address, "*:7000", TNI_TO_LISTEN, &quiet), 0);
    cr_assert_eq(address.socket.any.sa_family, AF_INET6);
    cr_assert_eq(address.socket.v6.sin6_port, htons(7000));
    tni_address_any_v4(&address, &address);
    cr_assert_eq(address.socket.any.sa_family, AF_INET);
    cr_assert_eq(address.socket.v4.sin_port, htons(7000));
    cr_assert_eq(address.socket.v4.sin_addr.s_addr, htonl(INADDR_ANY));
    refused("*:7000", TNI_TO_CONNECT, "for listening");
    refused("**:7000", TNI_TO_LISTEN, "four numbers");
}

Test(address, ports)
{
    static const char *const bad[] = {
        "127.0.0.1:",   "127.0.0.1:65536",      "127.0.0.1:99999", "127.0.0.1:000080", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 1", "127.0.0.1:1 ",         "127.0.0.1:0x50",  "127.0.0.1:http",   "[::1]:",       "[::1]:x",
        "*:",           "127.0.0.1:4294967376",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i], TNI_TO_LISTEN, "port");
    refused("127.0.0.1:0", TNI_TO_CONNECT, "port 0");
    refused("127.0.0.1", TNI_TO_LISTEN, "port is missing");
    refused("[::1]", TNI_TO_LISTEN, "port is missing");
    refused("", TNI_TO_LISTEN, "port is missing");
    refused("*", TNI_TO_LISTEN, "port is missing");
    refused("7000", TNI_TO_LISTEN, "port is missing");
    refused(":7000", TNI_TO_LISTEN, "*:7000");
}

Test(address, nonsense)
{
    static const char *const bad[] = {
        "localhost:80", "1.2.3:80",      "1.2.3.4.5:80", "256.1.1.1:80", "1.2.3.-4:80",      " 1.2.3.4:80",
        "1.2.3.4 :80",  "0x7f.0.0.1:80", "127.1:80",     "010.0.0.1:80", "http//1.2.3.4:80",
    };
    char too_long[400];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i], TNI_TO_CONNECT, "four numbers");
    refused("::1:7000", TNI_TO_LISTEN, "brackets");
    refused("fe80::1:7000", TNI_TO_LISTEN, "brackets");
    refused("[::1]7000:1", TNI_TO_LISTEN, "follows ']'");
    refused("[::1:7000", TNI_TO_LISTEN, "follows ']'");
    refused("[:80", TNI_TO_LISTEN, "follows ']'");
    refused("[]:80", TNI_TO_LISTEN, "IPv6 address between");
    refused("[127.0.0.1]:80", TNI_TO_LISTEN, "IPv6 address between");
    refused("[::1::2]:80", TNI_TO_LISTEN, "IPv6 address between");
    refused("[12345::]:80", TNI_TO_LISTEN, "IPv6 address between");
    refused("[[::1]]:80", TNI_TO_LISTEN, "IPv6 address between");
    refused(NULL, TNI_TO_LISTEN, "NULL");
    memset(too_long, '1', sizeof too_long);
    memcpy(too_long + sizeof too_long - 4, ":80", 4);
    refused(too_long, TNI_TO_LISTEN, "too long");
}

Test(address, unix_paths)
{
    tni_address address;
    char longest[128];

    round_trip_unix("/tmp/server.sock");
    round_trip_unix("relative");
    round_trip_unix("@abstract");
    round_trip_unix("@a@b");
    memset(longest, 'p', sizeof longest);
    longest[107] = '\0';
    round_trip_unix(longest);
    longest[0] = '@';
    round_trip_unix(longest);
    longest[107] = 'p';
    longest[108] = '\0';
    cr_assert_eq(tni_address_parse_unix(&address, longest, &quiet), TN_EINVAL);
    cr_assert_not_null(strstr(last_line, "108 bytes, at most 107"));
    cr_assert_eq(tni_address_parse_unix(&address, "", &quiet), TN_EINVAL);
    cr_assert_not_null(strstr(last_line, "empty"));
    cr_assert_eq(tni_address_parse_unix(&address, "@", &quiet), TN_EINVAL);
    cr_assert_eq(tni_address_parse_unix(&address, NULL, &quiet), TN_EINVAL);
}

/* What the kernel returns and no text describes: unnamed sockets, paths without an end, names with zeroes, unknown families. */
Test(address, printing_what_the_kernel_answers)
{
    tni_address address;
    char buf[TN_ADDRESS_SIZE];

    memset(&address, 0, sizeof address);
    address.socket.any.sa_family = AF_UNIX;
    address.length = sizeof(sa_family_t);
    tni_address_print(&address, buf);
    cr_assert_str_eq(buf, "");
    memset(address.socket.local.sun_path, 'x', sizeof address.socket.local.sun_path);
    address.length = sizeof address.socket.local;
    tni_address_print(&address, buf);
    cr_assert_eq(strlen(buf), sizeof address.socket.local.sun_path);
    memcpy(address.socket.local.sun_path, "\0a\0b", 4);
    address.length = offsetof(struct sockaddr_un, sun_path) + 4;
    tni_address_print(&address, buf);
    cr_assert_str_eq(buf, "@a@b");
    address.socket.any.sa_family = AF_UNSPEC;
    tni_address_print(&address, buf);
    cr_assert_str_eq(buf, "");
}

Test(address, equal)
{
    tni_address a, b;

    cr_assert_eq(tni_address_parse_tcp(&a, "127.0.0.1:7000", TNI_TO_CONNECT, &quiet), 0);
    cr_assert_eq(tni_address_parse_tcp(&b, "127.0.0.1:7000", TNI_TO_CONNECT, &quiet), 0);
    cr_assert(tni_address_equal(&a, &b));
    cr_assert_eq(tni_address_parse_tcp(&b, "127.0.0.1:7001", TNI_TO_CONNECT, &quiet), 0);
    cr_assert(!tni_address_equal(&a, &b));
    cr_assert_eq(tni_address_parse_tcp(&b, "[::1]:7000", TNI_TO_CONNECT, &quiet), 0);
    cr_assert(!tni_address_equal(&a, &b));
}
