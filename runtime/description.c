/*
 * Reading and writing of descriptions. One list of fields serves both directions: an `io` either appends what it is
 * shown or fills it in. What is read lives in a pool of chunks that goes with the description.
 */
#include "runtime/description.h"

#include <stdlib.h>
#include <string.h>

enum { SUM_AT = 8, BODY_AT = 16 };          /* magic and version, sum, body */

typedef struct chunk { struct chunk *next; } chunk;

struct description {
    chunk *chunks;
    desc_module module;
};

typedef struct io {
    bool writing;
    bool bad, no_memory;
    uint8_t *at;                        /* writing: the bytes so far, malloc'ed; reading: the next one */
    size_t n, cap;                      /* writing: bytes and room; reading: n bytes are left */
    chunk **chunks;
} io;

static void *pool_alloc(io *f, size_t bytes)
{
    chunk *c = calloc(1, sizeof *c + bytes);
    if (!c) {
        f->no_memory = true;
        return NULL;
    }
    c->next = *f->chunks;
    *f->chunks = c;
    return c + 1;
}

static void put(io *f, const void *from, size_t n)
{
    if (f->no_memory)
        return;
    if (n > f->cap - f->n) {
        size_t cap = f->cap * 2 + n + 1024;
        uint8_t *at = realloc(f->at, cap);
        if (!at) {
            f->no_memory = true;
            return;
        }
        f->at = at;
        f->cap = cap;
    }
    memcpy(f->at + f->n, from, n);
    f->n += n;
}

/* The next n bytes, or NULL. */
static const uint8_t *take(io *f, size_t n)
{
    if (f->bad || f->no_memory || n > f->n) {
        f->bad = true;
        return NULL;
    }
    const uint8_t *p = f->at;
    f->at += n;
    f->n -= n;
    return p;
}

static void io_u64(io *f, uint64_t *v)
{
    uint8_t b[8];
    if (f->writing) {
        for (int i = 0; i < 8; i++)
            b[i] = (uint8_t)(*v >> 8 * i);
        put(f, b, 8);
        return;
    }
    const uint8_t *p = take(f, 8);
    *v = 0;
    for (int i = 0; p && i < 8; i++)
        *v |= (uint64_t)p[i] << 8 * i;
}

