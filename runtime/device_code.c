/*
 * Writing, reading and choosing of code for GPUs: see device_code.h.
 */
#include "runtime/device_code.h"

#include <stdlib.h>
#include <string.h>

/* The head, the kernels, the images, then names and images' bytes; offsets are from the beginning. */
typedef struct head { uint32_t magic, version; uint64_t size, sum; uint32_t n_kernels, n_images; } head;
typedef struct kernel_row {
    uint32_t rows, piece;           /* offsets; piece 0: none */
    uint32_t threads, rows_a_block, pieces_a_block, any_order;
    int64_t room_bytes, state_bytes;
} kernel_row;
typedef struct image_row { uint32_t kind, major, minor, exact; uint64_t at, size; } image_row;

enum { IMAGE_ALIGN = 64, MOST_KERNELS = 1 << 20, MOST_IMAGES = 64 };

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

bool device_code_write(const device_code *c, void **out, size_t *n_bytes)
{
    size_t lists = sizeof(head) + c->n_kernels * sizeof(kernel_row) + c->n_images * sizeof(image_row), size = lists;
    for (uint32_t i = 0; i < c->n_kernels; i++)
        size += text_size(c->kernels[i].rows) + text_size(c->kernels[i].piece);
    if (size > UINT32_MAX)
        return false;
    for (uint32_t i = 0; i < c->n_images; i++)
        size = round_up(size) + c->images[i].size;
    char *bytes = calloc(size, 1);
    if (!bytes)
        return false;
    size_t end = lists;
    kernel_row *rows = (kernel_row *)(void *)(bytes + sizeof(head));
    image_row *images = (image_row *)(void *)(rows + c->n_kernels);
    for (uint32_t i = 0; i < c->n_kernels; i++) {
        const device_kernel *k = &c->kernels[i];
        rows[i] = (kernel_row){ put_text(bytes, &end, k->rows), put_text(bytes, &end, k->piece), k->threads, k->rows_a_block,
                                k->pieces_a_block, k->any_order, k->room_bytes, k->state_bytes };
    }
    for (uint32_t i = 0; i < c->n_images; i++) {
        const device_image *m = &c->images[i];
        end = round_up(end);
        images[i] = (image_row){ m->kind, m->major, m->minor, m->exact, end, m->size };
        memcpy(bytes + end, m->bytes, m->size);
        end += m->size;
    }
    head h = { DEVICE_CODE_MAGIC, DEVICE_CODE_VERSION, size, sum_of(bytes + sizeof h, size - sizeof h), c->n_kernels, c->n_images };
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

static bool read_kernel(const char *bytes, size_t size, const kernel_row *r, device_kernel *k)
{
    *k = (device_kernel){ .threads = r->threads, .rows_a_block = r->rows_a_block, .pieces_a_block = r->pieces_a_block,
                          .any_order = r->any_order != 0, .room_bytes = r->room_bytes, .state_bytes = r->state_bytes };
    return text_at(bytes, size, r->rows, &k->rows) && (!r->piece || text_at(bytes, size, r->piece, &k->piece)) &&
           k->threads >= 1 && k->threads <= 1024 && k->rows_a_block >= 1 && k->rows_a_block <= 1 << 20 && k->pieces_a_block >= 1 &&
           k->pieces_a_block <= 1 << 20 && k->room_bytes >= -1 && k->state_bytes >= -1;
}

static bool read_image(const char *bytes, size_t size, const image_row *r, device_image *m)
{
    if (r->kind > DEVICE_PTX || r->at > size || r->size > size - r->at || r->size < 1)
        return false;
    *m = (device_image){ (device_image_kind)r->kind, r->major, r->minor, r->exact != 0, bytes + r->at, (size_t)r->size };
    return m->kind != DEVICE_PTX || bytes[r->at + r->size - 1] == 0;
}

bool device_code_read(const void *data, size_t n_bytes, uint64_t n_kernels, device_code *out)
{
    const char *bytes = data;
    head h;
    if (n_bytes && n_bytes < sizeof h)
        return false;
    memcpy(&h, bytes, sizeof h);
    size_t size = device_code_size(bytes);
    if (size < sizeof h || (n_bytes && size != n_bytes) || h.n_kernels != n_kernels || h.n_kernels > MOST_KERNELS || h.n_images > MOST_IMAGES ||
        sizeof h + h.n_kernels * sizeof(kernel_row) + h.n_images * sizeof(image_row) > size ||
        h.sum != sum_of(bytes + sizeof h, size - sizeof h))
        return false;
    device_code c = { .n_kernels = h.n_kernels, .n_images = h.n_images };
    c.kernels = calloc(1, (h.n_kernels + 1) * sizeof *c.kernels + h.n_images * sizeof *c.images);
    if (!c.kernels)
        return false;
    c.images = (device_image *)(void *)(c.kernels + h.n_kernels + 1);
    const char *rows = bytes + sizeof h, *images = rows + h.n_kernels * sizeof(kernel_row);
    bool ok = true;
    for (uint32_t i = 0; i < h.n_kernels && ok; i++) {
        kernel_row r;
        memcpy(&r, rows + i * sizeof r, sizeof r);
        ok = read_kernel(bytes, size, &r, &c.kernels[i]);
    }
    for (uint32_t i = 0; i < h.n_images && ok; i++) {
        image_row r;
        memcpy(&r, images + i * sizeof r, sizeof r);
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
