/* SPDX-License-Identifier: MIT */
/* Converting text to socket addresses and back.
 *
 * The parser is strict: it refuses what is not clearly an address, and the log says why and what to write instead. A server
 * that listens on an address that was not meant is worse than one that does not start. Names are resolved elsewhere, because
 * that takes system calls that wait.
 */
#include "address/address.h"

#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535u
/* Text with more digits is not the number of an interface. */
#define SCOPE_DIGITS_MAX 9

/* Logs one line with the reason; `text` may be of any length, so it is cut. */
static int refuse(const tni_log *log, const char *text, const char *reason)
{
    tni_log_write(log, TN_LOG_ERROR, "'%.100s' is not an address: %s", text, reason);
    return TN_EINVAL;
}

/* Digits only; false if there are none, or too many. */
static bool parse_number(const char *text, size_t digits_max, uint32_t *out)
{
    uint32_t number = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > digits_max || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint32_t)(text[i] - '0');
    *out = number;
    return true;
}

static int parse_port(const char *port, tni_purpose purpose, const tni_log *log, const char *text, in_port_t *out)
{
    uint32_t number;

    if (!parse_number(port, 5, &number) || number > PORT_MAX)
        return refuse(log, text, "the port after the last ':' must be a number from 0 to 65535, as in 127.0.0.1:7000");
    if (number == 0 && purpose == TNI_TO_CONNECT)
        return refuse(log, text, "port 0 cannot be connected to; write the port of the server");
    *out = htons((uint16_t)number);
    return 0;
}

/* The interface after '%', by name or number. */
static bool parse_scope(const char *scope, uint32_t *out)
{
    *out = tni_os_interface_index(scope);
    if (*out != 0)
        return true;
    return parse_number(scope, SCOPE_DIGITS_MAX, out) && *out != 0;
}

/* `host`: the text between the brackets. */
static int parse_v6(struct sockaddr_in6 *out, char *host, const tni_log *log, const char *text)
{
    char *percent = strchr(host, '%');

    out->sin6_family = AF_INET6;
    if (percent != NULL) {
        *percent = '\0';
        if (!parse_scope(percent + 1, &out->sin6_scope_id))
            return refuse(log, text, "after '%' write an interface's name or number, as in [fe80::1%eth0]:7000");
    }
    if (inet_pton(AF_INET6, host, &out->sin6_addr) != 1)
        return refuse(log, text, "write an IPv6 address between '[' and ']', as in [::1]:7000");
    return 0;
}

static int parse_v4(struct sockaddr_in *out, const char *host, const tni_log *log, const char *text)
{
    out->sin_family = AF_INET;
    if (inet_pton(AF_INET, host, &out->sin_addr) == 1)
        return 0;
    if (strchr(host, ':') != NULL)
        return refuse(log, text, "write an IPv6 address in brackets, as in [::1]:7000");
    return refuse(log, text, "write four numbers from 0 to 255, as in 127.0.0.1:7000; names are not resolved here");
}

/* `host`: the text before the last ':'; it is modified. */
static int parse_host(tni_address *out, char *host, tni_purpose purpose, const tni_log *log, const char *text)
{
    size_t length = strlen(host);

    if (strcmp(host, "*") == 0) {
        if (purpose == TNI_TO_CONNECT)
            return refuse(log, text, "'*' is for listening; to connect write the server's address, as in 127.0.0.1:7000");
        out->socket.v6.sin6_family = AF_INET6;
        out->socket.v6.sin6_addr = in6addr_any;
        out->length = sizeof out->socket.v6;
        return 0;
    }
    if (host[0] == '[') {
        if (host[length - 1] != ']')
            return refuse(log, text, "the port follows ']' and ':', as in [::1]:7000");
        host[length - 1] = '\0';
        out->length = sizeof out->socket.v6;
        return parse_v6(&out->socket.v6, host + 1, log, text);
    }
    out->length = sizeof out->socket.v4;
    return parse_v4(&out->socket.v4, host, log, text);
}

int tni_address_parse_tcp(tni_address *out, const char *text, tni_purpose purpose, const tni_log *log)
{
    char host[TN_ADDRESS_SIZE];
    const char *colon;
    size_t length;
    int rc;

    memset(out, 0, sizeof *out);
    if (text == NULL)
        return refuse(log, "NULL", "write one as in 127.0.0.1:7000");
    colon = strrchr(text, ':');
    if (colon == NULL || (text[0] == '[' && text[strlen(text) - 1] == ']'))
        return refuse(log, text, "the port is missing; write it after a ':', as in 127.0.0.1:7000 or [::1]:7000");
    length = (size_t)(colon - text);
    if (length == 0)
        return refuse(log, text, "the host is missing; to listen everywhere write '*', as in *:7000");
    if (length >= sizeof host)
        return refuse(log, text, "it is too long");
    memcpy(host, text, length);
    host[length] = '\0';
    rc = parse_host(out, host, purpose, log, text);
    if (rc != 0)
        return rc;
    /* The port is at the same offset in both structs. */
    return parse_port(colon + 1, purpose, log, text, &out->socket.v4.sin_port);
}

