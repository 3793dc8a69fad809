/* mpc bench: the inference pass again and again, timed. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "compiler/driver/session.h"

enum { WARM_UP = 2, LEAST_RUNS = 3, MOST_RUNS = 1000000 };

typedef struct timing { double median, min, max; uint32_t runs; } timing;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* False when a call failed or there was no memory: the message is the context's. */
static mp_status time_forward(session *s, double seconds, timing *out)
{
    VEC(double) ms = {0};
    mp_status st = MP_OK;
    for (int i = 0; i < WARM_UP && !st; i++)
        st = mp_forward(s->layer, s->data.graph);
    double end = cli_now_ms() + seconds * 1e3;
    while (!st && ms.n < MOST_RUNS) {
        double start = cli_now_ms();
        if (ms.n >= LEAST_RUNS && start >= end)
            break;
        st = mp_forward(s->layer, s->data.graph);
        if (!vec_push(NULL, &ms, cli_now_ms() - start))
            break;
    }
    if (!st && ms.n) {
        qsort(ms.at, ms.n, sizeof *ms.at, by_size);
        double middle = ms.at[ms.n / 2];
        *out = (timing){ms.n % 2 ? middle : (middle + ms.at[ms.n / 2 - 1]) / 2, ms.at[0], ms.at[ms.n - 1], ms.n};
    }
    vec_free(&ms);
    return st;
}

static exit_status report(const cli_options *o, session *s, const timing *t)
{
    size_t bytes = 0;
    struct rusage r = {0};
    mp_workspace_bytes(s->layer, s->data.graph, &bytes);
    getrusage(RUSAGE_SELF, &r);
    if (!o->json) {
        printf("%s: %.3f ms (%.3f to %.3f, %u runs), %d threads; workspace %.2f MB, compiled in %.1f ms\n", mp_layer_name(s->layer),
               t->median, t->min, t->max, t->runs, mp_context_threads(s->ctx), (double)bytes / 1e6, s->compile_ms);
        return EXIT_DONE;
    }
    buf out = buf_make(NULL);
    buf_putc(&out, '{');
    session_json_head(s, &out);
    buf_printf(&out, ", \"compile_ms\": %.3f, \"prepare_ms\": %.3f, \"forward_ms\": {\"median\": %.6f, \"min\": %.6f, \"max\": %.6f, "
               "\"runs\": %u}, \"workspace_bytes\": %zu, \"saved_bytes\": 0, \"peak_rss_bytes\": %lld}\n",
               s->compile_ms, s->prepare_ms, t->median, t->min, t->max, t->runs, bytes, (long long)r.ru_maxrss * 1024);
    exit_status st = out.failed ? cli_fail(EXIT_SYSTEM, "out of memory") : cli_write(NULL, out.at, out.n);
    buf_free(&out);
    return st;
}

exit_status cmd_bench(const cli_options *o)
{
    session s;
    timing t = {0};
    exit_status st = session_open(o, &s);
    if (st == EXIT_DONE)
        st = session_prepare(&s);
    mp_status m = st == EXIT_DONE ? time_forward(&s, o->min_time, &t) : MP_OK;
    if (m)
        st = cli_report(s.ctx, m);
    if (st == EXIT_DONE)
        st = report(o, &s, &t);
    session_close(&s);
    return st;
}
