/* Code for GPUs: see image.h. */
#include "codegen/cuda/image.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/device_code.h"

/* The value of a sum of numbers, or -1: the dims decide. */
static int64_t constant(const char *text)
{
    int64_t sum = 0;
    for (const char *at = text;;) {
        char *end;
        long long v = strtoll(at, &end, 10);
        if (end == at || v < 0 || __builtin_add_overflow(sum, v, &sum))
            return -1;
        while (*end == 'L')
            end++;
        if (!*end)
            return sum;
        if (strncmp(end, " + ", 3) != 0)
            return -1;
        at = end + 3;
    }
}

static device_size size_of(kdim d)
{
    return d.is_const ? (device_size){d.value, DEVICE_NONE} : (device_size){0, d.slot};
}

static device_operand operand_of(const cuda_operand *o) { return (device_operand){o->is_own, o->id, size_of(o->at)}; }

static device_product product_of(const cuda_product *p)
{
    return (device_product){.sum = p->sum, .accumulate = p->accumulate, .transposed = p->transposed, .element = p->type == KT_F64 ? 8 : 4,
                            .a = operand_of(&p->a), .b = operand_of(&p->b), .c = operand_of(&p->c), .m = size_of(p->m), .n = size_of(p->n),
                            .k = size_of(p->k), .batch = size_of(p->batch), .a_m = size_of(p->a_m), .a_k = size_of(p->a_k),
                            .b_k = size_of(p->b_k), .b_n = size_of(p->b_n), .a_batch = size_of(p->a_batch), .b_batch = size_of(p->b_batch),
                            .c_batch = size_of(p->c_batch)};
}

static device_own own_of(const cuda_own *o)
{
    static const uint32_t rows[] = {[CUDA_ONE_ROW] = DEVICE_ONE_ROW, [CUDA_ROWS] = DEVICE_ROWS, [CUDA_MEMBERS] = DEVICE_MEMBERS};
    return (device_own){rows[o->rows], o->type == KT_F64 ? 8 : 4, size_of(o->elems)};
}

static device_kernel describe(arena *mem, const cuda_kernel *k)
{
    device_product *products = NEW_N(mem, device_product, k->n_products + 1);
    device_own *own = NEW_N(mem, device_own, k->n_own + 1);
    for (uint32_t i = 0; i < k->n_products; i++)
        products[i] = product_of(&k->products[i]);
    for (uint32_t i = 0; i < k->n_own; i++)
        own[i] = own_of(&k->own[i]);
    return (device_kernel){.products = products, .n_products = k->n_products, .own = own, .n_own = k->n_own,
                           .before = k->before ? k->before : DEVICE_NONE, .after = k->after ? k->after : DEVICE_NONE,
                           .rows = k->rows, .piece = k->piece, .threads = (uint32_t)k->threads, .rows_a_block = (uint32_t)k->rows_a_block,
                           .pieces_a_block = (uint32_t)k->pieces_a_block, .any_order = k->any_order,
                           .room_bytes = constant(k->room_bytes), .state_bytes = constant(k->state_bytes)};
}

/* "sm_90a": 9, 0 and exactly that; the last digit is the minor number. */
static device_image image_of(const char *arch)
{
    const char *digits = strchr(arch, '_') + 1;
    int number = atoi(digits);
    size_t n = strspn(digits, "0123456789");
    return (device_image){.kind = arch[0] == 's' ? DEVICE_CUBIN : DEVICE_PTX, .major = (uint32_t)number / 10, .minor = (uint32_t)number % 10,
                          .exact = digits[n] != 0};
}

typedef struct built { buf bytes; device_image image; } built;

static bool build_one(const nvrtc *n, const char *text, const char *arch, const cuda_target *t, built *out, buf *log)
{
    nvrtc_options o = {.arch = arch, .ptx = arch[0] != 's'};
    out->bytes = buf_make(NULL);
    out->image = image_of(arch);
    if (!nvrtc_build(n, text, t->name, &o, &out->bytes, log))
        return false;
    out->image.size = out->bytes.n;
    if (out->image.kind == DEVICE_PTX) {
        buf_putc(&out->bytes, 0);
        out->image.size = out->bytes.n;
    }
    out->image.bytes = out->bytes.at;
    return !out->bytes.failed;
}

static const char *newest(const cuda_target *t, arena *mem)
{
    int best = 0;
    for (uint32_t i = 0; i < t->n_arch; i++) {
        int number = atoi(strchr(t->arch[i], '_') + 1);
        best = number > best ? number : best;
    }
    return arena_printf(mem, "compute_%d", best);
}

bool cuda_image_build(const nvrtc *n, arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, const cuda_target *t,
                      void **bytes, size_t *n_bytes, buf *log)
{
    cuda_kernels kernels;
    buf text = buf_make(mem);
    device_code code = {0};
    cuda_print_module(mem, plans, n_plans, o, &text, &kernels);
    code.n_main = kernels.n_main;
    code.n_kernels = kernels.n;
    code.kernels = NEW_N(mem, device_kernel, code.n_kernels + 1);
    for (uint32_t i = 0; i < code.n_kernels; i++)
        code.kernels[i] = describe(mem, &kernels.at[i]);
    const char *all = buf_text(&text), *ptx = t->ptx_of_newest ? newest(t, mem) : NULL;
    built *list = NEW_N(mem, built, t->n_arch + 1);
    code.images = NEW_N(mem, device_image, t->n_arch + 1);
    bool ok = true;
    uint32_t made = 0;                          /* no memory of the arena is asked for from here on */
    for (; made < t->n_arch + (ptx != NULL) && ok; made++) {
        ok = build_one(n, all, made < t->n_arch ? t->arch[made] : ptx, t, &list[made], log);
        code.images[made] = list[made].image;
    }
    code.n_images = made;
    if (ok && !device_code_write(&code, bytes, n_bytes)) {
        buf_puts(log, "out of memory\n");
        ok = false;
    }
    for (uint32_t i = 0; i < made; i++)
        buf_free(&list[i].bytes);
    return ok;
}
