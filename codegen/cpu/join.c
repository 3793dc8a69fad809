/* Sections are taken over one by one and keep their contents; only symbols are numbered anew, in relocations, and names
 * move to one table. See join.h. */
#include "codegen/cpu/join.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SECTIONS = SHN_LORESERVE - 8, ADDRSIG = 0x6fff4c03 };      /* the latter lists symbols, for linkers that fold code */

typedef struct part {
    const char *bytes;
    size_t n;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *sections;
    const char *titles;                     /* of sections */
    size_t n_titles;
    const Elf64_Sym *symbols;
    size_t n_symbols;
    const char *names;                      /* of symbols */
    size_t n_names;
    uint32_t *section;                      /* by section: its number in the result, 0: left out */
    uint32_t *symbol;                       /* by symbol: its number in the result */
} part;

/* An open table of the symbols with names, by hash of the name. */
typedef struct named { const char *name; uint32_t at; } named;

typedef struct joiner {
    part *parts;
    size_t n;
    Elf64_Shdr *sections;                   /* of the result */
    size_t n_sections, most_sections;
    Elf64_Sym *symbols;
    size_t n_symbols, n_local, most_symbols;
    bool *local;                            /* by symbol, before they are in order */
    uint32_t *order;                        /* by symbol: its number when the local ones are first */
    named *table;
    size_t table_size;
    char *names;                            /* of symbols and sections */
    size_t n_names, room_names;
    char *out;
    size_t n_out;
    char *err;
    size_t err_size;
} joiner;

