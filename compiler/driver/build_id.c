/* Build id and CPU model: see build_id.h. */
#include "compiler/driver/build_id.h"

#include <link.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/support/map.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifndef NT_GNU_BUILD_ID
#define NT_GNU_BUILD_ID 3
#endif

typedef struct search { uintptr_t here; uint64_t id; } search;

static uint64_t id_in_notes(const char *at, size_t n)
{
    while (n >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *h = (const void *)at;
        size_t name = (h->n_namesz + 3u) & ~(size_t)3, desc = (h->n_descsz + 3u) & ~(size_t)3, all = sizeof *h + name + desc;
        if (all > n)
            break;
        if (h->n_type == NT_GNU_BUILD_ID && h->n_namesz == 4 && memcmp(at + sizeof *h, "GNU", 4) == 0)
            return hash_bytes(at + sizeof *h + name, h->n_descsz);
        at += all;
        n -= all;
    }
    return 0;
}

static uint64_t id_of_file(const char *path)
{
    struct stat st;
    if (stat(path[0] ? path : "/proc/self/exe", &st) != 0)
        return 0;
    const int64_t about[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (int64_t)st.st_ino};
    return hash_bytes(about, sizeof about);
}

static int look(struct dl_phdr_info *info, size_t size, void *ud)
{
    (void)size;
    search *s = ud;
    bool mine = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        mine |= p->p_type == PT_LOAD && s->here - (info->dlpi_addr + p->p_vaddr) < p->p_memsz;
    }
    if (!mine)
        return 0;
    for (int i = 0; i < info->dlpi_phnum && !s->id; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_NOTE)
            s->id = id_in_notes((const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz);
    }
    if (!s->id)
        s->id = id_of_file(info->dlpi_name);
    return 1;
}

uint64_t compiler_build_id(void)
{
    search s = {.here = (uintptr_t)&compiler_build_id};
    dl_iterate_phdr(look, &s);
    return s.id;
}

uint64_t compiler_cpu_model(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d, vendor;
    if (!__get_cpuid(0, &a, &vendor, &c, &d) || !__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    return (uint64_t)vendor << 32 | a;
#else
    return 0;
#endif
}