static void io_u32(io *f, uint32_t *v)
{
    uint8_t b[4];
    if (f->writing) {
        for (int i = 0; i < 4; i++)
            b[i] = (uint8_t)(*v >> 8 * i);
        put(f, b, 4);
        return;
    }
    const uint8_t *p = take(f, 4);
    *v = p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static void io_i64(io *f, int64_t *v)
{
    uint64_t u = (uint64_t)*v;
    io_u64(f, &u);
    *v = (int64_t)u;
}

static void io_f64(io *f, double *v)
{
    uint64_t u;
    memcpy(&u, v, sizeof u);
    io_u64(f, &u);
    memcpy(v, &u, sizeof u);
}

static void io_bool(io *f, bool *v)
{
    uint8_t b = *v ? 1 : 0;
    if (f->writing) {
        put(f, &b, 1);
        return;
    }
    const uint8_t *p = take(f, 1);
    *v = p && *p == 1;
    f->bad |= p && *p > 1;
}

static void io_text(io *f, const char **v)
{
    uint32_t n = f->writing ? (uint32_t)strlen(*v ? *v : "") : 0;
    io_u32(f, &n);
    if (f->writing) {
        put(f, *v ? *v : "", n);
        return;
    }
    const uint8_t *p = take(f, n);
    char *text = p ? pool_alloc(f, (size_t)n + 1) : NULL;
    *v = text ? text : "";
    if (!text)
        return;
    memcpy(text, p, n);
    f->bad |= memchr(text, 0, n) != NULL;
}

/* A list of n elements of `size` bytes in memory; each takes at least `least` bytes in the description. */
static void io_list(io *f, void *list, uint32_t *n, size_t size, size_t least, void (*element)(io *, void *))
{
    void **at = list;
    io_u32(f, n);
    if (!f->writing) {
        *at = NULL;
        f->bad |= *n > f->n / least;
        if (!f->bad && *n)
            *at = pool_alloc(f, *n * size);
        if (!*at)
            *n = 0;
    }
    for (uint32_t i = 0; i < *n; i++)
        element(f, (char *)*at + i * size);
}

#define LIST(f, list, count, least, element) io_list(f, &(list), &(count), sizeof *(list), least, element)

static void io_power(io *f, void *at)
{
    desc_power *p = at;
    io_u32(f, &p->symbol);
    io_u32(f, &p->exponent);
}

static void io_term(io *f, void *at)
{
    desc_term *t = at;
    io_i64(f, &t->coef);
    LIST(f, t->powers, t->n_powers, 8, io_power);
}

static void io_dim(io *f, void *at)
{
    desc_dim *d = at;
    io_text(f, &d->text);
    LIST(f, d->num.terms, d->num.n_terms, 12, io_term);
    LIST(f, d->den.terms, d->den.n_terms, 12, io_term);
}

static void io_size(io *f, desc_size *s)
{
    io_bool(f, &s->is_const);
    io_i64(f, &s->value);
    io_u32(f, &s->slot);
}

static void io_rows(io *f, mp_rows *r)
{
    io_u32(f, &r->kind);
    io_u32(f, &r->which);
}

static void io_fiber(io *f, mp_fiber *r)
{
    io_u32(f, &r->kind);
    io_u32(f, &r->which);
}

static void io_number(io *f, void *at)
{
    io_u32(f, at);
}

static void io_name(io *f, void *at)
{
    io_text(f, at);
}

static void io_static(io *f, void *at)
{
    desc_static *s = at;
    io_text(f, &s->name);
    io_bool(f, &s->real);
    io_bool(f, &s->has_default);
    io_bool(f, &s->fixed);
    io_i64(f, &s->dim);
    io_f64(f, &s->value);
    io_u32(f, &s->default_dim);
    io_u32(f, &s->symbol);
}

static void io_division(io *f, void *at)
{
    desc_division *d = at;
    io_u32(f, &d->num);
    io_u32(f, &d->den);
}

static void io_check(io *f, void *at)
{
    desc_check *c = at;
    io_u32(f, &c->dim);
    io_i64(f, &c->least);
    io_text(f, &c->what);
}

static void io_need(io *f, void *at)
{
    desc_need *n = at;
    io_u32(f, &n->kind);
    io_text(f, &n->name);
}

static void io_value(io *f, void *at)
{
    desc_value *v = at;
    uint32_t domain = v->domain, type = v->type, init = v->init.kind;
    io_text(f, &v->name);
    io_bool(f, &v->param);
    io_bool(f, &v->none);
    io_bool(f, &v->differentiable);
    io_u32(f, &domain);
    io_u32(f, &type);
    io_u32(f, &v->rows);
    io_u32(f, &v->rank);
    for (int i = 0; i < MP_MAX_RANK; i++)
        io_u32(f, &v->dims[i]);
    io_u32(f, &v->range);
    io_u32(f, &init);
    io_f64(f, &v->init.a);
    io_f64(f, &v->init.b);
    v->domain = (mp_domain)domain;
    v->type = (mp_type)type;
    v->init.kind = (mp_init_kind)init;
}

static void io_buffer(io *f, void *at)
{
    desc_buffer *b = at;
    io_u32(f, &b->kind);
    io_u32(f, &b->index);
    io_u32(f, &b->type);
    io_rows(f, &b->rows);
    io_size(f, &b->elems);
    io_bool(f, &b->walk_order);
    io_bool(f, &b->sequence);
    io_u32(f, &b->entries);
    io_size(f, &b->slots);
    io_u32(f, &b->first);
    io_u32(f, &b->last);
    io_text(f, &b->name);
}

static void io_local(io *f, void *at)
{
    desc_local *l = at;
    io_size(f, &l->elems);
    io_u32(f, &l->copies);
    io_u32(f, &l->type);
}

static void io_use(io *f, void *at)
{
    desc_use *u = at;
    io_u32(f, &u->buffer);
    io_u32(f, &u->how);
}

static void io_kernel(io *f, void *at)
{
    desc_kernel *k = at;
    io_text(f, &k->name);
    io_rows(f, &k->rows);
    io_fiber(f, &k->fiber);
    io_u32(f, &k->tile);
    io_u32(f, &k->row_cost);
    io_u32(f, &k->entry);
    LIST(f, k->uses, k->n_uses, 8, io_use);
    LIST(f, k->scratch, k->n_scratch, 21, io_local);
    LIST(f, k->state, k->n_state, 21, io_local);
}

static void io_step(io *f, void *at)
{
    desc_step *s = at;
    io_u32(f, &s->kind);
    io_u32(f, &s->a);
    io_u32(f, &s->b);
    io_bool(f, &s->at_prepare);
}

static void io_pairs(io *f, void *at)
{
    desc_pairs *s = at;
    io_fiber(f, &s->base);
    io_u32(f, &s->index_buffer);
    io_size(f, &s->range);
}

static void io_loop(io *f, void *at)
{
    desc_loop *l = at;
    io_text(f, &l->name);
    io_size(f, &l->limit);
    io_bool(f, &l->until);
    io_u32(f, &l->tol_buffer);
    io_u32(f, &l->change_buffer);
    io_u32(f, &l->again);
    io_u32(f, &l->count_buffer);
    io_u32(f, &l->steps_buffer);
}

static void io_replay(io *f, void *at)
{
    desc_replay *r = at;
    io_u32(f, &r->loop);
    io_u32(f, &r->kept);
    io_u32(f, &r->made);
    io_u32(f, &r->cur);
    io_u32(f, &r->next);
    io_u32(f, &r->value);
}

static void io_program(io *f, void *at)
{
    desc_program *p = at;
    io_u32(f, &p->kind);
    LIST(f, p->slots, p->n_slots, 4, io_number);
    LIST(f, p->buffers, p->n_buffers, 64, io_buffer);
    LIST(f, p->kernels, p->n_kernels, 44, io_kernel);
    LIST(f, p->steps, p->n_steps, 13, io_step);
    LIST(f, p->pairs, p->n_pairs, 25, io_pairs);
    LIST(f, p->loops, p->n_loops, 38, io_loop);
    LIST(f, p->replays, p->n_replays, 24, io_replay);
}

static void io_layer(io *f, void *at)
{
    desc_layer *l = at;
    io_text(f, &l->name);
    io_u32(f, &l->n_saved);
    LIST(f, l->statics, l->n_statics, 31, io_static);
    LIST(f, l->symbols, l->n_symbols, 4, io_name);
    LIST(f, l->dims, l->n_dims, 12, io_dim);
    LIST(f, l->divisions, l->n_divisions, 8, io_division);
    LIST(f, l->checks, l->n_checks, 16, io_check);
    LIST(f, l->inputs, l->n_inputs, 63, io_value);
    LIST(f, l->outputs, l->n_outputs, 63, io_value);
    LIST(f, l->needs, l->n_needs, 8, io_need);
    LIST(f, l->programs, l->n_programs, 28, io_program);
}

static void io_module(io *f, desc_module *m)
{
    LIST(f, m->layers, m->n_layers, 44, io_layer);
}

/* FNV-1a: no single changed byte leaves it as it was. */
static uint64_t sum_of(const uint8_t *p, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

void description_seal(void *bytes, size_t n_bytes)
{
    uint8_t *p = bytes;
    if (n_bytes < BODY_AT)
        return;
    uint64_t sum = sum_of(p + BODY_AT, n_bytes - BODY_AT);
    for (int i = 0; i < 8; i++)
        p[SUM_AT + i] = (uint8_t)(sum >> 8 * i);
}

bool description_write(const desc_module *m, void **bytes, size_t *n_bytes)
{
    io f = { .writing = true };
    uint32_t magic = DESC_MAGIC, version = DESC_VERSION;
    uint64_t sum = 0;
    desc_module copy = *m;
    io_u32(&f, &magic);
    io_u32(&f, &version);
    io_u64(&f, &sum);
    io_module(&f, &copy);
    if (f.no_memory || f.n > UINT32_MAX) {
        free(f.at);
        return false;
    }
    description_seal(f.at, f.n);
    *bytes = f.at;
    *n_bytes = f.n;
    return true;
}

void description_free(description *d)
{
    if (!d)
        return;
    for (chunk *c = d->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(d);
}

static desc_result give_up(description *d, desc_result r, char *why, const char *text)
{
    description_free(d);
    strcpy(why, text);
    return r;
}

desc_result description_read(const void *bytes, size_t n_bytes, uint64_t n_kernels, description **out, char why[DESC_WHY])
{
    description *d = calloc(1, sizeof *d);
    if (!d)
        return give_up(d, DESC_NO_MEMORY, why, "out of memory for the description");
    io f = { .at = (uint8_t *)(uintptr_t)bytes, .n = bytes ? n_bytes : 0, .chunks = &d->chunks };
    uint32_t magic, version;
    io_u32(&f, &magic);
    io_u32(&f, &version);
    if (f.bad || magic != DESC_MAGIC)
        return give_up(d, DESC_BAD, why, "the description does not begin as one");
    if (version != DESC_VERSION)
        return give_up(d, DESC_OTHER_VERSION, why, "the description has another version");
    uint64_t sum;
    io_u64(&f, &sum);
    if (f.bad || sum != sum_of(f.at, f.n))
        return give_up(d, DESC_BAD, why, "bytes of the description were changed or are missing");
    io_module(&f, &d->module);
    if (f.no_memory)
        return give_up(d, DESC_NO_MEMORY, why, "out of memory for the description");
    if (f.bad)
        return give_up(d, DESC_BAD, why, "the description is cut off or has a wrong length in it");
    if (f.n)
        return give_up(d, DESC_BAD, why, "something follows the description");
    if (!description_check(&d->module, n_kernels, why)) {
        description_free(d);
        return DESC_BAD;
    }
    *out = d;
    return DESC_OK;
}

const desc_module *description_module(const description *d)
{
    return &d->module;
}

const desc_program *desc_find_program(const desc_layer *l, desc_program_kind kind)
{
    for (uint32_t i = 0; i < l->n_programs; i++)
        if (l->programs[i].kind == (uint32_t)kind)
            return &l->programs[i];
    return NULL;
}
