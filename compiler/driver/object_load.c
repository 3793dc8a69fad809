/* Loading: sections are laid out in one mapping (code, stubs, constants and the table of addresses, data), then
 * relocated, then protected. Each symbol has a slot in the table of addresses, each undefined one a stub that jumps
 * through it: so calls reach the process wherever the mapping lies. */
#include "compiler/driver/object_load.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STUB = 16, MOST_SECTIONS = 1 << 16, MOST_SYMBOLS = 1 << 20 };

typedef enum group { CODE, CONSTANT, DATA, GROUPS } group;

typedef struct export { char *name; void *at; } export;

struct loaded_object {
    char *map;
    size_t map_bytes;
    export *exports;
    size_t n_exports;
};

typedef struct loader {
    const char *bytes;
    size_t n;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *sections;
    size_t n_sections;
    const Elf64_Sym *symbols;
    size_t n_symbols;
    const char *names; size_t n_names;          /* of symbols */
    const char *titles; size_t n_titles;        /* of sections */
    char **place;                               /* by section, NULL: not loaded */
    uint64_t *value;                            /* by symbol */
    char *stubs;                                /* by symbol */
    uint64_t *slots;                            /* by symbol */
    size_t end[GROUPS];                         /* offsets in the mapping */
    loaded_object *out;
    char *err;
    size_t err_size;
} loader;

static bool bad(loader *l, const char *why)
{
    snprintf(l->err, l->err_size, "the object cannot be loaded: %s", why);
    return false;
}

/* The bytes of a section in the file, NULL when they are not all there or not aligned for a list of structs. */
static const void *contents(const loader *l, const Elf64_Shdr *s, size_t unit)
{
    if (s->sh_offset > l->n || s->sh_size > l->n - s->sh_offset || s->sh_offset % (unit > 1 ? 8 : 1) || s->sh_size % unit)
        return NULL;
    return l->bytes + s->sh_offset;
}

static bool read_tables(loader *l)
{
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)(const void *)l->bytes;
#if defined(__aarch64__)
    const int machine = EM_AARCH64;
#else
    const int machine = EM_X86_64;
#endif
    if (l->n < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_type != ET_REL)
        return bad(l, "it is no object file");
    if (h->e_machine != machine)
        return bad(l, "it is for another machine");
    l->head = h;
    if (h->e_shentsize != sizeof(Elf64_Shdr) || !h->e_shnum || h->e_shoff % 8 || h->e_shoff > l->n ||
        h->e_shnum > (l->n - h->e_shoff) / sizeof(Elf64_Shdr) || h->e_shstrndx >= h->e_shnum)
        return bad(l, "its sections are not where it says");
    l->sections = (const Elf64_Shdr *)(const void *)(l->bytes + h->e_shoff);
    l->n_sections = h->e_shnum;
    const Elf64_Shdr *titles = &l->sections[h->e_shstrndx];
    l->titles = contents(l, titles, 1);
    l->n_titles = titles->sh_size;
    for (size_t i = 0; i < l->n_sections; i++) {
        const Elf64_Shdr *s = &l->sections[i];
        if (s->sh_type != SHT_SYMTAB)
            continue;
        l->symbols = contents(l, s, sizeof *l->symbols);
        l->n_symbols = s->sh_size / sizeof *l->symbols;
        if (s->sh_link >= l->n_sections)
            return bad(l, "its symbols have no names");
        l->names = contents(l, &l->sections[s->sh_link], 1);
        l->n_names = l->sections[s->sh_link].sh_size;
    }
    if (!l->symbols || !l->names || !l->titles || !l->n_names || l->names[l->n_names - 1] || !l->n_titles ||
        l->titles[l->n_titles - 1] || l->n_symbols > MOST_SYMBOLS)
        return bad(l, "its symbols are damaged");
    return true;
}

static group group_of(const Elf64_Shdr *s)
{
    return s->sh_flags & SHF_EXECINSTR ? CODE : s->sh_flags & SHF_WRITE ? DATA : CONSTANT;
}

