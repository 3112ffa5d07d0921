/* SPDX-License-Identifier: MIT */
/* Names of functions that no dynamic linker knows: from the file of the program, and from files that are not what they should
 * be. */
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os_symbol.h"
#include "os/os_symbol_file.h"
#include "support/runtime.h"

__attribute__((noinline)) static int lonely(int x)
{
    __asm__ volatile("" : "+r"(x));
    return x + 1;
}

/* The address of `lonely` in the program's file, and what identifies that file. */
typedef struct {
    tni_symbol_file_id id;
    uintptr_t address;
} wanted;

static wanted wanted_here(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR); /* NOLINT(performance-no-int-to-ptr) */
    unsigned count = (unsigned)getauxval(AT_PHNUM);
    uintptr_t bias = 0;

    for (unsigned i = 0; i < count; i++)
        if (headers[i].p_type == PT_PHDR)
            bias = (uintptr_t)headers - headers[i].p_vaddr;
    return (wanted){{headers, count}, (uintptr_t)lonely - bias};
}

static bool is_found(const char *path, wanted w, char *name, size_t size)
{
    uintptr_t begin = 0;

    if (!tni_os_symbol_in_file(path, w.id, w.address, name, size, &begin))
        return false;
    cr_assert_leq(begin, w.address);
    return true;
}

Test(os_symbol, a_static_function_has_a_name)
{
    char name[128];

    cr_assert_eq(lonely(1), 2);
    cr_assert(is_found("/proc/self/exe", wanted_here(), name, sizeof name));
    cr_assert_str_eq(name, "lonely");
    tni_os_symbol((const void *)(uintptr_t)lonely, name, sizeof name);
    cr_assert(strncmp(name, "lonely+0x0 (", 12) == 0, "%s", name);
}

Test(os_symbol, a_long_name_is_cut)
{
    char name[4];

    cr_assert(is_found("/proc/self/exe", wanted_here(), name, sizeof name));
    cr_assert_str_eq(name, "lon");
}

Test(os_symbol, other_files_are_refused)
{
    wanted w = wanted_here();
    char name[128];

    cr_assert(!is_found("/no/such/file", w, name, sizeof name));
    cr_assert(!is_found("/proc/self/status", w, name, sizeof name)); /* no ELF file */
    cr_assert(!is_found("/bin/sh", w, name, sizeof name));           /* another program */
    cr_assert(!is_found("/", w, name, sizeof name));
    w.address = 8; /* no function is there */
    cr_assert(!is_found("/proc/self/exe", w, name, sizeof name));
}

static void copy_all(int from, int to)
{
    char buf[65536];
    ssize_t n;

    while ((n = read(from, buf, sizeof buf)) > 0)
        cr_assert_eq(write(to, buf, (size_t)n), n);
}

/* The file is cut short at many places, and then has bytes changed at many: the result is no name, or some text. */
Test(os_symbol, damaged_files)
{
    char path[] = "/tmp/tn_symbol_XXXXXX";
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = mkstemp(path);
    wanted w = wanted_here();
    unsigned random = 1;
    char name[128];
    struct stat info;

    cr_assert(from >= 0 && to >= 0);
    copy_all(from, to);
    cr_assert(is_found(path, w, name, sizeof name));
    cr_assert_eq(fstat(to, &info), 0);
    for (int i = 0; i < 2000; i++) { /* most are in the headers and the tables at the end */
        unsigned char byte;
        off_t at;
        random = random * 1103515245 + 12345;
        at = random >> 16 & 1 ? (off_t)(random >> 17 & 1023) : info.st_size - 1 - (off_t)(random >> 17 & 4095);
        cr_assert_eq(pread(to, &byte, 1, at), 1);
        byte ^= (unsigned char)(random >> 8 | 1);
        cr_assert_eq(pwrite(to, &byte, 1, at), 1);
        if (is_found(path, w, name, sizeof name))
            cr_assert_lt(strlen(name), sizeof name);
    }
    for (off_t length = info.st_size; length > 0; length /= 2) {
        cr_assert_eq(ftruncate(to, length), 0);
        if (is_found(path, w, name, sizeof name))
            cr_assert_lt(strlen(name), sizeof name);
    }
    close(from);
    close(to);
    unlink(path);
}
