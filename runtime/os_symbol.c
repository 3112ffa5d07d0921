#include "os_symbol.h"

#include <dlfcn.h>
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