/* Tables for unwinding are not loaded: nothing unwinds through kernels. */
static bool is_loaded(const loader *l, const Elf64_Shdr *s)
{
    if (!(s->sh_flags & SHF_ALLOC) || s->sh_name >= l->n_titles)
        return false;
    return strncmp(l->titles + s->sh_name, ".eh_frame", 9) != 0;
}

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Offsets of all sections; then the mapping. */
static bool lay_out(loader *l)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t at = 0;
    size_t *offset = calloc(l->n_sections, sizeof *offset);
    l->place = calloc(l->n_sections, sizeof *l->place);
    if (!offset || !l->place) {
        free(offset);
        return bad(l, "out of memory");
    }
    size_t stubs = 0, slots = 0;
    bool ok = true;
    for (int g = 0; g < GROUPS && ok; g++) {
        for (size_t i = 0; i < l->n_sections && ok; i++) {
            const Elf64_Shdr *s = &l->sections[i];
            if (!is_loaded(l, s) || group_of(s) != (group)g)
                continue;
            size_t align = s->sh_addralign ? s->sh_addralign : 1;
            ok = align <= page && !(align & (align - 1)) && s->sh_size < (size_t)1 << 30 &&
                 (s->sh_type == SHT_NOBITS || contents(l, s, 1));
            offset[i] = at = ok ? up(at, align) : at;
            at += ok ? s->sh_size : 0;
        }
        if (g == CODE) {
            stubs = at = up(at, STUB);
            at += l->n_symbols * STUB;
        } else if (g == CONSTANT) {
            slots = at = up(at, 8);
            at += l->n_symbols * 8;
        }
        l->end[g] = at = up(at, page);
        ok = ok && at < (size_t)1 << 30;
    }
    if (ok) {
        void *map = mmap(NULL, at ? at : page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ok = map != MAP_FAILED;
        if (ok) {
            l->out->map = map;
            l->out->map_bytes = at ? at : page;
        }
    }
    for (size_t i = 0; i < l->n_sections && ok; i++) {
        const Elf64_Shdr *s = &l->sections[i];
        if (!is_loaded(l, s))
            continue;
        l->place[i] = l->out->map + offset[i];
        if (s->sh_type != SHT_NOBITS)
            memcpy(l->place[i], contents(l, s, 1), s->sh_size);
    }
    free(offset);
    if (!ok)
        return bad(l, "its sections do not fit into memory");
    l->stubs = l->out->map + stubs;
    l->slots = (uint64_t *)(void *)(l->out->map + slots);
    return true;
}

static void write_stub(char *at, const uint64_t *slot)
{
    int64_t far = (const char *)slot - at;
#if defined(__aarch64__)
    int64_t pages = ((int64_t)((uint64_t)(uintptr_t)slot >> 12)) - (int64_t)((uint64_t)(uintptr_t)at >> 12);
    uint32_t code[3] = {
        UINT32_C(0x90000010) | ((uint32_t)pages & 3) << 29 | ((uint32_t)(pages >> 2) & 0x7ffff) << 5,   /* adrp x16 */
        UINT32_C(0xf9400210) | (uint32_t)((uintptr_t)slot & 0xfff) >> 3 << 10,                          /* ldr x16, [x16] */
        UINT32_C(0xd61f0200),                                                                           /* br x16 */
    };
    memcpy(at, code, sizeof code);
    (void)far;
#else
    int32_t near = (int32_t)(far - 6);
    const unsigned char jump[2] = {0xff, 0x25};                                 /* jmp *near(%rip) */
    memcpy(at, jump, 2);
    memcpy(at + 2, &near, 4);
#endif
}

static bool find_symbols(loader *l)
{
    l->value = calloc(l->n_symbols + 1, sizeof *l->value);
    l->out->exports = calloc(l->n_symbols + 1, sizeof *l->out->exports);
    if (!l->value || !l->out->exports)
        return bad(l, "out of memory");
    for (size_t i = 1; i < l->n_symbols; i++) {
        const Elf64_Sym *s = &l->symbols[i];
        if (s->st_name >= l->n_names)
            return bad(l, "a symbol has no name");
        const char *name = l->names + s->st_name;
        if (s->st_shndx == SHN_UNDEF) {
            void *at = name[0] ? dlsym(RTLD_DEFAULT, name) : NULL;
            if (!at && name[0] && ELF64_ST_BIND(s->st_info) != STB_WEAK) {
                snprintf(l->err, l->err_size, "the object cannot be loaded: %s is not in this process", name);
                return false;
            }
            l->value[i] = (uint64_t)(uintptr_t)at;
            write_stub(l->stubs + i * STUB, &l->slots[i]);
        } else if (s->st_shndx == SHN_ABS) {
            l->value[i] = s->st_value;
        } else if (s->st_shndx < l->n_sections) {
            const Elf64_Shdr *in = &l->sections[s->st_shndx];
            if (!l->place[s->st_shndx])
                continue;
            if (s->st_value > in->sh_size)
                return bad(l, "a symbol lies outside of its section");
            l->value[i] = (uint64_t)(uintptr_t)(l->place[s->st_shndx] + s->st_value);
            if (ELF64_ST_BIND(s->st_info) != STB_LOCAL) {
                export *e = &l->out->exports[l->out->n_exports];
                e->at = l->place[s->st_shndx] + s->st_value;
                e->name = strdup(name);
                if (!e->name)
                    return bad(l, "out of memory");
                l->out->n_exports++;
            }
        } else if (ELF64_ST_TYPE(s->st_info) != STT_FILE) {
            return bad(l, "a symbol is of a kind that is not known here");
        }
        l->slots[i] = l->value[i];
    }
    return true;
}

