/* See shrink.h. Each attempt changes the program in place, prints it, and puts it back if it no longer fails. */
#include "tests/prop/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 60, ALL_SECONDS = 400 };

typedef struct message { verdict v; char text[4000]; } message;

typedef struct shrinker {
    arena *mem;
    gprogram *p;
    trial t;
    verdict want;
    message *shared;
    time_t until;
    unsigned tries;
} shrinker;

void trial_of_program(trial *t, const gprogram *p, const char *text)
{
    const glayer *l = &p->layers[p->n_layers - 1];
    t->text = text;
    t->sizes.n = l->n_statics;
    for (int i = 0; i < l->n_statics; i++) {
        const gstatic *s = &l->statics[i];
        t->sizes.at[i].name = s->name;
        t->sizes.at[i].real = s->real;
        t->sizes.at[i].dim = s->dim;
        t->sizes.at[i].number = s->number;
        t->sizes.at[i].has_default = s->has_default;
    }
}

/* Does it still fail so? */
static bool fails(shrinker *s)
{
    if (time(NULL) > s->until)
        return false;
    s->tries++;
    buf text = buf_make(NULL);
    gen_print(s->p, &text);
    trial t = s->t;
    trial_of_program(&t, s->p, buf_text(&text));
    fflush(stdout);
    s->shared->v = V_CRASH;
    pid_t pid = fork();
    if (!pid) {
        buf out = buf_make(NULL);
        alarm(SECONDS);
        verdict v = trial_run(&t, NULL, &out);
        snprintf(s->shared->text, sizeof s->shared->text, "%s", buf_text(&out));
        s->shared->v = v;
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    buf_free(&text);
    return s->shared->v == s->want;
}

/* ---- smaller programs ---- */

static bool drop_stmts(shrinker *s, gstmt *list)
{
    bool any = false;
    for (gstmt *st = list; st; st = st->next) {
        if (!st->dropped) {
            st->dropped = true;
            if (fails(s)) {
                any = true;
                continue;
            }
            st->dropped = false;
        }
        if (st->kind == GT_UPDATE) {
            st->kind = GT_DEF;
            if (fails(s))
                any = true;
            else
                st->kind = GT_UPDATE;
        } else if (st->kind == GT_ITERATE) {
            const char *limit = st->limit, *until = st->until;
            st->until = NULL;
            if (until && !fails(s))
                st->until = until;
            st->limit = "1";
            if (strcmp(limit, "1") && !fails(s))
                st->limit = limit;
            any = drop_stmts(s, st->body) || any;
        }
    }
    return any;
}

/* Another expression in the place of *at: one of its operands, or a constant. */
static bool simplify(shrinker *s, gx **at)
{
    gx *x = *at;
    gx *simple = NEW(s->mem, gx);
    *simple = (gx){.text = "1", .type = x->type};
    if (x->type.elem == G_BOOL)
        simple->text = "training";
    bool plain = !x->n && (!strcmp(x->text, "1") || !strcmp(x->text, "training"));
    if (!plain && x->type.elem != G_INDEX) {
        *at = simple;
        if (fails(s))
            return true;
        *at = x;
    }
    for (int i = 0; i < x->n; i++) {
        *at = x->kid[i];
        if (fails(s)) {
            simplify(s, at);
            return true;
        }
        for (int k = 0; k < x->kid[i]->n; k++) {
            *at = x->kid[i]->kid[k];
            if (fails(s)) {
                simplify(s, at);
                return true;
            }
        }
        *at = x;
    }
    bool any = false;
    for (int i = 0; i < x->n; i++)
        any = simplify(s, &x->kid[i]) || any;
    return any;
}

static bool simplify_stmts(shrinker *s, gstmt *list)
{
    bool any = false;
    for (gstmt *st = list; st; st = st->next) {
        if (st->dropped || !st->value)
            continue;
        if (st->kind == GT_ITERATE) {
            for (int i = 0; i < st->n_states; i++)
                any = simplify(s, &st->value->kid[i]) || any;
            any = simplify_stmts(s, st->body) || any;
        } else {
            any = simplify(s, &st->value) || any;
        }
    }
    return any;
}

static void drop_inputs(shrinker *s, glayer *l)
{
    for (int i = 0; i < l->n_inputs; i++)
        if (!l->inputs[i]->dropped) {
            l->inputs[i]->dropped = true;
            if (!fails(s))
                l->inputs[i]->dropped = false;
        }
}

static void drop_statics(shrinker *s, glayer *l)
{
    for (int i = l->n_statics; i-- > 0;) {
        gstatic before[G_MAX_STATICS];
        memcpy(before, l->statics, sizeof before);
        l->n_statics--;
        memmove(&l->statics[i], &l->statics[i + 1], (size_t)(l->n_statics - i) * sizeof *before);
        if (fails(s))
            continue;
        memcpy(l->statics, before, sizeof before);
        l->n_statics++;
        static const int64_t less[] = {1, 2, 3, 5};
        for (int k = 0; k < 4 && !l->statics[i].real && less[k] < l->statics[i].dim; k++) {
            int64_t was = l->statics[i].dim;
            l->statics[i].dim = less[k];
            if (fails(s))
                break;
            l->statics[i].dim = was;
        }
    }
}

static void fewer_graphs(shrinker *s)
{
    trial was = s->t;
    for (int i = 0; i < was.n_graphs; i++) {
        s->t.n_graphs = 1;
        s->t.graphs[0] = was.graphs[i];
        s->t.seed = was.seed + (uint64_t)i;
        if (fails(s))
            break;
        s->t = was;
    }
    static const graph_kind easy[] = {HG_ONE_NODE, HG_LOOPS, HG_NO_EDGES, HG_PATH, HG_TINY};
    for (int i = 0; i < 5; i++) {
        trial before = s->t;
        s->t.n_graphs = 1;
        s->t.graphs[0] = easy[i];
        if (fails(s))
            break;
        s->t = before;
    }
    fill_kind fill = s->t.fill;
    s->t.fill = FILL_PLAIN;
    if (!fails(s))
        s->t.fill = fill;
}

void shrink_failure(uint64_t seed, unsigned what, verdict v, buf *out)
{
    shrinker s = {.mem = arena_new(0), .want = v, .until = time(NULL) + ALL_SECONDS};
    s.shared = mmap(NULL, sizeof *s.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s.p = gen_program(s.mem, seed, what & TRIAL_GRAD);
    s.t.what = what;
    trial_choose(&s.t, seed);
    glayer *main_layer = &s.p->layers[s.p->n_layers - 1];
    if (!fails(&s)) {
        buf_puts(out, "it did not fail again\n");
    } else {
        fewer_graphs(&s);
        bool any = true;
        for (int round = 0; any && round < 6; round++) {
            any = drop_stmts(&s, main_layer->stmts);
            any = simplify_stmts(&s, main_layer->stmts) || any;
            for (int i = 0; i < s.p->n_layers - 1; i++) {
                any = drop_stmts(&s, s.p->layers[i].stmts) || any;
                any = simplify_stmts(&s, s.p->layers[i].stmts) || any;
            }
        }
        for (int i = 0; i < s.p->n_layers; i++) {
            if (i < s.p->n_layers - 1) {
                s.p->layers[i].dropped = true;
                if (fails(&s))
                    continue;
                s.p->layers[i].dropped = false;
            }
            drop_inputs(&s, &s.p->layers[i]);
        }
        drop_statics(&s, main_layer);
        const char *fns = s.p->fns;
        s.p->fns = "";
        if (!fails(&s))
            s.p->fns = fns;
        fewer_graphs(&s);
        s.until += SECONDS;
        bool still = fails(&s);
        buf_printf(out, "---- smaller (%u tries), graph", s.tries);
        for (int i = 0; i < s.t.n_graphs; i++)
            buf_printf(out, " %s", graph_kind_name[s.t.graphs[i]]);
        buf_printf(out, ", fill %d, data %llu,", (int)s.t.fill, (unsigned long long)s.t.seed);
        for (int i = 0; i < main_layer->n_statics; i++)
            if (main_layer->statics[i].real)
                buf_printf(out, " %s=%g", main_layer->statics[i].name, main_layer->statics[i].number);
            else
                buf_printf(out, " %s=%lld", main_layer->statics[i].name, (long long)main_layer->statics[i].dim);
        buf_puts(out, "\n");
        gen_print(s.p, out);
        buf_printf(out, "---- %s\n", still && v != V_CRASH ? s.shared->text : "");
    }
    munmap(s.shared, sizeof *s.shared);
    arena_free(s.mem);
}
