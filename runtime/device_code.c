/*
 * Writing, reading and choosing of code for GPUs: see device_code.h.
 */
#include "runtime/device_code.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/device_abi.h"

/* The head, the kernels, the images, products and own memory of the kernels in their order, then names and images' bytes; offsets
 * are from the beginning. */
typedef struct head { uint32_t magic, version; uint64_t size, sum; uint32_t n_main, n_kernels, n_images, n_products, n_own, unused; } head;
typedef struct kernel_row {
    uint32_t rows, piece;           /* offsets; piece 0: none */
    uint32_t threads, rows_a_block, pieces_a_block, any_order;
    int64_t room_bytes, state_bytes;
    uint32_t n_products, n_own, before, after;
} kernel_row;
typedef struct image_row { uint32_t kind, major, minor, exact; uint64_t at, size; } image_row;
typedef struct size_row { int64_t value; uint32_t slot, unused; } size_row;
typedef struct operand_row { uint32_t is_own, id; size_row at; } operand_row;
typedef struct product_row {
    uint32_t sum, accumulate, transposed, element;
    operand_row operand[3];
    size_row size[DEVICE_PRODUCT_SIZES];
} product_row;
typedef struct own_row { uint32_t rows, element; size_row elems; } own_row;

enum { IMAGE_ALIGN = 64, MOST_KERNELS = 1 << 20, MOST_IMAGES = 64, MOST_OF_KERNEL = 64 };

/* FNV-1a by words of eight bytes. */
static uint64_t sum_of(const char *at, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * UINT64_C(0x100000001b3);
        h ^= h >> 29;
    }
    for (; n; n--)
        h = (h ^ (unsigned char)*at++) * UINT64_C(0x100000001b3);
    return h;
}

