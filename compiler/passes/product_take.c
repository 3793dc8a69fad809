/* Taking products apart. See product.h.
 *
 * Seen through are products and quotients, contractions, signs, views that only name axes anew, gathers of
 * products and one sum over members, as long as nobody else reads them. */
#include "compiler/passes/product.h"

#include <string.h>

typedef struct item {
    ir_val v;
    uint8_t names[IR_MAX_RANK];
    bool inverse, inside;       /* inside the sum over members */
    ir_val gathered;            /* the map along which it is brought to the members */
} item;

typedef struct taking {
    rewriter *r;
    product *p;
    ir_val root;
    uint32_t n;
    item at[ORDER_FACTORS];
    bool deep;
    uint8_t next;               /* letter */
    dim sizes[TERM_LETTERS];    /* of summed letters */
} taking;

static bool alone(const taking *t, ir_val v) { return ir_same(v, t->root) || rw_uses(t->r, v) == 1; }

static bool is_product_op(ir_op op) { return op == OP_MUL || op == OP_DIV || op == OP_EINSUM; }

/* The item seen through a reshape that only adds or drops axes of 1. */
static bool through_reshape(const ir_layer *l, item *it)
{
    const ir_node *n = ir_at(l, it->v), *a = ir_at(l, n->args[0]);
    uint8_t names[IR_MAX_RANK] = {0};
    uint32_t j = 0;
    for (uint32_t k = 0; k < a->rank; k++) {
        if (dim_is(l->dims, a->shape[k], 1))
            continue;
        while (j < n->rank && dim_is(l->dims, n->shape[j], 1))
            j++;
        if (j == n->rank || !dim_equal(l->dims, n->shape[j], a->shape[k]))
            return false;
        names[k] = it->names[j++];
    }
    for (; j < n->rank; j++)
        if (!dim_is(l->dims, n->shape[j], 1))
            return false;
    it->v = n->args[0];
    memcpy(it->names, names, sizeof names);
    return true;
}

/* Views, signs and repetitions off; true if something was. */
static bool strip(taking *t, item *it)
{
    const ir_layer *l = t->r->l;
    const ir_node *n = ir_at(l, it->v);
    if (n->op == OP_NEG && alone(t, it->v)) {
        t->p->minus = !t->p->minus;
    } else if (n->op == OP_TRANSPOSE) {
        uint8_t was[IR_MAX_RANK];
        memcpy(was, it->names, sizeof was);
        for (uint32_t k = 0; k < n->rank; k++)
            it->names[n->u.perm[k]] = was[k];
    } else if (n->op == OP_BROADCAST) {
        uint32_t lead = n->rank - ir_at(l, n->args[0])->rank;
        memmove(it->names, it->names + lead, sizeof it->names - lead);
        if (is_unit(l, n->args[0]))
            it->gathered = (ir_val){0};
    } else if (n->op == OP_RESHAPE) {
        return through_reshape(l, it);
    } else {
        return false;
    }
    it->v = n->args[0];
    return true;
}

static bool push(taking *t, const item *it)
{
    if (t->n == ORDER_FACTORS)
        return false;
    t->at[t->n++] = *it;
    return true;
}

