/*
 * Checks of a shared library's file before it is loaded. ELF's head, its segments and where its dynamic section lies are
 * looked at; what stands in the segments is the loader's business, and the description has a sum of its own.
 */
#include "runtime/module_file.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>
#include "runtime/error.h"
#include "runtime/file.h"

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#else
enum { OUR_MACHINE = EM_NONE };         /* not looked at */
#endif

enum { MAX_SEGMENTS = 1024 };

static bool is_elf(const file_bytes *f)
{
    const unsigned char *head = (const unsigned char *)f->data;
    return f->size >= EI_NIDENT && memcmp(head, ELFMAG, SELFMAG) == 0;
}

/* lo..lo+n lies in 0..end. */
static bool within(uint64_t lo, uint64_t n, uint64_t end)
{
    return lo <= end && n <= end - lo;
}

/* The dynamic section lies in what is mapped of the file, or NULL is told why not. */
static const char *check_dynamic(const Elf64_Phdr *segments, uint32_t n, const Elf64_Phdr *dynamic)
{
    if (dynamic->p_vaddr % 8 || dynamic->p_memsz < sizeof(Elf64_Dyn))
        return "its dynamic section has no place";
    for (uint32_t i = 0; i < n; i++) {
        const Elf64_Phdr *s = &segments[i];
        if (s->p_type == PT_LOAD && dynamic->p_vaddr >= s->p_vaddr &&
            within(dynamic->p_vaddr - s->p_vaddr, dynamic->p_memsz, s->p_filesz))
            return NULL;
    }
    return "its dynamic section is not in the file";
}

static const char *check_segments(const file_bytes *f, const Elf64_Phdr *segments, uint32_t n)
{
    const Elf64_Phdr *dynamic = NULL;
    uint32_t loads = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Elf64_Phdr *s = &segments[i];
        if (s->p_type == PT_DYNAMIC)
            dynamic = s;
        if (s->p_type == PT_LOAD || s->p_type == PT_DYNAMIC || s->p_type == PT_NOTE) {
            if (!within(s->p_offset, s->p_filesz, f->size))
                return "its end is missing";
            if (s->p_filesz > s->p_memsz || !within(s->p_vaddr, s->p_memsz, UINT64_C(1) << 47))
                return "a segment has a wrong size";
        }
        loads += s->p_type == PT_LOAD;
    }
    if (!loads || !dynamic)
        return "it has nothing to load";
    return check_dynamic(segments, n, dynamic);
}

static const char *check_head(const file_bytes *f, mp_status *status)
{
    Elf64_Ehdr head;
    *status = MP_INVALID;
    if (!is_elf(f))
        return "this is not a shared library";
    if (f->size < sizeof head)
        return "its end is missing";
    memcpy(&head, f->data, sizeof head);
    if (head.e_ident[EI_CLASS] == ELFCLASSNONE || head.e_ident[EI_DATA] == ELFDATANONE || head.e_machine == EM_NONE)
        return "this is not a shared library";
    if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
        (OUR_MACHINE != EM_NONE && head.e_machine != OUR_MACHINE)) {
        *status = MP_UNSUPPORTED;
        return "it was compiled for another kind of machine";
    }
    if (head.e_type != ET_DYN)
        return "this is not a shared library";
    if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum > MAX_SEGMENTS || head.e_phoff % 8)
        return "its list of segments is malformed";
    if (!within(head.e_phoff, (uint64_t)head.e_phnum * sizeof(Elf64_Phdr), f->size))
        return "its end is missing";
    return check_segments(f, (const Elf64_Phdr *)(const void *)(f->data + head.e_phoff), head.e_phnum);
}

mp_status module_file_check(mp_context *ctx, const char *path)
{
    file_bytes f;
    mp_status st = file_map(ctx, path, &f);
    if (st)
        return st;
    const char *why = check_head(&f, &st);
    file_free(ctx, &f);
    return why ? error_set(ctx, st, "%s cannot be loaded: %s", path, why) : MP_OK;
}
