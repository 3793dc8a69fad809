/* The passes in the order of passes.def, each checked; scratch memory; the report. */
#include "compiler/passes/passes.h"

#include "compiler/ir/copy.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/order.h"
#include "compiler/passes/rules.h"
#include "compiler/passes/segment.h"

#include <string.h>

typedef struct pass {
    const char *name;
    ir_layer *(*run)(rewriter *r, const ir_layer *from, arena *mem);
} pass;

static const pass passes[] = {
#define PASS(name, function, why) {name, function},
#include "compiler/passes/passes.def"
#undef PASS
};
enum { N_PASSES = sizeof passes / sizeof *passes, N_ARENAS = 7 };

static pass_cost cost_of(rewriter *r, const ir_layer *l)
{
    cost_model m = cost_model_make(l, r->options);
    return cost_layer(&m, r->work);
}

/* All passes, from layer to layer; stops at the first that breaks one. */
static ir_layer *run_all(rewriter *r, const ir_layer *from, arena *mem)
{
    ir_layer *now = ir_compact(from, mem);
    r->stats->before = cost_of(r, now);
    for (uint32_t k = 0; k < N_PASSES; k++) {
        r->pass = passes[k].name;
        r->model = cost_model_make(now, r->options);
        ir_layer *next = passes[k].run(r, now, mem);
        const char *broken = r->options->verify ? ir_verify(next, mem) : NULL;
        if (broken) {
            r->stats->broken = arena_printf(mem, "after %s: %s", r->pass, broken);
            return now;
        }
        now = next;
        if (r->options->after)
            r->options->after(r->options->ud, r->pass, now);
        if (r->options->stop_after && !strcmp(r->options->stop_after, r->pass))
            break;
    }
    r->stats->after = cost_of(r, now);
    if (r->options->inference && !r->options->stop_after)      /* nothing differentiates it any more */
        now = segment_loops(now, mem, SEGMENT_STEPS);
    return now;
}

/* Scratch arenas are ours, and what jumps past us must not leave them behind. */
ir_layer *passes_run(const ir_layer *from, arena *mem, const pass_options *options, pass_stats *stats)
{
    arena *own[N_ARENAS] = {NULL};
    jmp_buf dry;
    ir_trap trap, *outer = from->builder->trap;
    ir_layer *volatile done = NULL;
    for (int k = 0; k < N_ARENAS; k++) {
        own[k] = arena_new(0);
        if (!own[k]) {
            while (k-- > 0)
                arena_free(own[k]);
            arena_fail(mem, ARENA_NO_MEMORY);
        }
    }
    jmp_buf *before = arena_set_oom(mem, &dry);
    int why = setjmp(dry);
    if (!why) {
        for (int k = 0; k < N_ARENAS; k++)
            arena_set_oom(own[k], &dry);
        rewriter r = {.options = options,
                      .stats = stats,
                      .mem = mem,
                      .scratch = {own[0], own[1]},
                      .work = own[2],
                      .between = own[3],
                      .candidates = {own[4], own[5]},
                      .orders = order_memo_new(own[6])};
        from->builder->trap = &trap;
        if (!setjmp(trap.env)) {
            done = run_all(&r, from, mem);
        } else {
            stats->broken = arena_printf(mem, "in a pass: %s", trap.text);
            from->builder->trap = outer;
            done = ir_compact(from, mem);
        }
        done->builder->trap = outer;
    }
    from->builder->trap = outer;
    arena_set_oom(mem, before);
    for (int k = 0; k < N_ARENAS; k++)
        arena_free(own[k]);
    if (why)
        arena_fail(mem, why);
    return done;
}

void passes_report(const pass_stats *s, buf *out)
{
    for (uint32_t k = 0; k < N_PASSES; k++) {
        bool any = false;
        for (uint32_t i = 0; i < s->n_counts; i++) {
            if (strcmp(s->counts[i].pass, passes[k].name) != 0)
                continue;
            if (!any)
                buf_printf(out, "%s\n", passes[k].name);
            any = true;
            buf_printf(out, "    %5u  %s\n", s->counts[i].n, s->counts[i].rule);
        }
        for (uint32_t i = 0; i < s->n_choices; i++) {
            const pass_choice *c = &s->choices[i];
            if (strcmp(c->pass, passes[k].name) != 0)
                continue;
            if (!any)
                buf_printf(out, "%s\n", passes[k].name);
            any = true;
            buf_printf(out, "    %s%s%s: %s, %.3g ms against %.3g%s\n", c->what, c->name ? " at " : "",
                       c->name ? c->name : "", c->taken ? "yes" : "no", c->cost / 1e6, c->other / 1e6,
                       c->by_default ? " (at typical sizes)" : "");
        }
    }
    buf_printf(out, "flops %.3g -> %.3g, bytes gathered %.3g -> %.3g, estimated %.3g ms -> %.3g ms\n",
               s->before.flops, s->after.flops, s->before.bytes, s->after.bytes, s->before.ns / 1e6,
               s->after.ns / 1e6);
}