static bool bad(joiner *j, const char *why)
{
    snprintf(j->err, j->err_size, "the parts of the code cannot be put together: %s", why);
    return false;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool inside(const part *p, const Elf64_Shdr *s)
{
    enum { MOST_ALIGN = 1 << 16 };
    if (s->sh_addralign > MOST_ALIGN)
        return false;
    return s->sh_type == SHT_NOBITS || (s->sh_offset <= p->n && s->sh_size <= p->n - s->sh_offset);
}

/* A table of names: it ends with a NUL. */
static const char *names_of(const part *p, uint32_t section, size_t *n)
{
    const Elf64_Shdr *s = section < p->head->e_shnum ? &p->sections[section] : NULL;
    if (!s || s->sh_type != SHT_STRTAB || !s->sh_size || p->bytes[s->sh_offset + s->sh_size - 1])
        return NULL;
    *n = s->sh_size;
    return p->bytes + s->sh_offset;
}

static bool read_part(joiner *j, part *p)
{
    const Elf64_Ehdr *h = p->head = (const Elf64_Ehdr *)(const void *)p->bytes;
    if (p->n < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_type != ET_REL || h->e_machine != j->parts[0].head->e_machine)
        return bad(j, "one is no object for this machine");
    if (h->e_shentsize != sizeof(Elf64_Shdr) || !h->e_shnum || h->e_shoff % 8 || h->e_shoff > p->n ||
        h->e_shnum > (p->n - h->e_shoff) / sizeof(Elf64_Shdr))
        return bad(j, "sections are not where one says");
    p->sections = (const Elf64_Shdr *)(const void *)(p->bytes + h->e_shoff);
    for (uint32_t i = 0; i < h->e_shnum; i++)
        if (!inside(p, &p->sections[i]))
            return bad(j, "a section does not fit into one");
    p->titles = names_of(p, h->e_shstrndx, &p->n_titles);
    for (uint32_t i = 0; i < h->e_shnum; i++) {
        const Elf64_Shdr *s = &p->sections[i];
        if (s->sh_type != SHT_SYMTAB || s->sh_offset % 8 || s->sh_size % sizeof(Elf64_Sym))
            continue;
        p->symbols = (const Elf64_Sym *)(const void *)(p->bytes + s->sh_offset);
        p->n_symbols = s->sh_size / sizeof(Elf64_Sym);
        p->names = names_of(p, s->sh_link, &p->n_names);
    }
    p->section = calloc(h->e_shnum, sizeof *p->section);
    p->symbol = calloc(p->n_symbols + 1, sizeof *p->symbol);
    if (!p->section || !p->symbol)
        return bad(j, "out of memory");
    j->most_sections += h->e_shnum;
    j->most_symbols += p->n_symbols;
    return p->titles && p->names ? true : bad(j, "names are missing");
}

/* Names may share their ends in a part; in the result each stands for itself. */
static bool count_names(joiner *j, const part *p)
{
    for (uint32_t i = 0; i < p->head->e_shnum; i++) {
        if (p->sections[i].sh_name >= p->n_titles)
            return bad(j, "a section has no name");
        j->room_names += strlen(p->titles + p->sections[i].sh_name) + 1;
    }
    for (size_t i = 0; i < p->n_symbols; i++) {
        if (p->symbols[i].st_name >= p->n_names)
            return bad(j, "a symbol has no name");
        j->room_names += strlen(p->names + p->symbols[i].st_name) + 1;
    }
    return true;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static uint32_t add_name(joiner *j, const char *name)
{
    if (!name[0])
        return 0;
    size_t n = strlen(name) + 1, at = j->n_names;
    memcpy(j->names + at, name, n);
    j->n_names += n;
    return (uint32_t)at;
}

/* The place of a symbol's name in the table, which has room for twice as many. */
static named *find(joiner *j, const char *name)
{
    uint64_t h = 14695981039346656037u;     /* FNV-1a */
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    named *at = &j->table[h % j->table_size];
    while (at->name && strcmp(at->name, name) != 0)
        at = at + 1 < j->table + j->table_size ? at + 1 : j->table;
    return at;
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

static bool take_sections(joiner *j, part *p, bool first)
{
    for (uint32_t i = 1; i < p->head->e_shnum; i++) {
        const Elf64_Shdr *s = &p->sections[i];
        switch (s->sh_type) {
        case SHT_SYMTAB: case SHT_STRTAB: case ADDRSIG: case SHT_RELA: continue;
        case SHT_REL: return bad(j, "relocations without addends");
        case SHT_GROUP: case SHT_SYMTAB_SHNDX: return bad(j, "a section of a kind that is not known here");
        default: break;
        }
        if (!s->sh_size && !(s->sh_flags & SHF_ALLOC) && !first)        /* the mark that the stack holds no code: once */
            continue;
        Elf64_Shdr *to = &j->sections[j->n_sections];
        *to = *s;
        to->sh_name = add_name(j, p->titles + s->sh_name);
        to->sh_link = 0;
        p->section[i] = (uint32_t)j->n_sections++;
    }
    return true;
}

/* Those that stay: of sections that do. Their symbols are the result's. */
static void take_relocations(joiner *j, part *p)
{
    for (uint32_t i = 1; i < p->head->e_shnum; i++) {
        const Elf64_Shdr *s = &p->sections[i];
        if (s->sh_type != SHT_RELA || s->sh_info >= p->head->e_shnum || !p->section[s->sh_info])
            continue;
        Elf64_Shdr *to = &j->sections[j->n_sections];
        *to = *s;
        to->sh_name = add_name(j, p->titles + s->sh_name);
        to->sh_info = p->section[s->sh_info];
        p->section[i] = (uint32_t)j->n_sections++;
    }
}

/* ---- symbols ---------------------------------------------------------------------------------------------------- */

static uint32_t new_symbol(joiner *j, const part *p, const Elf64_Sym *s, bool local)
{
    Elf64_Sym *to = &j->symbols[j->n_symbols];
    *to = *s;
    to->st_name = add_name(j, p->names + s->st_name);
    if (s->st_shndx != SHN_UNDEF && s->st_shndx < SHN_LORESERVE)
        to->st_shndx = (uint16_t)p->section[s->st_shndx];
    j->local[j->n_symbols] = local;
    return (uint32_t)j->n_symbols++;
}

static bool take_symbols(joiner *j, part *p, bool first)
{
    for (size_t i = 1; i < p->n_symbols; i++) {
        const Elf64_Sym *s = &p->symbols[i];
        bool undefined = s->st_shndx == SHN_UNDEF, reserved = s->st_shndx >= SHN_LORESERVE;
        if ((!reserved && s->st_shndx >= p->head->e_shnum) || (reserved && s->st_shndx != SHN_ABS))
            return bad(j, "a symbol is damaged");
        if (ELF64_ST_TYPE(s->st_info) == STT_FILE && !first)
            continue;
        if (!undefined && !reserved && !p->section[s->st_shndx])
            continue;                       /* of a section that is left out, which nothing names */
        const char *name = p->names + s->st_name;
        if (ELF64_ST_BIND(s->st_info) == STB_LOCAL) {
            p->symbol[i] = new_symbol(j, p, s, true);
            continue;
        }
        named *have = find(j, name);
        if (!have->name) {
            have->name = name;
            have->at = p->symbol[i] = new_symbol(j, p, s, false);
            continue;
        }
        p->symbol[i] = have->at;
        Elf64_Sym *old = &j->symbols[have->at];
        if (undefined)
            continue;
        if (old->st_shndx != SHN_UNDEF) {
            snprintf(j->err, j->err_size, "the parts of the code cannot be put together: two define %s", name);
            return false;
        }
        uint32_t in_names = old->st_name;
        *old = *s;
        old->st_name = in_names;
        if (!reserved)
            old->st_shndx = (uint16_t)p->section[s->st_shndx];
    }
    return true;
}

/* Local ones come first in a table of symbols. */
static void put_in_order(joiner *j)
{
    for (size_t i = 1; i < j->n_symbols; i++) {
        Elf64_Sym *s = &j->symbols[i];
        if (!j->local[i] && s->st_shndx != SHN_UNDEF && ELF64_ST_VISIBILITY(s->st_other) == STV_HIDDEN) {
            s->st_info = ELF64_ST_INFO(STB_LOCAL, ELF64_ST_TYPE(s->st_info));
            s->st_other = STV_DEFAULT;
            j->local[i] = true;
        }
    }
    uint32_t next = 1;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 1; i < j->n_symbols; i++)
            if (j->local[i] == (pass == 0))
                j->order[i] = next++;
        j->n_local = pass ? j->n_local : next;
    }
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static size_t up(size_t n, size_t to)
{
    return to > 1 ? (n + to - 1) / to * to : n;
}

static bool copy_relocations(joiner *j, const part *p, const Elf64_Shdr *from, char *to)
{
    for (size_t i = 0; i < from->sh_size / sizeof(Elf64_Rela); i++) {
        Elf64_Rela r;
        memcpy(&r, p->bytes + from->sh_offset + i * sizeof r, sizeof r);
        uint64_t symbol = ELF64_R_SYM(r.r_info);
        if (symbol >= p->n_symbols || (symbol && !p->symbol[symbol]))
            return bad(j, "a relocation names no symbol");
        uint64_t now = symbol ? j->order[p->symbol[symbol]] : 0;
        r.r_info = ELF64_R_INFO(now, ELF64_R_TYPE(r.r_info));
        memcpy(to + i * sizeof r, &r, sizeof r);
    }
    return true;
}

/* The file: head, contents of sections, symbols, names, the table of sections. */
static bool write_result(joiner *j)
{
    uint32_t symtab = (uint32_t)j->n_sections, strtab = symtab + 1;
    size_t at = sizeof(Elf64_Ehdr);
    uint32_t of_symbols = add_name(j, ".symtab"), of_names = add_name(j, ".strtab");
    j->sections[symtab] = (Elf64_Shdr){.sh_name = of_symbols, .sh_type = SHT_SYMTAB, .sh_size = j->n_symbols * sizeof(Elf64_Sym), .sh_link = strtab,
                                       .sh_info = (uint32_t)j->n_local, .sh_addralign = 8, .sh_entsize = sizeof(Elf64_Sym)};
    j->sections[strtab] = (Elf64_Shdr){.sh_name = of_names, .sh_type = SHT_STRTAB, .sh_size = j->n_names, .sh_addralign = 1};
    j->n_sections += 2;
    for (size_t i = 1; i < j->n_sections; i++) {
        Elf64_Shdr *s = &j->sections[i];
        if (s->sh_type == SHT_RELA)
            s->sh_link = symtab;
        s->sh_offset = at = up(at, s->sh_addralign);
        at += s->sh_type == SHT_NOBITS ? 0 : s->sh_size;
    }
    size_t table = up(at, 8);
    j->n_out = table + j->n_sections * sizeof(Elf64_Shdr);
    j->out = calloc(j->n_out + 1, 1);
    if (!j->out)
        return bad(j, "out of memory");
    for (size_t k = 0; k < j->n; k++) {
        const part *p = &j->parts[k];
        for (uint32_t i = 1; i < p->head->e_shnum; i++) {
            const Elf64_Shdr *from = &p->sections[i], *to = &j->sections[p->section[i]];
            if (!p->section[i] || from->sh_type == SHT_NOBITS)
                continue;
            if (from->sh_type != SHT_RELA)
                memcpy(j->out + to->sh_offset, p->bytes + from->sh_offset, from->sh_size);
            else if (!copy_relocations(j, p, from, j->out + to->sh_offset))
                return false;
        }
    }
    Elf64_Sym *symbols = (Elf64_Sym *)(void *)(j->out + j->sections[symtab].sh_offset);
    for (size_t i = 1; i < j->n_symbols; i++)
        symbols[j->order[i]] = j->symbols[i];
    memcpy(j->out + j->sections[strtab].sh_offset, j->names, j->n_names);
    memcpy(j->out + table, j->sections, j->n_sections * sizeof(Elf64_Shdr));
    Elf64_Ehdr h = *j->parts[0].head;
    h.e_shoff = table;
    h.e_shnum = (uint16_t)j->n_sections;
    h.e_shstrndx = (uint16_t)strtab;
    memcpy(j->out, &h, sizeof h);
    return true;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static bool allocate(joiner *j)
{
    if (j->most_sections > MOST_SECTIONS)
        return bad(j, "too many sections");
    j->sections = calloc(j->most_sections + 4, sizeof *j->sections);
    j->symbols = calloc(j->most_symbols + 1, sizeof *j->symbols);
    j->local = calloc(j->most_symbols + 1, sizeof *j->local);
    j->order = calloc(j->most_symbols + 1, sizeof *j->order);
    j->table_size = 2 * j->most_symbols + 1;
    j->table = calloc(j->table_size, sizeof *j->table);
    j->names = calloc(j->room_names + 64, 1);
    j->n_sections = j->n_symbols = j->n_names = 1;
    return j->sections && j->symbols && j->local && j->order && j->table && j->names ? true : bad(j, "out of memory");
}

static bool join(joiner *j)
{
    bool ok = true;
    for (size_t k = 0; k < j->n && ok; k++)
        ok = read_part(j, &j->parts[k]) && count_names(j, &j->parts[k]);
    ok = ok && allocate(j);
    for (size_t k = 0; k < j->n && ok; k++)
        ok = take_sections(j, &j->parts[k], k == 0) && take_symbols(j, &j->parts[k], k == 0);
    for (size_t k = 0; k < j->n && ok; k++)
        take_relocations(j, &j->parts[k]);
    if (ok)
        put_in_order(j);
    return ok && write_result(j);
}

bool object_join(const object_bytes *parts, size_t n, object_bytes *out, char *err, size_t err_size)
{
    *out = (object_bytes){0};
    joiner j = {.parts = calloc(n ? n : 1, sizeof *j.parts), .n = n, .err = err, .err_size = err_size};
    bool ok = j.parts && n ? true : bad(&j, n ? "out of memory" : "there are none");
    for (size_t k = 0; k < n && ok; k++) {
        j.parts[k].bytes = parts[k].data;
        j.parts[k].n = parts[k].size;
    }
    ok = ok && join(&j);
    for (size_t k = 0; k < n && j.parts; k++) {
        free(j.parts[k].section);
        free(j.parts[k].symbol);
    }
    if (ok)
        *out = (object_bytes){j.out, j.n_out};
    else
        free(j.out);
    free(j.parts);
    free(j.sections);
    free(j.symbols);
    free(j.local);
    free(j.order);
    free(j.table);
    free(j.names);
    return ok;
}
