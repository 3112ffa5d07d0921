/* SPDX-License-Identifier: MIT */
/* What a service of systemd gets and reports. The protocol is that of sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3):
 * variables of the environment, descriptors from 3 on, and datagrams of lines NAME=VALUE. */
#include <tn/systemd.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "os/os_socket.h"
#include "os/os_systemd.h"

#define FIRST_FD 3
#define FDS_MAX 4096
#define STATUS_BYTES 200

/* Reads a variable that is a number without a sign. Returns 1; 0: it is not set; TN_EINVAL: it is something else. */
static int read_number(const char *name, uint64_t *out)
{
    const char *text = tni_os_environment(name);
    unsigned long long value;
    char *end;

    if (text == NULL)
        return 0;
    if (*text < '0' || *text > '9')
        return TN_EINVAL;
    value = strtoull(text, &end, 10);
    if (*end != '\0')
        return TN_EINVAL;
    *out = value;
    return 1;
}

/* Children inherit the variables, which do not concern them. `if_not_set`: whether they are for all processes then. */
static bool is_for_this_process(const char *name, bool if_not_set)
{
    uint64_t process = 0;
    int rc = read_number(name, &process);

    return rc == 0 ? if_not_set : rc > 0 && process == (uint64_t)tni_os_own_pid();
}

/* --- Listeners -------------------------------------------------------------------------------------------------------------- */

/* Takes the next name off the list. */
static bool next_name_is(const char **names, const char *wanted)
{
    static const char unknown[] = "unknown";
    const char *name = *names == NULL || **names == '\0' ? unknown : *names;
    size_t length = strcspn(name, ":");

    if (name != unknown)
        *names = name[length] == ':' ? name + length + 1 : name + length;
    return wanted == NULL || (strlen(wanted) == length && memcmp(name, wanted, length) == 0);
}

static int open_listener(tn_runtime *runtime, tn_listener **out, int fd)
{
    int copy = tni_os_duplicate(fd);
    int rc;

    if (copy < 0)
        return copy;
    rc = tn_listener_open(runtime, out, copy);
    if (rc != 0)
        tni_os_close(copy);
    return rc;
}

/* `count`: how many there are already. Returns how many there are then, or an error. */
static int open_all(tn_runtime *runtime, const char *name, tn_listener **out, size_t max, uint64_t fds)
{
    const char *names = tni_os_environment("LISTEN_FDNAMES");
    size_t count = 0;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < fds; i++) {
        if (!next_name_is(&names, name))
            continue;
        rc = count == max ? TN_EOVERFLOW : open_listener(runtime, &out[count], FIRST_FD + (int)i);
        if (rc == 0)
            count++;
    }
    if (rc == 0)
        return (int)count;
    while (count > 0)
        tn_listener_close(out[--count]);
    return rc;
}

int tn_systemd_listeners(tn_runtime *runtime, const char *name, tn_listener **out, size_t max)
{
    uint64_t fds = 0;
    int rc;

    if (!is_for_this_process("LISTEN_PID", false))
        return 0;
    rc = read_number("LISTEN_FDS", &fds);
    if (rc <= 0 || fds > FDS_MAX)
        return rc <= 0 ? rc : TN_EINVAL;
    return open_all(runtime, name, out, max, fds);
}

/* --- States ----------------------------------------------------------------------------------------------------------------- */

static int notify(const char *lines)
{
    const char *path = tni_os_environment("NOTIFY_SOCKET");
    int rc;

    if (path == NULL)
        return 0;
    rc = tni_os_send_datagram(path, lines, strlen(lines));
    return rc < 0 ? rc : 1;
}

int tn_systemd_ready(void)
{
    return notify("READY=1");
}

int tn_systemd_reloading(void)
{
    char lines[64];

    (void)snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, tni_clock_ns() / 1000);
    return notify(lines);
}

int tn_systemd_stopping(void)
{
    return notify("STOPPING=1");
}

/* Ends `text` after `max` bytes at most, and not inside a character of UTF-8. */
static void cut(char *text, size_t max)
{
    size_t size = strlen(text);

    if (size <= max)
        return;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    text[max] = '\0';
}

int tn_systemd_status(const char *format, ...)
{
    static const char key[] = "STATUS=";
    char line[sizeof key + STATUS_BYTES + 1]; /* one more, to see whether a character begins there */
    va_list arguments;

    memcpy(line, key, sizeof key);
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it was started */
    (void)vsnprintf(line + sizeof key - 1, STATUS_BYTES + 2, format, arguments);
    va_end(arguments);
    cut(line + sizeof key - 1, STATUS_BYTES);
    for (char *at = line; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
    return notify(line);
}

int tn_systemd_main_pid(pid_t process)
{
    char line[32];

    (void)snprintf(line, sizeof line, "MAINPID=%ld", (long)process);
    return notify(line);
}

/* --- The watchdog ----------------------------------------------------------------------------------------------------------- */

int tn_systemd_keep_alive(void)
{
    uint64_t interval_us = 0;
    int rc = 0;

    if (!is_for_this_process("WATCHDOG_PID", true) || read_number("WATCHDOG_USEC", &interval_us) <= 0 || interval_us == 0 ||
        interval_us > UINT64_MAX / 1000)
        return 0;
    while (rc == 0) {
        (void)notify("WATCHDOG=1"); /* one that is not sent is followed by the next one in time */
        rc = tn_sleep(interval_us * 1000 / 2);
    }
    return rc;
}
