/* SPDX-License-Identifier: MIT */
/* Symbol names of code addresses, and detection of return addresses.
 *
 * dladdr and dl_iterate_phdr wait for the lock of the dynamic linker. A thread inside dlopen holds it while the constructors of
 * a plug-in run, maybe for seconds. So the list of loaded objects is read here without a lock, as a debugger reads it: from the
 * DT_DEBUG entry of the program. Objects may come and go meanwhile. Therefore their memory is copied by
 * tni_os_copy, which reports an address that is not mapped, and all that is copied is checked. What cannot be copied is
 * left out. Objects of other namespaces (dlmopen) are not found.
 */
#include "os/os_symbol.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "os/os_copy.h"
#include "os/os_symbol_file.h"

/* --- Reading memory that may vanish --------------------------------------------------------------------------------------- */

/* Copies a string and cuts it. A string may end just before an address that is not mapped, so no piece crosses a page. */
static bool copy_text(uintptr_t from, char *to, size_t size)
{
    enum { PIECE = 64 };
    size_t length = 0;

    while (length + 1 < size) {
        size_t piece = PIECE - (from + length) % PIECE;
        if (piece > size - 1 - length)
            piece = size - 1 - length;
        if (!tni_os_copy(from + length, to + length, piece))
            return false;
        if (memchr(to + length, '\0', piece) != NULL)
            return true;
        length += piece;
    }
    to[length] = '\0';
    return true;
}

/* --- Loaded objects ------------------------------------------------------------------------------------------------------- */

/* More objects than any program has: the list may have been changed while it is read. */
#define OBJECTS_MAX 4096
#define SEGMENTS_MAX 16

typedef ElfW(Phdr) segment;

typedef struct {
    uintptr_t bias; /* what is added to the addresses in the file */
    uintptr_t name; /* address of the path; 0: it is the program */
    unsigned count; /* of segments */
    segment segments[SEGMENTS_MAX];
} object;

static bool copy_segments(object *o, uintptr_t from, unsigned count)
{
    o->count = count < SEGMENTS_MAX ? count : SEGMENTS_MAX;
    return tni_os_copy(from, o->segments, o->count * sizeof *o->segments);
}

static const segment *segment_of_type(const object *o, uint32_t type)
{
    for (unsigned i = 0; i < o->count; i++)
        if (o->segments[i].p_type == type)
            return &o->segments[i];
    return NULL;
}

static bool describe_program(object *o)
{
    uintptr_t headers = getauxval(AT_PHDR);
    const segment *itself;

    if (headers == 0 || !copy_segments(o, headers, (unsigned)getauxval(AT_PHNUM)))
        return false;
    itself = segment_of_type(o, PT_PHDR);
    o->bias = itself != NULL ? headers - itself->p_vaddr : 0;
    o->name = 0;
    return true;
}

static bool describe_loaded(object *o, const struct link_map *map)
{
    ElfW(Ehdr) header;

    o->bias = map->l_addr;
    o->name = (uintptr_t)map->l_name;
    return tni_os_copy(map->l_addr, &header, sizeof header) && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
           header.e_phentsize == sizeof(segment) && copy_segments(o, map->l_addr + header.e_phoff, header.e_phnum);
}

/* Finds an entry of the dynamic section. Addresses in it are relocated by some dynamic linkers and not by others. False: there
 * is none. */
static bool dynamic_entry(const object *o, ElfW(Sxword) tag, uintptr_t *out)
{
    enum { ENTRIES = 16 };
    const segment *section = segment_of_type(o, PT_DYNAMIC);
    uintptr_t at = section != NULL ? o->bias + section->p_vaddr : 0;

    size_t total = section != NULL ? section->p_memsz / sizeof(ElfW(Dyn)) : 0;
    ElfW(Dyn) entries[ENTRIES];

    for (size_t i = 0; i < total; i++) {
        const ElfW(Dyn) *entry = &entries[i % ENTRIES];
        size_t rest = total - i;
        if (i % ENTRIES == 0 && !tni_os_copy(at + i * sizeof *entry, entries, (rest < ENTRIES ? rest : ENTRIES) * sizeof *entry))
            return false;
        if (entry->d_tag == DT_NULL)
            return false;
        if (entry->d_tag != tag)
            continue;
        *out = entry->d_un.d_ptr < o->bias ? entry->d_un.d_ptr + o->bias : entry->d_un.d_ptr;
        return true;
    }
    return false;
}