/* The item's operands in its place: 1; none: 0; too many: -1. */
static int open_item(taking *t, uint32_t k)
{
    const ir_layer *l = t->r->l;
    item it = t->at[k], a = it, b = it;
    const ir_node *n = ir_at(l, it.v);
    if (n->op == OP_AGG_SUM) {
        if (ir_is(t->p->map) || it.inverse || ir_is(it.gathered) || it.inside || !alone(t, it.v) ||
            !ir_dom_same(n->dom, dom_of(l, t->root)))
            return 0;
        t->p->map = n->args[1];
        t->at[k].v = n->args[0];
        t->at[k].inside = true;
        return 1;
    }
    if (n->op == OP_GATHER) {
        ir_val u = n->args[0];
        if (!t->deep || ir_is(it.gathered) || !alone(t, it.v) || rw_uses(t->r, u) > 1 ||
            !is_product_op(op_of(l, u)) || !ir_map_total(l, n->args[1]) || (ir_is(t->p->map) && !it.inside))
            return 0;
        t->at[k].v = u;
        t->at[k].gathered = n->args[1];
        return 1;
    }
    if (!is_product_op((ir_op)n->op) || !alone(t, it.v) || (n->op == OP_EINSUM && !t->deep))
        return 0;
    a.v = n->args[0];
    b.v = n->args[1];
    if (n->op == OP_EINSUM) {
        ir_einsum e = n->u.ein;
        uint8_t of[2 * IR_MAX_RANK];
        if (it.inverse || t->next + e.na + e.nb > TERM_LETTERS)
            return 0;
        memset(of, 0xff, sizeof of);
        for (uint32_t j = 0; j < e.nout; j++)
            of[e.out[j]] = it.names[j];
        for (uint32_t side = 0; side < 2; side++) {
            const ir_node *x = ir_at(l, n->args[side]);
            for (uint32_t j = 0; j < x->rank; j++) {
                uint8_t letter = side ? e.b[j] : e.a[j];
                if (of[letter] == 0xff) {
                    of[letter] = t->next;
                    t->sizes[t->next++] = x->shape[j];
                }
                (side ? &b : &a)->names[j] = of[letter];
            }
        }
    } else {
        for (uint32_t side = 0; side < 2; side++) {
            uint32_t lead = n->rank - ir_at(l, n->args[side])->rank;
            memmove((side ? &b : &a)->names, it.names + lead, n->rank - lead);
        }
        b.inverse = it.inverse != (n->op == OP_DIV);
    }
    if (ir_is(it.gathered) && is_unit(l, a.v))
        a.gathered = (ir_val){0};
    if (ir_is(it.gathered) && is_unit(l, b.v))
        b.gathered = (ir_val){0};
    t->at[k] = a;
    return push(t, &b) ? 1 : -1;
}

static factor factor_of(ir_layer *l, const product *p, const item *it)
{
    ir_val v = it->v;
    bool outside = ir_is(p->map) && !it->inside;
    if (outside) {
        if (ir_is(it->gathered))
            v = ir_gather(l, v, it->gathered);
        v = ir_gather(l, v, p->map);
    } else if (ir_is(it->gathered)) {
        v = ir_gather(l, v, it->gathered);
    }
    return (factor){
        .t = term_make(l, v, it->names), .atom = it->v, .inverse = it->inverse, .outside = outside};
}

/* Letters that nothing else needs are summed in the factor itself. */
static bool sum_lonely(ir_layer *l, product *p)
{
    for (uint32_t k = 0; k < p->n; k++) {
        letters need = p->out;
        for (uint32_t j = 0; j < p->n; j++)
            if (j != k)
                need |= term_letters(&p->f[j].t);
        if (!(term_letters(&p->f[k].t) & ~need))
            continue;
        if (p->f[k].inverse)
            return false;
        p->f[k].t = term_sum(l, &p->f[k].t, need);
    }
    return true;
}

bool product_take(rewriter *r, ir_val v, bool deep, product *p)
{
    ir_layer *l = r->l;
    taking t = {.r = r, .p = p, .root = v, .deep = deep, .n = 1};
    *p = (product){.rank = ir_at(l, v)->rank, .times = dim_const(l->dims, 1)};
    t.at[0].v = v;
    t.next = (uint8_t)p->rank;
    for (uint32_t k = 0; k < p->rank; k++)
        t.at[0].names[k] = p->names[k] = (uint8_t)k;
    p->out = ((letters)1 << p->rank) - 1;
    for (uint32_t k = 0; k < t.n;) {
        if (strip(&t, &t.at[k]))
            continue;
        int opened = open_item(&t, k);
        if (opened < 0)
            return false;
        k += opened == 0;
    }
    if (t.n < 2)
        return false;
    p->members = ir_is(p->map) ? ir_at(l, p->map)->dom : dom_of(l, v);
    letters have = 0;
    for (uint32_t k = 0; k < t.n; k++) {
        if (ir_is(p->map) && !t.at[k].inside && !is_unit(l, t.at[k].v) && !ir_map_total(l, p->map))
            return false;
        p->f[p->n++] = factor_of(l, p, &t.at[k]);
        have |= term_letters(&p->f[k].t);
    }
    for (uint8_t letter = (uint8_t)p->rank; letter < t.next; letter++)
        if (!(have >> letter & 1))
            p->times = dim_mul(l->dims, p->times, t.sizes[letter]);
    return sum_lonely(l, p);
}
