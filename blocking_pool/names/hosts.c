/* SPDX-License-Identifier: MIT */
/* Names of the hosts file, which need no resolver. A lookup of such a name must not wait for threads that wait for a name server.
 *
 * If "files" is the first source of hosts in nsswitch.conf, the C library returns what the hosts file has, and asks no name
 * server. So does this file. It reads both files for each lookup, as the C library does, because they may change. */
#include "names/hosts.h"

#include <string.h>
#include <strings.h>

#include <tn/fs.h>

#include "os/os_names.h"

#define HOSTS_PATH "/etc/hosts"
#define SWITCH_PATH "/etc/nsswitch.conf"

/* In a longer file the C library searches, on a thread. */
#define BYTES_MAX ((size_t)1 << 20)

#define BLANKS " \t\r"

/* --- Syntax ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *begin;
    size_t length;
} word;

/* The next word of a line that ends with a newline, a comment or the text. Length 0: there is none. */
static word next_word(const char **at)
{
    word out = {.begin = *at + strspn(*at, BLANKS)};

    out.length = strcspn(out.begin, BLANKS "\n#");
    *at = out.begin + out.length;
    return out;
}

static const char *next_line(const char *at)
{
    at += strcspn(at, "\n");
    return *at == '\n' ? at + 1 : at;
}

static bool is_word(word w, const char *text, size_t length)
{
    return w.length == length && strncasecmp(w.begin, text, length) == 0;
}

/* The name of a database, and its colon, which needs no blank behind it. Length 0: the line has none. */
static word next_database(const char **at)
{
    word out = {.begin = *at + strspn(*at, BLANKS)};

    out.length = strcspn(out.begin, BLANKS ":\n#");
    *at = out.begin + out.length;
    if (**at != ':')
        out.length = 0;
    else
        (*at)++;
    return out;
}

bool tni_hosts_are_first(const char *nsswitch)
{
    for (const char *line = nsswitch; *line != '\0'; line = next_line(line)) {
        const char *at = line;
        if (is_word(next_database(&at), "hosts", 5))
            return is_word(next_word(&at), "files", 5);
    }
    return true; /* the C library's default */
}

/* --- Search ----------------------------------------------------------------------------------------------------------------- */

/* Inserts an address behind those of its rank. */
static void add(tni_hosts_found *found, word text)
{
    tni_hosts_address address;
    unsigned place = found->count++;

    memcpy(address.text, text.begin, text.length);
    address.text[text.length] = '\0';
    address.rank = tni_os_address_rank(address.text);
    for (; place > 0 && found->addresses[place - 1].rank > address.rank; place--)
        found->addresses[place] = found->addresses[place - 1];
    found->addresses[place] = address;
}

static bool has(const tni_hosts_found *found, word address)
{
    for (unsigned i = 0; i < found->count; i++)
        if (is_word(address, found->addresses[i].text, strlen(found->addresses[i].text)))
            return true;
    return false;
}

static bool names_host(const char *at, const char *host, size_t length)
{
    for (word name = next_word(&at); name.length > 0; name = next_word(&at))
        if (is_word(name, host, length))
            return true;
    return false;
}

void tni_hosts_search(const char *text, const char *host, tni_hosts_found *found)
{
    size_t length = strlen(host);

    if (length > 0 && host[length - 1] == '.')
        length--;
    found->count = 0;
    for (const char *line = text; *line != '\0' && found->count < TNI_HOSTS_MAX; line = next_line(line)) {
        const char *at = line;
        word address = next_word(&at);
        if (address.length > 0 && address.length < TNI_HOSTS_TEXT && names_host(at, host, length) && !has(found, address))
            add(found, address);
    }
}

static bool is_cut_short(int rc)
{
    return rc == TN_ECANCELED || rc == TN_ETIMEDOUT;
}

int tni_hosts_find(const char *host, tni_hosts_found *found)
{
    tn_contents contents;
    int rc = tn_fs_read_file(SWITCH_PATH, BYTES_MAX, &contents);
    bool first = rc == 0 ? tni_hosts_are_first(contents.data) : rc == -ENOENT;

    found->count = 0;
    tn_contents_fini(&contents);
    if (first)
        rc = tn_fs_read_file(HOSTS_PATH, BYTES_MAX, &contents);
    if (first && rc == 0)
        tni_hosts_search(contents.data, host, found);
    tn_contents_fini(&contents);
    return is_cut_short(rc) ? rc : 0;
}