/* Returns the address of the description of the first loaded object, which is the program itself. 0: it has no list. */
static uintptr_t first_loaded(const object *program)
{
    struct r_debug list;
    uintptr_t at;

    return dynamic_entry(program, DT_DEBUG, &at) && tni_os_copy(at, &list, sizeof list) ? (uintptr_t)list.r_map : 0;
}

/* Calls `visit` for each loaded object until it returns true. False: some objects could not be read. */
static bool each_object(bool (*visit)(const object *o, void *arg), void *arg)
{
    struct link_map map;
    bool all = true;
    object o;
    uintptr_t at;

    if (!describe_program(&o))
        return false;
    at = first_loaded(&o);
    if (visit(&o, arg))
        return true;
    if (at == 0 || !tni_os_copy(at, &map, sizeof map))
        return false;
    for (unsigned i = 0; map.l_next != NULL; i++) {
        if (i == OBJECTS_MAX || !tni_os_copy((uintptr_t)map.l_next, &map, sizeof map))
            return false;
        if (!describe_loaded(&o, &map))
            all = false;
        else if (visit(&o, arg))
            return true;
    }
    return all;
}

static bool contains(const object *o, uintptr_t pc)
{
    for (unsigned i = 0; i < o->count; i++)
        if (o->segments[i].p_type == PT_LOAD && pc - (o->bias + o->segments[i].p_vaddr) < o->segments[i].p_memsz)
            return true;
    return false;
}

/* --- Symbols -------------------------------------------------------------------------------------------------------------- */

/* Few at a time: the caller may be on the small stack of a fiber. */
#define SYMBOLS 16

/* Counts the symbols by the hash table, which is all that limits their table. */
static uint32_t count_by_gnu_hash(uintptr_t table)
{
    uint32_t head[4]; /* buckets, first hashed symbol, words of the filter, shift */
    uint32_t words[SYMBOLS];
    uint32_t last = 0;
    uintptr_t at;

    if (!tni_os_copy(table, head, sizeof head))
        return 0;
    at = table + sizeof head + head[2] * sizeof(ElfW(Addr));
    for (uint32_t done = 0; done < head[0]; done += SYMBOLS) {
        uint32_t count = head[0] - done < SYMBOLS ? head[0] - done : SYMBOLS;
        if (!tni_os_copy(at + done * sizeof *words, words, count * sizeof *words))
            return 0;
        for (uint32_t i = 0; i < count; i++)
            last = words[i] > last ? words[i] : last;
    }
    if (last < head[1])
        return head[1];
    at += (head[0] + (uintptr_t)(last - head[1])) * sizeof *words;
    do /* a chain ends with an odd word */
        if (!tni_os_copy(at, words, sizeof *words))
            return 0;
    while (at += sizeof *words, last++, (words[0] & 1) == 0);
    return last;
}

static uint32_t count_symbols(const object *o)
{
    uint32_t head[2]; /* buckets, symbols */
    uintptr_t table;

    if (dynamic_entry(o, DT_HASH, &table))
        return tni_os_copy(table, head, sizeof head) ? head[1] : 0;
    return dynamic_entry(o, DT_GNU_HASH, &table) ? count_by_gnu_hash(table) : 0;
}

static bool covers(const ElfW(Sym) * symbol, uintptr_t in_object)
{
    if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) == STT_TLS || in_object < symbol->st_value)
        return false;
    return symbol->st_size == 0 ? in_object == symbol->st_value : in_object - symbol->st_value < symbol->st_size;
}

/* Finds the last symbol that covers the address. False: there is none. */
static bool find_symbol(const object *o, uintptr_t in_object, ElfW(Sym) * out)
{
    uint32_t total = count_symbols(o);
    ElfW(Sym) symbols[SYMBOLS];
    bool found = false;
    uintptr_t table;

    if (!dynamic_entry(o, DT_SYMTAB, &table))
        return false;
    for (uint32_t done = 0; done < total; done += SYMBOLS) {
        uint32_t count = total - done < SYMBOLS ? total - done : SYMBOLS;
        if (!tni_os_copy(table + done * sizeof *symbols, symbols, count * sizeof *symbols))
            return found;
        for (uint32_t i = 0; i < count; i++)
            if (covers(&symbols[i], in_object) && (!found || symbols[i].st_value > out->st_value)) {
                *out = symbols[i];
                found = true;
            }
    }
    return found;
}