/* ---- Relocations ------------------------------------------------------------------------------------------------ */

static bool put32(char *at, int64_t v)
{
    int32_t x = (int32_t)v;
    memcpy(at, &x, 4);
    return x == v;
}

static bool put64(char *at, uint64_t v)
{
    memcpy(at, &v, 8);
    return true;
}

#if defined(__aarch64__)

/* Replaces `bits` bits of the instruction from bit `lo` on. */
static void put_bits(char *at, uint64_t v, int lo, int bits)
{
    uint32_t code, mask = (uint32_t)((UINT64_C(1) << bits) - 1);
    memcpy(&code, at, 4);
    code = (code & ~(mask << lo)) | ((uint32_t)v & mask) << lo;
    memcpy(at, &code, 4);
}

static bool put_pages(char *at, uint64_t to)
{
    int64_t pages = (int64_t)(to >> 12) - (int64_t)((uint64_t)(uintptr_t)at >> 12);
    put_bits(at, (uint64_t)pages, 29, 2);
    put_bits(at, (uint64_t)(pages >> 2), 5, 19);
    return pages >= -(INT64_C(1) << 20) && pages < INT64_C(1) << 20;
}

static size_t reach_of(uint32_t type)
{
    return type == R_AARCH64_ABS64 || type == R_AARCH64_PREL64 ? 8 : 4;
}

static bool relocate(char *at, uint32_t type, uint64_t s, int64_t a, uint64_t stub, uint64_t slot, bool *known)
{
    const uint64_t p = (uint64_t)(uintptr_t)at, v = s + (uint64_t)a;
    *known = true;
    switch (type) {
    case R_AARCH64_NONE: return true;
    case R_AARCH64_ABS64: return put64(at, v);
    case R_AARCH64_PREL64: return put64(at, v - p);
    case R_AARCH64_PREL32: return put32(at, (int64_t)(v - p));
    case R_AARCH64_ADR_PREL_LO21: {
        int64_t far = (int64_t)(v - p);
        put_bits(at, (uint64_t)far, 29, 2);
        put_bits(at, (uint64_t)(far >> 2), 5, 19);
        return far >= -(1 << 20) && far < 1 << 20;
    }
    case R_AARCH64_ADR_PREL_PG_HI21: return put_pages(at, v);
    case R_AARCH64_ADD_ABS_LO12_NC: case R_AARCH64_LDST8_ABS_LO12_NC: put_bits(at, v & 0xfff, 10, 12); return true;
    case R_AARCH64_LDST16_ABS_LO12_NC: put_bits(at, (v & 0xfff) >> 1, 10, 12); return true;
    case R_AARCH64_LDST32_ABS_LO12_NC: put_bits(at, (v & 0xfff) >> 2, 10, 12); return true;
    case R_AARCH64_LDST64_ABS_LO12_NC: put_bits(at, (v & 0xfff) >> 3, 10, 12); return true;
    case R_AARCH64_LDST128_ABS_LO12_NC: put_bits(at, (v & 0xfff) >> 4, 10, 12); return true;
    case R_AARCH64_JUMP26: case R_AARCH64_CALL26: {
        int64_t far = (int64_t)((stub ? stub : v) - p);
        put_bits(at, (uint64_t)(far >> 2), 0, 26);
        return far >= -(INT64_C(1) << 27) && far < INT64_C(1) << 27;
    }
    case R_AARCH64_ADR_GOT_PAGE: return put_pages(at, slot);
    case R_AARCH64_LD64_GOT_LO12_NC: put_bits(at, (slot & 0xfff) >> 3, 10, 12); return true;
    default: *known = false; return false;
    }
}

#else

