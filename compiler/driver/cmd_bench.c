/* mpc bench: the inference pass again and again, timed; with --backward the passes of training, too. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "compiler/driver/session.h"
#include "runtime/layer.h"

enum { WARM_UP = 2, LEAST_RUNS = 3, MOST_RUNS = 1000000 };

typedef struct timing { double median, min, max; uint32_t runs; } timing;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void summarize(double *ms, uint32_t n, timing *out)
{
    qsort(ms, n, sizeof *ms, by_size);
    double middle = ms[n / 2];
    *out = (timing){n % 2 ? middle : (middle + ms[n / 2 - 1]) / 2, ms[0], ms[n - 1], n};
}

static mp_status forward(const cli_options *o, session *s)
{
    mp_status st = s->training && !s->backward ? mp_forward_train(s->layer, s->data.graph, o->seed, &s->tape)
                                               : mp_forward(s->layer, s->data.graph);
    return st ? st : mp_synchronize(s->ctx);
}

static mp_status train(const cli_options *o, session *s, double ms[2])
{
    double start = cli_now_ms();
    mp_status st = mp_forward_train(s->layer, s->data.graph, o->seed, &s->tape);
    if (!st)
        st = mp_synchronize(s->ctx);
    double middle = cli_now_ms();
    if (!st)
        st = mp_backward(s->layer, s->tape);
    if (!st)
        st = mp_synchronize(s->ctx);
    ms[0] = middle - start;
    ms[1] = cli_now_ms() - middle;
    return st;
}

/* A call again and again; ms has one time (the forward) or two (a training pass and its backward). */
static mp_status time_calls(const cli_options *o, session *s, bool training, timing *first, timing *second)
{
    VEC(double) ms[2] = {{0}, {0}};
    double one[2] = {0, 0};
    mp_status st = MP_OK;
    for (int i = 0; i < WARM_UP && !st; i++)
        st = training ? train(o, s, one) : forward(o, s);
    double end = cli_now_ms() + o->min_time * 1e3;
    while (!st && ms[0].n < MOST_RUNS) {
        double start = cli_now_ms();
        if (ms[0].n >= LEAST_RUNS && start >= end)
            break;
        st = training ? train(o, s, one) : forward(o, s);
        if (!training)
            one[0] = cli_now_ms() - start;
        if (!vec_push(NULL, &ms[0], one[0]) || !vec_push(NULL, &ms[1], one[1]))
            break;
    }
    if (!st && ms[1].n) {
        summarize(ms[0].at, ms[1].n, first);
        summarize(ms[1].at, ms[1].n, second);
    }
    vec_free(&ms[0]);
    vec_free(&ms[1]);
    return st;
}

/* What was timed; runs is 0 for what was not. */
typedef struct timings { timing forward, train, backward; } timings;

static void json_timing(buf *out, const char *name, const timing *t)
{
    if (t->runs)
        buf_printf(out, ", \"%s\": {\"median\": %.6f, \"min\": %.6f, \"max\": %.6f, \"runs\": %u}", name, t->median, t->min, t->max,
                   t->runs);
}

static void print_timing(const char *name, const timing *t)
{
    if (t->runs)
        printf("  %-14s %.3f ms (%.3f to %.3f, %u runs)\n", name, t->median, t->min, t->max, t->runs);
}

static exit_status report(const cli_options *o, session *s, const timings *t)
{
    size_t bytes = layer_workspace(s->layer), saved = 0;
    struct rusage r = {0};
    uint64_t peak = 0;
    if (s->training)
        mp_tape_bytes(s->layer, s->data.graph, &saved);
    getrusage(RUSAGE_SELF, &r);
    if (!o->json) {
        const timing *f = t->forward.runs ? &t->forward : &t->train;
        printf("%s: %.3f ms (%.3f to %.3f, %u runs), %d threads; workspace %.2f MB, compiled in %.1f ms\n", mp_layer_name(s->layer),
               f->median, f->min, f->max, f->runs, mp_context_threads(s->ctx), (double)bytes / 1e6, s->compile_ms);
        print_timing("training pass", &t->train);
        print_timing("backward", &t->backward);
        if (s->training)
            printf("  saved          %.2f MB\n", (double)saved / 1e6);
        return EXIT_DONE;
    }
    buf out = buf_make(NULL);
    buf_putc(&out, '{');
    session_json_head(s, &out);
    buf_printf(&out, ", \"compile_ms\": %.3f, \"prepare_ms\": %.3f", s->compile_ms, s->prepare_ms);
    json_timing(&out, "forward_ms", &t->forward);
    json_timing(&out, "forward_train_ms", &t->train);
    json_timing(&out, "backward_ms", &t->backward);
    buf_printf(&out, ", \"workspace_bytes\": %zu, \"saved_bytes\": %zu, \"peak_rss_bytes\": %lld", bytes, saved,
               (long long)r.ru_maxrss * 1024);
    mp_device_memory(s->ctx, NULL, &peak);
    if (o->cuda)
        buf_printf(&out, ", \"peak_device_bytes\": %llu", (unsigned long long)peak);
    buf_puts(&out, "}\n");
    exit_status st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : cli_write(NULL, out.at, out.n);
    buf_free(&out);
    return st;
}

/* The forward of inference, or with --train alone the training pass in its place; then both passes of training. */
static mp_status time_all(const cli_options *o, session *s, timings *t)
{
    timing none;
    bool plain = !s->training || s->backward;
    mp_status st = time_calls(o, s, false, plain ? &t->forward : &t->train, &none);
    return st || !s->backward ? st : time_calls(o, s, true, &t->train, &t->backward);
}

exit_status cmd_bench(const cli_options *o)
{
    session s;
    timings t = {0};
    exit_status st = session_open(o, &s);
    if (st == EXIT_DONE && o->cuda) {
        mp_status moved = bound_data_to_device(s.layer, &s.data);
        st = moved ? cli_report(s.ctx, moved) : EXIT_DONE;
    }
    if (st == EXIT_DONE && s.training)
        st = session_prepare_training(&s);
    double first = s.prepare_ms;
    if (st == EXIT_DONE && (!s.training || s.backward))
        st = session_prepare(&s);
    s.prepare_ms += s.training ? first : 0;
    mp_status m = st == EXIT_DONE ? time_all(o, &s, &t) : MP_OK;
    if (m)
        st = cli_report(s.ctx, m);
    if (st == EXIT_DONE)
        st = report(o, &s, &t);
    session_close(&s);
    return st;
}