typedef struct {
    uintptr_t pc;
    char *out;
    size_t size;
} lookup;

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static bool copy_path(const object *o, char *path, size_t size)
{
    ssize_t length;

    if (o->name != 0)
        return copy_text(o->name, path, size);
    length = readlink("/proc/self/exe", path, size - 1); /* the path it was started by may be this one (AT_EXECFN) */
    if (length > 0)
        path[length] = '\0';
    return length > 0;
}

/* Finds the function at an address of the object: among the symbols that the dynamic linker has loaded, which are those that the
 * object exports, and else in its file. */
static bool find_function(const object *o, uintptr_t in_object, char *name, size_t size, uintptr_t *begin)
{
    ElfW(Sym) symbol;
    uintptr_t names;
    char path[256];

    if (find_symbol(o, in_object, &symbol) && dynamic_entry(o, DT_STRTAB, &names) &&
        copy_text(names + symbol.st_name, name, size)) {
        *begin = symbol.st_value;
        return true;
    }
    if (o->name == 0)
        (void)snprintf(path, sizeof path, "/proc/self/exe"); /* also if the file has been deleted or replaced */
    else if (!copy_text(o->name, path, sizeof path))
        return false;
    return tni_os_symbol_in_file(path, (tni_symbol_file_id){o->segments, o->count}, in_object, name, size, begin);
}

static bool write_name(const object *o, void *arg)
{
    const lookup *l = arg;
    const segment *first = segment_of_type(o, PT_LOAD);
    uintptr_t begin;
    char path[256];
    char name[128];
    size_t in_file;

    if (!contains(o, l->pc))
        return false;
    if (!copy_path(o, path, sizeof path))
        return true;
    in_file = l->pc - (o->bias + first->p_vaddr);
    if (find_function(o, l->pc - o->bias, name, sizeof name, &begin))
        (void)snprintf(l->out, l->size, "%s+0x%zx (%s+0x%zx)", name, (size_t)(l->pc - o->bias - begin), base_name(path), in_file);
    else
        (void)snprintf(l->out, l->size, "%s+0x%zx", base_name(path), in_file);
    return true;
}

void tni_os_symbol(const void *pc, char *out, size_t size)
{
    lookup l = {.pc = (uintptr_t)pc, .out = out, .size = size};

    (void)snprintf(out, size, "%p", pc);
    if (pc != NULL)
        (void)each_object(write_name, &l);
}

/* --- Which object ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uintptr_t a;
    uintptr_t b;
    bool same;
} pair;

static bool check_pair(const object *o, void *arg)
{
    pair *p = arg;

    if (!contains(o, p->a))
        return false;
    p->same = contains(o, p->b);
    return true;
}

bool tni_os_symbol_same_object(const void *a, const void *b)
{
    pair p = {(uintptr_t)a, (uintptr_t)b, false};

    return each_object(check_pair, &p) && p.same;
}

typedef struct {
    const char *name;
    uint32_t hash;
    tni_symbol_found found;
} wanted;

/* The hash function of DT_GNU_HASH. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 5381;

    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* Symbol number `index` of an object whose tables are at these addresses. */
static tni_symbol_found check_symbol(const wanted *w, uintptr_t symbols, uintptr_t names, uint32_t index)
{
    ElfW(Sym) symbol;
    char name[64];

    if (!tni_os_copy(symbols + index * sizeof symbol, &symbol, sizeof symbol) ||
        !copy_text(names + symbol.st_name, name, sizeof name))
        return TNI_SYMBOL_UNKNOWN;
    return symbol.st_shndx != SHN_UNDEF && strcmp(name, w->name) == 0 ? TNI_SYMBOL_DEFINED : TNI_SYMBOL_NONE;
}