static size_t reach_of(uint32_t type)
{
    return type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
}

/* Writes one; false when the distance does not fit. */
static bool relocate(char *at, uint32_t type, uint64_t s, int64_t a, uint64_t stub, uint64_t slot, bool *known)
{
    const uint64_t p = (uint64_t)(uintptr_t)at, v = s + (uint64_t)a;
    *known = true;
    switch (type) {
    case R_X86_64_NONE: return true;
    case R_X86_64_64: return put64(at, v);
    case R_X86_64_PC64: return put64(at, v - p);
    case R_X86_64_PC32: return put32(at, (int64_t)(v - p));
    case R_X86_64_PLT32: return put32(at, (int64_t)((stub ? stub : s) + (uint64_t)a - p));
    case R_X86_64_GOTPCREL: case R_X86_64_GOTPCRELX: case R_X86_64_REX_GOTPCRELX:
        return put32(at, (int64_t)(slot + (uint64_t)a - p));
    default: *known = false; return false;
    }
}

#endif

static bool relocate_section(loader *l, const Elf64_Shdr *s)
{
    const Elf64_Rela *r = contents(l, s, sizeof *r);
    if (!r)
        return bad(l, "its relocations are damaged");
    char *base = l->place[s->sh_info];
    const size_t size = l->sections[s->sh_info].sh_size;
    for (size_t i = 0; i < s->sh_size / sizeof *r; i++) {
        const uint32_t type = (uint32_t)ELF64_R_TYPE(r[i].r_info), symbol = (uint32_t)ELF64_R_SYM(r[i].r_info);
        if (symbol >= l->n_symbols || r[i].r_offset > size || reach_of(type) > size - r[i].r_offset)
            return bad(l, "its relocations are damaged");
        bool undefined = l->symbols[symbol].st_shndx == SHN_UNDEF, known;
        uint64_t stub = undefined ? (uint64_t)(uintptr_t)(l->stubs + (size_t)symbol * STUB) : 0;
        if (!relocate(base + r[i].r_offset, type, l->value[symbol], r[i].r_addend, stub,
                      (uint64_t)(uintptr_t)&l->slots[symbol], &known)) {
            snprintf(l->err, l->err_size, "the object cannot be loaded: relocation %u %s", type,
                     known ? "reaches too far" : "is not known");
            return false;
        }
    }
    return true;
}

static bool relocate_all(loader *l)
{
    for (size_t i = 0; i < l->n_sections; i++) {
        const Elf64_Shdr *s = &l->sections[i];
        if (s->sh_type == SHT_REL)
            return bad(l, "relocations without addends");
        if (s->sh_type != SHT_RELA || s->sh_info >= l->n_sections || !l->place[s->sh_info])
            continue;
        if (!relocate_section(l, s))
            return false;
    }
    return true;
}

static bool protect(loader *l)
{
    char *map = l->out->map;
    bool ok = (!l->end[CODE] || mprotect(map, l->end[CODE], PROT_READ | PROT_EXEC) == 0) &&
              (l->end[CONSTANT] == l->end[CODE] ||
               mprotect(map + l->end[CODE], l->end[CONSTANT] - l->end[CODE], PROT_READ) == 0);
    __builtin___clear_cache(map, map + l->end[CODE]);
    return ok || bad(l, "the system does not allow code to be made");
}

loaded_object *object_load(const void *bytes, size_t n, char *err, size_t err_size)
{
    loader l = {.n = n, .err = err, .err_size = err_size};
    char *aligned = malloc(n ? n : 1);
    l.out = calloc(1, sizeof *l.out);
    bool ok = aligned && l.out;
    if (ok) {
        memcpy(aligned, bytes, n);
        l.bytes = aligned;
        ok = read_tables(&l) && lay_out(&l) && find_symbols(&l) && relocate_all(&l) && protect(&l);
    } else {
        bad(&l, "out of memory");
    }
    free(l.place);
    free(l.value);
    free(aligned);
    if (ok)
        return l.out;
    object_unload(l.out);
    return NULL;
}

void *object_symbol(const loaded_object *o, const char *name)
{
    for (size_t i = 0; i < o->n_exports; i++)
        if (strcmp(o->exports[i].name, name) == 0)
            return o->exports[i].at;
    return NULL;
}

void object_unload(loaded_object *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n_exports; i++)
        free(o->exports[i].name);
    free(o->exports);
    if (o->map)
        munmap(o->map, o->map_bytes);
    free(o);
}
