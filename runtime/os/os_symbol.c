/* SPDX-License-Identifier: MIT */
/* Symbol names of code addresses, and detection of return addresses. */
#include "os/os_symbol.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

void tni_os_symbol(const void *pc, char *out, size_t size)
{
    const char *file;
    Dl_info info;
    size_t in_file;

    if (pc == NULL || dladdr(pc, &info) == 0 || info.dli_fname == NULL) {
        (void)snprintf(out, size, "%p", pc);
        return;
    }
    file = strrchr(info.dli_fname, '/');
    file = file == NULL ? info.dli_fname : file + 1;
    in_file = (size_t)((const char *)pc - (const char *)info.dli_fbase);
    if (info.dli_sname == NULL)
        (void)snprintf(out, size, "%s+0x%zx", file, in_file);
    else
        (void)snprintf(out, size, "%s+0x%zx (%s+0x%zx)", info.dli_sname,
                       (size_t)((const char *)pc - (const char *)info.dli_saddr), file, in_file);
}

/* --- Return addresses ------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* A near call is E8 and an offset, or FF and a byte whose middle field is 2. */
#define CALL_BYTES_MAX 7

static bool follows_call(const uint8_t *pc)
{
    if (pc[-5] == 0xe8)
        return true;
    for (int bytes = 2; bytes <= CALL_BYTES_MAX; bytes++)
        if (pc[-bytes] == 0xff && (pc[1 - bytes] >> 3 & 7) == 2)
            return true;
    return false;
}
#else
#define CALL_BYTES_MAX 4

static bool follows_call(const uint8_t *pc)
{
    uint32_t before;

    memcpy(&before, pc - 4, sizeof before);
    return (before & 0xfc000000) == 0x94000000 || (before & 0xfffffc1f) == 0xd63f0000; /* bl, blr */
}
#endif

/* Words that are checked in one pass over the loaded objects. */
#define CHUNK 64

typedef struct {
    const void *const *words;
    unsigned count;
    uint64_t found; /* a bit for each word */
} chunk;

/* The dynamic linker holds its lock, so the object is not unloaded meanwhile. */
static int check_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    chunk *c = arg;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD || (segment->p_flags & (PF_X | PF_R)) != (PF_X | PF_R))
            continue; /* no code, or code that cannot be read */
        for (unsigned w = 0; w < c->count; w++) {
            uintptr_t pc = (uintptr_t)c->words[w];
            if (pc >= begin + CALL_BYTES_MAX && pc - begin < segment->p_memsz && follows_call(c->words[w]))
                c->found |= UINT64_C(1) << w;
        }
    }
    return 0;
}

unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max)
{
    unsigned found = 0;

    for (unsigned at = 0; at < count && found < max; at += CHUNK) {
        chunk c = {.words = words + at, .count = count - at < CHUNK ? count - at : CHUNK};
        (void)dl_iterate_phdr(check_object, &c);
        for (unsigned w = 0; w < c.count && found < max; w++)
            if (c.found >> w & 1)
                out[found++] = c.words[w];
    }
    return found;
}
