/* See gen.h. Names, dims, symbols, statements, and the frame of a program. */
#include "tests/prop/gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const gdom_name[G_N_DOMS] = {"param", "global", "graph", "node", "src", "dst", "edge"};

/* ---- chance ---- */

uint64_t g_random(gen *g)
{
    uint64_t z = g->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int g_below(gen *g, int n) { return (int)(g_random(g) % (uint64_t)n); }
bool g_chance(gen *g, int percent) { return g_below(g, 100) < percent; }
double g_uniform(gen *g, double lo, double hi) { return lo + (hi - lo) * (double)(g_random(g) >> 11) * 0x1p-53; }

/* ---- dims ---- */

static int dim_add(gen *g, gdim d)
{
    for (int i = 0; i < g->n_dims; i++)
        if (!strcmp(g->dims[i].text, d.text))
            return i;
    if (g->n_dims == G_MAX_DIMS)
        return 0;
    g->dims[g->n_dims] = d;
    return g->n_dims++;
}

int g_dim_const(gen *g, int64_t value)
{
    return dim_add(g, (gdim){GD_CONST, 0, 0, value, arena_printf(g->mem, "%lld", (long long)value)});
}

int g_dim_sum(gen *g, int a, int b)
{
    const gdim *x = &g->dims[a], *y = &g->dims[b];
    if (x->kind == GD_CONST && y->kind == GD_CONST)
        return g_dim_const(g, x->value + y->value);
    return dim_add(g, (gdim){GD_SUM, a, b, x->value + y->value, arena_printf(g->mem, "(%s + %s)", x->text, y->text)});
}

int g_dim_prod(gen *g, int a, int b)
{
    const gdim *x = &g->dims[a], *y = &g->dims[b];
    if (x->kind == GD_CONST && y->kind == GD_CONST)
        return g_dim_const(g, x->value * y->value);
    return dim_add(g, (gdim){GD_PROD, a, b, x->value * y->value, arena_printf(g->mem, "%s * %s", x->text, y->text)});
}

bool g_dim_same(const gen *g, int a, int b)
{
    const gdim *x = &g->dims[a], *y = &g->dims[b];
    return a == b || (x->kind == y->kind && x->kind >= GD_SUM && x->a == y->b && x->b == y->a);
}

static const int odd_widths[] = {1, 2, 3, 3, 5, 8, 2, 4, 17, 33};

int g_dim_any(gen *g)
{
    if (g_chance(g, 25))
        return g_dim_const(g, 1 + g_below(g, 4));
    for (int tries = 0; tries < 8; tries++) {
        int i = g_below(g, g->n_dims);
        if (g->dims[i].kind == GD_SYM)
            return i;
    }
    return g_dim_const(g, 3);
}

gshape g_shape(int rank, const int *d)
{
    gshape s = {.rank = rank};
    for (int i = 0; i < rank; i++)
        s.d[i] = d[i];
    return s;
}

gshape g_shape_with(gshape s, int axis, int d)
{
    for (int i = s.rank++; i > axis; i--)
        s.d[i] = s.d[i - 1];
    s.d[axis] = d;
    return s;
}

gshape g_shape_without(gshape s, int axis)
{
    s.rank--;
    for (int i = axis; i < s.rank; i++)
        s.d[i] = s.d[i + 1];
    return s;
}

bool g_shape_same(const gen *g, gshape a, gshape b)
{
    bool same = a.rank == b.rank;
    for (int i = 0; same && i < a.rank; i++)
        same = g_dim_same(g, a.d[i], b.d[i]);
    return same;
}

int64_t g_shape_size(const gen *g, gshape s)
{
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        n *= g->dims[s.d[i]].value;
    return n;
}

gshape g_shape_any(gen *g, gdom dom, int max_rank)
{
    static const int ranks[] = {0, 0, 1, 1, 1, 1, 2, 2, 2, 3};
    for (;;) {
        gshape s = {.rank = ranks[g_below(g, 10)]};
        if (s.rank > max_rank)
            s.rank = max_rank;
        for (int i = 0; i < s.rank; i++)
            s.d[i] = g_dim_any(g);
        if (g_shape_size(g, s) <= (dom == G_EDGE ? 70 : 130))
            return s;
    }
}

const char *g_dims_text(gen *g, const gshape *s)
{
    const char *t = "";
    for (int i = 0; i < s->rank; i++)
        t = arena_printf(g->mem, "%s%s%s", t, i ? ", " : "", g->dims[s->d[i]].text);
    return t;
}

/* ---- expressions and names ---- */

gtype g_real(gshape s) { return (gtype){.elem = G_REAL, .shape = s}; }

gx *g_mk(gen *g, gtype type, double mag, const char *text, int n, ...)
{
    gx *x = NEW(g->mem, gx);
    *x = (gx){.text = text, .n = n, .type = type, .mag = mag};
    va_list ap;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        x->kid[i] = va_arg(ap, gx *);
    va_end(ap);
    return x;
}

gx *g_number(gen *g, double value)
{
    const char *text = arena_printf(g->mem, value < 0 ? "(%.4g)" : "%.4g", value);
    return g_mk(g, g_real(g_shape(0, NULL)), value < 0 ? -value : value, text, 0);
}

const char *g_name(gen *g, const char *stem) { return arena_printf(g->mem, "%s%d", stem, ++g->n_names); }

static void sym_add(gen *g, gsym *s)
{
    s->number = g->n_names % (64 * G_SETS);         /* one of two with the same number may be taken for the other: never here */
    s->reads[s->number / 64] |= (uint64_t)1 << s->number % 64;
    if (g->n_syms < G_MAX_SYMS)
        g->syms[g->n_syms++] = s;
}

gsym *g_declare(gen *g, gdom dom, gtype type)
{
    static const char *const stems[G_N_DOMS] = {"P", "gl", "u", "x", "xs", "xd", "w"};
    gsym *s = NEW(g->mem, gsym);
    *s = (gsym){.kind = dom == G_PARAM ? GS_PARAM : GS_INPUT, .dom = dom, .type = type, .mag = 1};
    const char *suffix = "";
    s->name = g_name(g, type.elem == G_INDEX ? "id" : type.elem == G_BOOL ? "is" : stems[dom]);
    if (type.elem == G_INDEX)
        suffix = arena_printf(g->mem, ": index(%s)%s", g->dims[type.range].text, type.none ? " or none" : "");
    else if (type.elem == G_BOOL)
        suffix = ": bool";
    else if (dom == G_PARAM && g_chance(g, 10))
        suffix = g_chance(g, 50) ? " init ones" : " init uniform(-1, 1)";
    else if (dom != G_PARAM && g_chance(g, 3))
        suffix = g_chance(g, 50) ? ": f16" : ": bf16";
    s->text = type.shape.rank ? arena_printf(g->mem, "%s[%s]%s", s->name, g_dims_text(g, &type.shape), suffix)
                              : arena_printf(g->mem, "%s%s", s->name, suffix);
    if (g->layer->n_inputs < G_MAX_SYMS)
        g->layer->inputs[g->layer->n_inputs++] = s;
    sym_add(g, s);
    return s;
}

gsym *g_weight(gen *g, int rank, ...)
{
    gtype t = g_real((gshape){.rank = rank});
    va_list ap;
    va_start(ap, rank);
    for (int i = 0; i < rank; i++)
        t.shape.d[i] = va_arg(ap, int);
    va_end(ap);
    for (int i = 0; i < g->n_syms && g_chance(g, 15); i++)
        if (g->syms[i]->kind == GS_PARAM && g->syms[i]->type.elem == G_REAL && g_shape_same(g, g->syms[i]->type.shape, t.shape))
            return g->syms[i];
    return g_declare(g, G_PARAM, t);
}

gx *g_read_at(gen *g, const char *end, const gsym *s)
{
    return g_mk(g, s->type, s->mag, *end ? arena_printf(g->mem, "%s.%s", end, s->name) : s->name, 0);
}

gx *g_read(gen *g, gctx c, const gsym *s)
{
    const char *end = "";
    if (c.dom == G_EDGE && s->dom == G_NODE)
        end = g_chance(g, 60) ? "src" : "dst";
    else if (c.dom == G_EDGE && (s->dom == G_SRC || s->dom == G_DST))
        end = gdom_name[s->dom];
    else if (c.dom >= G_NODE && s->dom == G_GRAPH)
        end = "graph";
    return g_read_at(g, end, s);
}

/* ---- what depends on what ---- */

static bool is_letter(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_of_name(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

/* Names in the text that are read: not those of functions, of arguments, or of what an instance makes. */
static void note_text(const gen *g, const char *text, uint64_t *reads)
{
    for (const char *t = text; *t;) {
        const char *end = t + 1;
        while (is_of_name(*t) && is_of_name(*end))
            end++;
        bool named = !strncmp(end, " =", 2) && end[2] != '=', made = t > text + 1 && t[-1] == '.' && t[-2] == ')';
        bool foreign = !is_letter(*t) || *end == '(' || named || made;
        for (int i = g->n_syms; !foreign && i-- > 0;)
            if (!strncmp(g->syms[i]->name, t, (size_t)(end - t)) && !g->syms[i]->name[end - t]) {
                for (int k = 0; k < G_SETS; k++)
                    reads[k] |= g->syms[i]->reads[k];
                break;
            }
        t = end;
    }
}

void g_note_reads(const gen *g, const gx *x, uint64_t *reads)
{
    note_text(g, x->text, reads);
    for (int i = 0; i < x->n; i++)
        g_note_reads(g, x->kid[i], reads);
}

bool g_reads(const gsym *s, const gsym *what) { return s->reads[what->number / 64] >> what->number % 64 & 1; }

/* ---- statements ---- */

gstmt *g_stmt(gen *g, gstmt_kind kind)
{
    gstmt *s = NEW(g->mem, gstmt);
    s->kind = kind;
    *g->tail = s;
    g->tail = &s->next;
    return s;
}

static gsym *equation(gen *g, gstmt_kind kind, gdom dom, const char *stem, gx *value)
{
    gstmt *s = g_stmt(g, kind);
    s->dom = dom;
    s->name = g_name(g, stem);
    s->value = value;
    gsym *v = NEW(g->mem, gsym);
    *v = (gsym){.kind = GS_DEF, .name = s->name, .dom = dom, .type = value->type, .mag = value->mag};
    g_note_reads(g, value, v->reads);
    sym_add(g, v);
    return v;
}

gsym *g_define(gen *g, gdom dom, const char *stem, gx *value) { return equation(g, GT_DEF, dom, stem, value); }
gsym *g_message(gen *g, const char *stem, gx *value) { return equation(g, GT_MESSAGE, G_EDGE, stem, value); }

gsym *g_update(gen *g, gdom dom, const char *stem, gx *value)
{
    if (g->n_loops)
        return g_define(g, dom, stem, value);
    gsym *s = equation(g, GT_UPDATE, dom, stem, value);
    if (g->layer->n_outputs < 16)
        g->layer->outputs[g->layer->n_outputs++] = s;
    return s;
}

/* ---- layers ---- */

static void statics(gen *g)
{
    static const char *const names[] = {"d", "h", "k", "m", "R"};
    int n = 2 + g_below(g, 4);
    for (int i = 0; i < n; i++) {
        int64_t value = odd_widths[g_below(g, 10)];
        g->layer->statics[g->layer->n_statics++] = (gstatic){.name = names[i], .dim = value, .has_default = g_chance(g, 15)};
        dim_add(g, (gdim){GD_SYM, 0, 0, value, names[i]});
    }
    if (g_chance(g, 30))
        g->layer->statics[g->layer->n_statics++] = (gstatic){.name = "alpha", .real = true, .number = 0.1 + 0.1 * g_below(g, 9), .has_default = g_chance(g, 50)};
}

/* An instance of an earlier layer, with dims of ours for its own. */
static void use(gen *g, int callee)
{
    if (g->n_inst == 4)
        return;
    const glayer *l = &g->program->layers[callee];
    int *dims = NEW_N(g->mem, int, G_MAX_DIMS);
    const gen *from = g->callee[callee];
    const char *args = "";
    for (int i = 0; i < l->n_statics; i++) {
        const gstatic *s = &l->statics[i];
        const char *text = "0.5";
        if (!s->real) {
            int d = g_dim_any(g);
            if (g->dims[d].value > 8)
                d = g_dim_const(g, 2);
            for (int k = 0; k < from->n_dims; k++)
                if (from->dims[k].kind == GD_SYM && !strcmp(from->dims[k].text, s->name))
                    dims[k] = d;
            text = g->dims[d].text;
        }
        args = arena_printf(g->mem, "%s%s%s", args, i ? ", " : "", text);
    }
    for (int k = 0; k < from->n_dims; k++) {    /* operands come first in the table */
        const gdim *d = &from->dims[k];
        if (d->kind == GD_CONST)
            dims[k] = g_dim_const(g, d->value);
        else if (d->kind != GD_SYM)
            dims[k] = d->kind == GD_SUM ? g_dim_sum(g, dims[d->a], dims[d->b]) : g_dim_prod(g, dims[d->a], dims[d->b]);
    }
    const char *name = g_name(g, "c");
    gstmt *s = g_stmt(g, GT_TEXT);
    s->name = arena_printf(g->mem, "use %s = %s(%s);", name, l->name, args);
    g->inst[g->n_inst].name = name;
    g->inst[g->n_inst].layer = l;
    g->inst[g->n_inst++].dims = dims;
}

static gdom any_domain(gen *g)
{
    static const gdom doms[] = {G_EDGE, G_EDGE, G_EDGE, G_NODE, G_NODE, G_NODE, G_NODE, G_GRAPH, G_GLOBAL, G_SRC};
    gdom d = doms[g_below(g, 10)];
    if (d == G_SRC)
        d = !g->program->two_sided ? G_NODE : g_chance(g, 50) ? G_SRC : G_DST;
    return d;
}

static void equation_any(gen *g, int fuel)
{
    gdom dom = any_domain(g);
    gx *value = g_expr(g, g_at(dom), g_shape_any(g, dom, 3), fuel, dom == G_EDGE);
    if (dom == G_EDGE && g_chance(g, 50))
        g_message(g, "msg", value);
    else
        g_define(g, dom, "v", value);
}

/* Something made before, that an update can be about: NULL when there is nothing. */
static gsym *made_before(gen *g, gdom dom)
{
    gsym *found[G_MAX_SYMS];
    int n = 0;
    for (int i = 0; i < g->n_syms; i++) {
        gsym *s = g->syms[i];
        bool ends = dom == G_EDGE && s->dom == G_NODE, graph = s->dom == G_GRAPH && dom >= G_NODE;
        bool made = s->kind == GS_DEF || s->kind == GS_STATE;
        if (made && s->type.elem == G_REAL && (s->dom == dom || ends || graph || (s->dom == G_NODE && dom == G_SRC)))
            for (int k = s->kind == GS_STATE ? 4 : 1; k > 0 && n < G_MAX_SYMS; k--)
                found[n++] = s;
    }
    if (!n)
        return NULL;
    int at = g_below(g, n), later = g_below(g, n);
    return found[at > later ? at : later];
}

static void update(gen *g, gdom dom)
{
    int fuel = 1 + g_below(g, 4);
    bool must = dom != G_GRAPH && dom != G_GLOBAL;
    gsym *about = g_chance(g, 85) ? made_before(g, dom) : NULL;
    if (!about) {
        g_update(g, dom, "y", g_expr(g, g_at(dom), g_shape_any(g, dom, 3), fuel, must));
        return;
    }
    gx *x = g_read(g, g_at(dom), about), *y = g_tame(g, g_expr(g, g_at(dom), g_chance(g, 60) ? about->type.shape : g_shape(0, NULL), fuel - 1, must), 5);
    static const char *const join[] = {"($0 + $1)", "($0 * $1)", "($0 - $1)", "relu($0 + $1)", "where($1 > 0.0511, $0, $1)", "tanh($0) * $1"};
    g_update(g, dom, "y", g_mk(g, about->type, x->mag * 5, join[g_below(g, 6)], 2, x, y));
}

static void layer(gen *g, int size)
{
    statics(g);
    for (int i = 0; i < (int)g->program->n_layers; i++)
        for (int k = g_below(g, 3); k > 0; k--)
            use(g, i);
    int motifs = g_chance(g, 75) ? 1 + g_below(g, 2) : 0;
    for (int i = 0; i < size; i++) {
        int what = g_below(g, 10);
        if (g->program->grads && g_chance(g, 45))
            g_grads(g);
        if (motifs && (what < 4 || i + motifs >= size)) {
            g_motif(g);
            motifs--;
        } else if (what >= 8) {
            g_loop(g, 2);
        } else {
            equation_any(g, 1 + g_below(g, 4));
        }
    }
    if (g->program->grads && g_chance(g, 40))
        g_grads(g);
    int updates = 1 + g_below(g, 2);
    for (int i = 0; i < updates; i++) {
        gdom dom = g->sub ? (g_chance(g, 80) ? G_NODE : G_GRAPH) : any_domain(g);
        if (dom == G_NODE && !g->sub && g_chance(g, 8))
            dom = G_SRC;
        update(g, dom);
    }
}

gprogram *gen_program(arena *mem, uint64_t seed, bool grads)
{
    gprogram *p = NEW(mem, gprogram);
    p->seed = seed;
    p->grads = grads;
    gen *base = NEW(mem, gen);
    base->random = seed * 0xd1342543de82ef95u + (grads ? 0x2545f4914f6cdd1du : 0x632be59bd9b4e019u);
    base->mem = mem;
    p->two_sided = g_chance(base, 12);
    buf fns = buf_make(mem);
    g_fns(base, &fns);
    p->fns = buf_text(&fns);
    int n = 1 + (g_chance(base, 25) ? 1 + g_below(base, 2) : 0);
    gen *made[4] = {NULL};
    for (int i = 0; i < n; i++) {
        gen *g = made[i] = NEW(mem, gen);
        glayer *l = &p->layers[i];
        *g = (gen){.mem = mem, .random = g_random(base), .program = p, .layer = l, .tail = &l->stmts, .sub = i < n - 1};
        memcpy(g->callee, made, sizeof made);
        g->wild = g_chance(g, 20);
        l->name = arena_printf(mem, "%s%d", i < n - 1 ? "Part" : "Layer", i);
        layer(g, g->sub ? 1 : 1 + g_below(g, 4));
        p->n_layers++;
    }
    return p;
}

/* ---- text ---- */

static void print_expr(const gx *x, buf *out)
{
    for (const char *t = x->text; *t; t++) {
        if (*t == '$' && t[1] >= '0' && t[1] < '0' + x->n)
            print_expr(x->kid[*++t - '0'], out);
        else
            buf_putc(out, *t);
    }
}

static void print_stmts(const gstmt *s, int indent, buf *out);

static void print_iterate(const gstmt *s, int indent, buf *out)
{
    buf_printf(out, "iterate %s%s", s->dom == G_NODE ? "" : gdom_name[s->dom], s->dom == G_NODE ? "" : " ");
    for (int i = 0; i < s->n_states; i++) {
        buf_printf(out, "%s%s = ", i ? ", " : "", s->state[i]);
        print_expr(s->value->kid[i], out);
    }
    buf_printf(out, " for %s%s {\n", s->limit, s->until ? s->until : "");
    print_stmts(s->body, indent + 4, out);
    buf_fill(out, ' ', (size_t)indent);
    buf_putc(out, '}');
}

static void print_equation(const gstmt *s, buf *out)
{
    if (s->kind == GT_UPDATE)
        buf_puts(out, "update ");
    buf_puts(out, s->kind == GT_MESSAGE ? "message" : s->kind == GT_NEXT ? "next" : gdom_name[s->dom]);
    buf_printf(out, " %s = ", s->name);
    print_expr(s->value, out);
    buf_putc(out, ';');
}

static void print_stmts(const gstmt *s, int indent, buf *out)
{
    for (; s; s = s->next) {
        if (s->dropped)
            continue;
        buf_fill(out, ' ', (size_t)indent);
        if (s->kind == GT_TEXT)
            buf_puts(out, s->name);
        else if (s->kind == GT_ITERATE)
            print_iterate(s, indent, out);
        else
            print_equation(s, out);
        buf_putc(out, '\n');
    }
}

static void print_layer(const glayer *l, buf *out)
{
    buf_printf(out, "layer %s(", l->name);
    for (int i = 0; i < l->n_statics; i++) {
        const gstatic *s = &l->statics[i];
        buf_printf(out, "%s%s%s", i ? ", " : "", s->name, s->real ? ": real" : "");
        if (s->has_default && s->real)
            buf_printf(out, " = %.4g", s->number);
        else if (s->has_default)
            buf_printf(out, " = %lld", (long long)s->dim);
    }
    buf_puts(out, ") {\n");
    for (int i = 0; i < l->n_inputs; i++)
        if (!l->inputs[i]->dropped)
            buf_printf(out, "    %s %s;\n", gdom_name[l->inputs[i]->dom], l->inputs[i]->text);
    print_stmts(l->stmts, 4, out);
    buf_puts(out, "}\n");
}

void gen_print(const gprogram *p, buf *out)
{
    buf_puts(out, p->fns);
    for (int i = 0; i < p->n_layers; i++)
        if (!p->layers[i].dropped)
            print_layer(&p->layers[i], out);
}
