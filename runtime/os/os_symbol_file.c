/* SPDX-License-Identifier: MIT */
/* Names of static functions, from the section .symtab of an ELF file. The file is read piece by piece into the caller's small
 * stack, and everything in it is checked: it may have been replaced since it was loaded, or be cut short. */
#include "os/os_symbol_file.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How many are read at once. */
#define HEADERS_MAX 16
#define SYMBOLS 16

static bool read_at(int fd, uint64_t offset, void *to, size_t size)
{
    return offset <= INT64_MAX && pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

static bool has_headers(int fd, const ElfW(Ehdr) * file, tni_symbol_file_id id)
{
    ElfW(Phdr) headers[HEADERS_MAX];

    if (id.count > HEADERS_MAX || file->e_phnum < id.count || file->e_phentsize != sizeof *headers)
        return false;
    return read_at(fd, file->e_phoff, headers, id.count * sizeof *headers) &&
           memcmp(headers, id.headers, id.count * sizeof *headers) == 0;
}

static bool find_section(int fd, const ElfW(Ehdr) * file, uint32_t type, ElfW(Shdr) * out)
{
    if (file->e_shentsize != sizeof *out)
        return false;
    for (unsigned i = 0; i < file->e_shnum; i++)
        if (!read_at(fd, file->e_shoff + i * sizeof *out, out, sizeof *out))
            return false;
        else if (out->sh_type == type)
            return true;
    return false;
}

static bool covers(const ElfW(Sym) * symbol, uintptr_t address)
{
    return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF &&
           address - symbol->st_value < symbol->st_size;
}

static bool find_function(int fd, const ElfW(Shdr) * table, uintptr_t address, ElfW(Sym) * out)
{
    uint64_t total = table->sh_size / sizeof *out;
    ElfW(Sym) symbols[SYMBOLS];

    for (uint64_t done = 0; done < total; done += SYMBOLS) {
        unsigned count = total - done < SYMBOLS ? (unsigned)(total - done) : SYMBOLS;
        if (!read_at(fd, table->sh_offset + done * sizeof *symbols, symbols, count * sizeof *symbols))
            return false;
        for (unsigned i = 0; i < count; i++)
            if (covers(&symbols[i], address)) {
                *out = symbols[i];
                return true;
            }
    }
    return false;
}

/* The string table is the section that the symbol table names. */
static bool read_name(int fd, const ElfW(Ehdr) * file, const ElfW(Shdr) * table, const ElfW(Sym) * symbol, char *name,
                      size_t size)
{
    ElfW(Shdr) strings;
    ssize_t length;

    if (table->sh_link >= file->e_shnum ||
        !read_at(fd, file->e_shoff + table->sh_link * sizeof strings, &strings, sizeof strings) ||
        symbol->st_name >= strings.sh_size)
        return false;
    length = pread(fd, name, size - 1, (off_t)(strings.sh_offset + symbol->st_name));
    if (length <= 0)
        return false;
    name[length] = '\0';
    return name[0] != '\0';
}

bool tni_os_symbol_in_file(const char *path, tni_symbol_file_id id, uintptr_t address, char *name, size_t size, uintptr_t *begin)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ElfW(Ehdr) file;
    ElfW(Shdr) table;
    ElfW(Sym) symbol;
    bool found;

    if (fd < 0)
        return false;
    found = read_at(fd, 0, &file, sizeof file) && memcmp(file.e_ident, ELFMAG, SELFMAG) == 0 && has_headers(fd, &file, id) &&
            find_section(fd, &file, SHT_SYMTAB, &table) && find_function(fd, &table, address, &symbol) &&
            read_name(fd, &file, &table, &symbol, name, size);
    close(fd);
    if (found)
        *begin = symbol.st_value;
    return found;
}