static tni_symbol_found check_chain(const wanted *w, uintptr_t table, uintptr_t symbols, uintptr_t names)
{
    uint32_t head[4]; /* as in count_by_gnu_hash */
    uint32_t index;
    uint32_t word;
    uintptr_t at;

    if (!tni_os_copy(table, head, sizeof head) || head[0] == 0)
        return TNI_SYMBOL_UNKNOWN;
    at = table + sizeof head + head[2] * sizeof(ElfW(Addr));
    if (!tni_os_copy(at + w->hash % head[0] * sizeof index, &index, sizeof index))
        return TNI_SYMBOL_UNKNOWN;
    if (index < head[1])
        return TNI_SYMBOL_NONE; /* the chain is empty */
    at += (head[0] + (uintptr_t)(index - head[1])) * sizeof word;
    do { /* a chain ends with an odd word */
        tni_symbol_found found = TNI_SYMBOL_NONE;
        if (!tni_os_copy(at, &word, sizeof word))
            return TNI_SYMBOL_UNKNOWN;
        if ((word | 1) == (w->hash | 1))
            found = check_symbol(w, symbols, names, index);
        if (found != TNI_SYMBOL_NONE)
            return found;
        at += sizeof word;
        index++;
    } while ((word & 1) == 0);
    return TNI_SYMBOL_NONE;
}

static bool check_object_for(const object *o, void *arg)
{
    wanted *w = arg;
    uintptr_t table;
    uintptr_t symbols;
    uintptr_t names;
    uint32_t total;

    if (!dynamic_entry(o, DT_SYMTAB, &symbols) || !dynamic_entry(o, DT_STRTAB, &names))
        return false; /* it exports nothing */
    if (dynamic_entry(o, DT_GNU_HASH, &table)) {
        w->found = check_chain(w, table, symbols, names);
        return w->found != TNI_SYMBOL_NONE;
    }
    total = count_symbols(o);
    for (uint32_t i = 0; i < total && w->found == TNI_SYMBOL_NONE; i++)
        w->found = check_symbol(w, symbols, names, i);
    return w->found != TNI_SYMBOL_NONE;
}

tni_symbol_found tni_os_symbol_is_defined(const char *name)
{
    wanted w = {name, hash_of(name), TNI_SYMBOL_NONE};

    return each_object(check_object_for, &w) ? w.found : TNI_SYMBOL_UNKNOWN;
}

/* --- Return addresses ----------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* A near call is E8 and an offset, or FF and a byte whose middle field is 2. */
#define CALL_BYTES_MAX 7

static bool ends_with_call(const uint8_t *code)
{
    const uint8_t *pc = code + CALL_BYTES_MAX;

    if (pc[-5] == 0xe8)
        return true;
    for (int bytes = 2; bytes <= CALL_BYTES_MAX; bytes++)
        if (pc[-bytes] == 0xff && (pc[1 - bytes] >> 3 & 7) == 2)
            return true;
    return false;
}
#else
#define CALL_BYTES_MAX 4

static bool ends_with_call(const uint8_t *code)
{
    uint32_t before;

    memcpy(&before, code, sizeof before);
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

static bool follows_call(uintptr_t pc)
{
    uint8_t code[CALL_BYTES_MAX];

    return tni_os_copy(pc - CALL_BYTES_MAX, code, sizeof code) && ends_with_call(code);
}

static bool check_object(const object *o, void *arg)
{
    chunk *c = arg;

    for (unsigned i = 0; i < o->count; i++) {
        const segment *s = &o->segments[i];
        uintptr_t begin = o->bias + s->p_vaddr;
        if (s->p_type != PT_LOAD || (s->p_flags & (PF_X | PF_R)) != (PF_X | PF_R))
            continue; /* no code, or code that cannot be read */
        for (unsigned w = 0; w < c->count; w++) {
            uintptr_t pc = (uintptr_t)c->words[w];
            if (pc >= begin + CALL_BYTES_MAX && pc - begin < s->p_memsz && follows_call(pc))
                c->found |= UINT64_C(1) << w;
        }
    }
    return false;
}

unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max)
{
    unsigned found = 0;

    for (unsigned at = 0; at < count && found < max; at += CHUNK) {
        chunk c = {.words = words + at, .count = count - at < CHUNK ? count - at : CHUNK};
        each_object(check_object, &c);
        for (unsigned w = 0; w < c.count && found < max; w++)
            if (c.found >> w & 1)
                out[found++] = c.words[w];
    }
    return found;
}