static size_t text_size(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static uint32_t put_text(char *bytes, size_t *end, const char *s)
{
    if (!s)
        return 0;
    size_t at = *end;
    memcpy(bytes + at, s, strlen(s) + 1);
    *end += strlen(s) + 1;
    return (uint32_t)at;
}

static size_t round_up(size_t n)
{
    return (n + IMAGE_ALIGN - 1) / IMAGE_ALIGN * IMAGE_ALIGN;
}

/* Where the lists stand, from what the head counts. */
typedef struct places { size_t kernels, images, products, own, end; } places;

static places places_of(const head *h)
{
    places p = { .kernels = sizeof *h };
    p.images = p.kernels + h->n_kernels * sizeof(kernel_row);
    p.products = p.images + h->n_images * sizeof(image_row);
    p.own = p.products + h->n_products * sizeof(product_row);
    p.end = p.own + h->n_own * sizeof(own_row);
    return p;
}

/* The sizes of a product, in the order of the struct. */
static void list_sizes(device_product *p, device_size *list[DEVICE_PRODUCT_SIZES])
{
    device_size *all[] = { &p->m, &p->n, &p->k, &p->batch, &p->a_m, &p->a_k, &p->b_k, &p->b_n, &p->a_batch, &p->b_batch, &p->c_batch };
    _Static_assert(sizeof all / sizeof *all == DEVICE_PRODUCT_SIZES, "all sizes of a product");
    memcpy(list, all, sizeof all);
}

static size_row put_size(device_size s)
{
    return (size_row){ s.value, s.slot, 0 };
}

static product_row put_product(device_product p)
{
    product_row r = { .sum = p.sum, .accumulate = p.accumulate, .transposed = p.transposed, .element = p.element };
    const device_operand all[] = { p.a, p.b, p.c };
    device_size *sizes[DEVICE_PRODUCT_SIZES];
    for (int i = 0; i < 3; i++)
        r.operand[i] = (operand_row){ all[i].is_own, all[i].id, put_size(all[i].at) };
    list_sizes(&p, sizes);
    for (int i = 0; i < DEVICE_PRODUCT_SIZES; i++)
        r.size[i] = put_size(*sizes[i]);
    return r;
}

bool device_code_write(const device_code *c, void **out, size_t *n_bytes)
{
    head h = { .magic = DEVICE_CODE_MAGIC, .version = DEVICE_CODE_VERSION, .n_main = c->n_main, .n_kernels = c->n_kernels, .n_images = c->n_images };
    size_t names = 0;
    for (uint32_t i = 0; i < c->n_kernels; i++) {
        names += text_size(c->kernels[i].rows) + text_size(c->kernels[i].piece);
        h.n_products += c->kernels[i].n_products;
        h.n_own += c->kernels[i].n_own;
    }
    places at = places_of(&h);
    size_t size = at.end + names;
    if (size > UINT32_MAX)
        return false;
    for (uint32_t i = 0; i < c->n_images; i++)
        size = round_up(size) + c->images[i].size;
    char *bytes = calloc(size, 1);
    if (!bytes)
        return false;
    size_t end = at.end;
    kernel_row *rows = (kernel_row *)(void *)(bytes + at.kernels);
    image_row *images = (image_row *)(void *)(bytes + at.images);
    product_row *products = (product_row *)(void *)(bytes + at.products);
    own_row *own = (own_row *)(void *)(bytes + at.own);
    for (uint32_t i = 0; i < c->n_kernels; i++) {
        const device_kernel *k = &c->kernels[i];
        rows[i] = (kernel_row){ put_text(bytes, &end, k->rows), put_text(bytes, &end, k->piece), k->threads, k->rows_a_block,
                                k->pieces_a_block, k->any_order, k->room_bytes, k->state_bytes, k->n_products, k->n_own, k->before, k->after };
        for (uint32_t j = 0; j < k->n_products; j++)
            *products++ = put_product(k->products[j]);
        for (uint32_t j = 0; j < k->n_own; j++)
            *own++ = (own_row){ k->own[j].rows, k->own[j].element, put_size(k->own[j].elems) };
    }
    for (uint32_t i = 0; i < c->n_images; i++) {
        const device_image *m = &c->images[i];
        end = round_up(end);
        images[i] = (image_row){ m->kind, m->major, m->minor, m->exact, end, m->size };
        memcpy(bytes + end, m->bytes, m->size);
        end += m->size;
    }
    h.size = size;
    h.sum = sum_of(bytes + sizeof h, size - sizeof h);
    memcpy(bytes, &h, sizeof h);
    *out = bytes;
    *n_bytes = size;
    return true;
}

size_t device_code_size(const void *bytes)
{
    head h;
    memcpy(&h, bytes, sizeof h);
    return h.magic == DEVICE_CODE_MAGIC && h.version == DEVICE_CODE_VERSION ? (size_t)h.size : 0;
}

/* A text that ends within the bytes. */
static bool text_at(const char *bytes, size_t size, uint32_t at, const char **out)
{
    if (at >= size || !memchr(bytes + at, 0, size - at))
        return false;
    *out = bytes + at;
    return **out != 0;
}

static bool read_kernel(const char *bytes, size_t size, const head *h, const kernel_row *r, device_kernel *k)
{
    *k = (device_kernel){ .threads = r->threads, .rows_a_block = r->rows_a_block, .pieces_a_block = r->pieces_a_block,
                          .any_order = r->any_order != 0, .room_bytes = r->room_bytes, .state_bytes = r->state_bytes,
                          .n_products = r->n_products, .n_own = r->n_own, .before = r->before, .after = r->after };
    for (int i = 0; i < 2; i++) {
        uint32_t part = i ? k->after : k->before;
        if (part != DEVICE_NONE && (part < h->n_main || part >= h->n_kernels || !k->n_products))
            return false;
    }
    return text_at(bytes, size, r->rows, &k->rows) && (!r->piece || text_at(bytes, size, r->piece, &k->piece)) &&
           k->threads >= 1 && k->threads <= 1024 && k->rows_a_block >= 1 && k->rows_a_block <= 1 << 20 && k->pieces_a_block >= 1 &&
           k->pieces_a_block <= 1 << 20 && k->room_bytes >= -1 && k->state_bytes >= -1 && k->n_products <= MOST_OF_KERNEL &&
           k->n_own <= MP_DEVICE_OWN;
}

static device_size read_size(const size_row *r)
{
    return (device_size){ r->value, r->slot };
}

static bool is_element(uint32_t bytes)
{
    return bytes == 4 || bytes == 8;
}

static bool read_product(const product_row *r, const device_kernel *k, device_product *p)
{
    device_size *sizes[DEVICE_PRODUCT_SIZES];
    device_operand *all[] = { &p->a, &p->b, &p->c };
    *p = (device_product){ .sum = r->sum != 0, .accumulate = r->accumulate != 0, .transposed = r->transposed != 0, .element = r->element };
    list_sizes(p, sizes);
    for (int i = 0; i < DEVICE_PRODUCT_SIZES; i++)
        *sizes[i] = read_size(&r->size[i]);
    bool ok = is_element(r->element) && (p->sum || !p->transposed);
    for (int i = 0; i < 3; i++) {
        *all[i] = (device_operand){ r->operand[i].is_own != 0, r->operand[i].id, read_size(&r->operand[i].at) };
        ok = ok && (!all[i]->is_own || (all[i]->id < k->n_own && k->own[all[i]->id].element == p->element));
    }
    return ok;
}

/* Products and own memory of a kernel, into the next of the lists. */
static bool read_lists(const char *bytes, const places *at, device_kernel *k, device_product *products, device_own *own, uint32_t *n_products,
                       uint32_t *n_own)
{
    bool ok = true;
    k->products = products + *n_products;
    k->own = own + *n_own;
    for (uint32_t i = 0; i < k->n_own; i++) {
        own_row r;
        memcpy(&r, bytes + at->own + *n_own * sizeof r, sizeof r);
        own[(*n_own)++] = (device_own){ r.rows, r.element, read_size(&r.elems) };
        ok = ok && r.rows <= DEVICE_MEMBERS && is_element(r.element);
    }
    for (uint32_t i = 0; i < k->n_products && ok; i++) {
        product_row r;
        memcpy(&r, bytes + at->products + *n_products * sizeof r, sizeof r);
        ok = read_product(&r, k, &products[(*n_products)++]);
    }
    return ok;
}

static bool read_image(const char *bytes, size_t size, const image_row *r, device_image *m)
{
    if (r->kind > DEVICE_PTX || r->at > size || r->size > size - r->at || r->size < 1)
        return false;
    *m = (device_image){ (device_image_kind)r->kind, r->major, r->minor, r->exact != 0, bytes + r->at, (size_t)r->size };
    return m->kind != DEVICE_PTX || bytes[r->at + r->size - 1] == 0;
}

bool device_code_read(const void *data, size_t n_bytes, uint64_t n_main, device_code *out)
{
    const char *bytes = data;
    head h;
    if (n_bytes && n_bytes < sizeof h)
        return false;
    memcpy(&h, bytes, sizeof h);
    size_t size = device_code_size(bytes);
    if (size < sizeof h || (n_bytes && size != n_bytes) || h.n_main != n_main || h.n_kernels < h.n_main || h.n_kernels > MOST_KERNELS ||
        h.n_images > MOST_IMAGES || h.n_products > h.n_kernels * (uint64_t)MOST_OF_KERNEL || h.n_own > h.n_kernels * (uint64_t)MP_DEVICE_OWN ||
        places_of(&h).end > size || h.sum != sum_of(bytes + sizeof h, size - sizeof h))
        return false;
    places at = places_of(&h);
    device_code c = { .n_main = h.n_main, .n_kernels = h.n_kernels, .n_images = h.n_images };
    c.kernels = calloc(1, (h.n_kernels + 1) * sizeof *c.kernels + h.n_images * sizeof *c.images + h.n_products * sizeof(device_product) +
                          h.n_own * sizeof(device_own));
    if (!c.kernels)
        return false;
    c.images = (device_image *)(void *)(c.kernels + h.n_kernels + 1);
    device_product *products = (device_product *)(void *)(c.images + h.n_images);
    device_own *own = (device_own *)(void *)(products + h.n_products);
    uint32_t n_products = 0, n_own = 0;
    bool ok = true;
    for (uint32_t i = 0; i < h.n_kernels && ok; i++) {
        kernel_row r;
        memcpy(&r, bytes + at.kernels + i * sizeof r, sizeof r);
        ok = read_kernel(bytes, size, &h, &r, &c.kernels[i]) && r.n_products <= h.n_products - n_products && r.n_own <= h.n_own - n_own &&
             read_lists(bytes, &at, &c.kernels[i], products, own, &n_products, &n_own);
    }
    for (uint32_t i = 0; i < h.n_images && ok; i++) {
        image_row r;
        memcpy(&r, bytes + at.images + i * sizeof r, sizeof r);
        ok = read_image(bytes, size, &r, &c.images[i]);
    }
    if (ok)
        *out = c;
    else
        free(c.kernels);
    return ok;
}

static bool runs(const device_image *m, uint32_t major, uint32_t minor)
{
    if (m->exact)
        return m->major == major && m->minor == minor;
    if (m->kind == DEVICE_CUBIN)
        return m->major == major && m->minor <= minor;
    return m->major < major || (m->major == major && m->minor <= minor);
}

static bool better(const device_image *a, const device_image *b)
{
    if (a->kind != b->kind)
        return a->kind == DEVICE_CUBIN;
    if (a->major != b->major || a->minor != b->minor)
        return a->major > b->major || (a->major == b->major && a->minor > b->minor);
    return a->exact && !b->exact;
}

const device_image *device_code_choose(const device_code *c, uint32_t major, uint32_t minor)
{
    const device_image *best = NULL;
    for (uint32_t i = 0; i < c->n_images; i++)
        if (runs(&c->images[i], major, minor) && (!best || better(&c->images[i], best)))
            best = &c->images[i];
    return best;
}