bool tni_address_is_name(const char *text, char *host, size_t size, const char **port)
{
    const char *colon = text != NULL ? strrchr(text, ':') : NULL;
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;

    if (length == 0 || length >= size || colon[1] == '\0' || text[0] == '[' || text[0] == '*')
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    *port = colon + 1;
    /* Text of digits and dots alone is a numeric address, valid or not. Text with another ':' is an IPv6 address without
     * brackets. */
    return strchr(host, ':') == NULL && strspn(host, "0123456789.") < length;
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
               "tni_address_parse_tcp sets both ports through one member");

int tni_address_parse_unix(tni_address *out, const char *path, const tni_log *log)
{
    struct sockaddr_un *local = &out->socket.local;
    size_t length = path == NULL ? 0 : strlen(path);

    memset(out, 0, sizeof *out);
    if (length == 0 || (path[0] == '@' && length == 1)) {
        tni_log_write(log, TN_LOG_ERROR, "the path of a Unix socket is empty; write one as in /run/server.sock or @server");
        return TN_EINVAL;
    }
    if (length >= sizeof local->sun_path) {
        tni_log_write(log, TN_LOG_ERROR,
                      "the Unix socket's path '%.60s...' has %zu bytes, at most %zu are allowed: use a shorter one", path, length,
                      sizeof local->sun_path - 1);
        return TN_EINVAL;
    }
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, path, length);
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (path[0] == '@')
        local->sun_path[0] = '\0'; /* an abstract socket; the length says where the name ends */
    else
        out->length++; /* the length includes the zero at the end of a path */
    return 0;
}

void tni_address_any_v4(tni_address *out, const tni_address *v6)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = v6->socket.v6.sin6_port};

    memset(out, 0, sizeof *out);
    out->socket.v4 = any;
    out->length = sizeof any;
}

/* --- Text ------------------------------------------------------------------------------------------------------------------ */

static void print_v4(const struct in_addr *host, in_port_t port, char *buf)
{
    char text[INET_ADDRSTRLEN];

    (void)inet_ntop(AF_INET, host, text, sizeof text);
    (void)snprintf(buf, TN_ADDRESS_SIZE, "%s:%u", text, (unsigned)ntohs(port));
}

static void print_v6(const struct sockaddr_in6 *address, char *buf)
{
    char text[INET6_ADDRSTRLEN];
    char scope[TNI_OS_INTERFACE_NAME_SIZE + 1] = "";
    unsigned port = ntohs(address->sin6_port);

    if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr)) {
        struct in_addr host;
        memcpy(&host, &address->sin6_addr.s6_addr[12], sizeof host);
        print_v4(&host, address->sin6_port, buf);
        return;
    }
    (void)inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
    if (address->sin6_scope_id != 0) {
        scope[0] = '%';
        if (!tni_os_interface_name(address->sin6_scope_id, scope + 1))
            (void)snprintf(scope + 1, sizeof scope - 1, "%u", address->sin6_scope_id);
    }
    (void)snprintf(buf, TN_ADDRESS_SIZE, "[%s%s]:%u", text, scope, port);
}

static void print_unix(const tni_address *address, char *buf)
{
    const struct sockaddr_un *local = &address->socket.local;
    size_t length = address->length - offsetof(struct sockaddr_un, sun_path);

    if (length > sizeof local->sun_path)
        length = sizeof local->sun_path;
    if (length > 0 && local->sun_path[0] != '\0')
        length = strnlen(local->sun_path, length);
    memcpy(buf, local->sun_path, length);
    buf[length] = '\0';
    for (size_t i = 0; i < length; i++) /* abstract names begin with a zero, and may contain more */
        if (buf[i] == '\0')
            buf[i] = '@';
}

_Static_assert(sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path) < TN_ADDRESS_SIZE, "a path must fit");

void tni_address_print(const tni_address *address, char buf[TN_ADDRESS_SIZE])
{
    buf[0] = '\0';
    if (address->length <= offsetof(struct sockaddr_un, sun_path))
        return; /* an unnamed Unix socket has only a family */
    switch (address->socket.any.sa_family) {
    case AF_INET:
        print_v4(&address->socket.v4.sin_addr, address->socket.v4.sin_port, buf);
        break;
    case AF_INET6:
        print_v6(&address->socket.v6, buf);
        break;
    case AF_UNIX:
        print_unix(address, buf);
        break;
    default:
        break;
    }
}

bool tni_address_equal(const tni_address *a, const tni_address *b)
{
    return a->length == b->length && memcmp(&a->socket, &b->socket, a->length) == 0;
}
