#include "os_symbol.h"

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

#define RANGES_MAX 64

typedef struct {
    uintptr_t begin;
    uintptr_t end;
} range;

typedef struct {
    range of[RANGES_MAX];
    unsigned count;
} code;

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    code *c = arg;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum && c->count < RANGES_MAX; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0)
            c->of[c->count++] = (range){begin, begin + segment->p_memsz};
    }
    return 0;
}

#if defined(__x86_64__)
/* A near call: E8 and an offset, or FF with 2 in the middle of the byte behind it. */
#define CALL_BYTES_MAX 7

static bool is_behind_call(const uint8_t *pc)
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

static bool is_behind_call(const uint8_t *pc)
{
    uint32_t before;

    memcpy(&before, pc - 4, sizeof before);
    return (before & 0xfc000000) == 0x94000000 || (before & 0xfffffc1f) == 0xd63f0000; /* bl, blr */
}
#endif

static bool is_return_address(const code *c, const void *pc)
{
    for (unsigned i = 0; i < c->count; i++)
        if ((uintptr_t)pc >= c->of[i].begin + CALL_BYTES_MAX && (uintptr_t)pc < c->of[i].end)
            return is_behind_call(pc);
    return false;
}

unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max)
{
    code c = {.count = 0};
    unsigned found = 0;

    (void)dl_iterate_phdr(add_object, &c);
    for (unsigned i = 0; i < count && found < max; i++)
        if (is_return_address(&c, words[i]))
            out[found++] = words[i];
    return found;
}
