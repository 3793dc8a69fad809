/*
 * A progress bar: one line kept up to date on a terminal, a line a tenth elsewhere. And what is said at the end.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "train.h"

enum { BAR = 28 };

double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_begin(progress *p, const char *what, int64_t total)
{
    *p = (progress){ .what = what, .total = total, .start = seconds(), .percent = -1, .terminal = isatty(STDOUT_FILENO) };
}

static void draw(const progress *p, int64_t done, double spent, const char *text)
{
    static const char *const eighth[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    int eighths = p->total ? (int)(done * BAR * 8 / p->total) : 0;
    double left = done ? spent / (double)done * (double)(p->total - done) : 0;
    printf("\r\033[K%s \033[38;5;37m", p->what);
    for (int i = 0; i < eighths / 8; i++)
        fputs("█", stdout);
    fputs(eighth[eighths % 8], stdout);
    printf("\033[0m%*s %lld/%lld  %s  ", BAR - (eighths + 7) / 8, "", (long long)done, (long long)p->total, text);
    printf("\033[2m%.0fs left\033[0m", left);
}

void progress_step(progress *p, int64_t done, const char *fmt, ...)
{
    double now = seconds();
    int percent = p->total ? (int)(done * 100 / p->total) : 100;
    bool due = p->terminal ? now - p->shown > 0.08 || done == p->total : percent / 10 != p->percent / 10;
    if (!due)
        return;
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    p->shown = now;
    if (p->terminal)
        draw(p, done, now - p->start, text);
    else
        printf("%s %3d %%  %s\n", p->what, percent, text);
    fflush(stdout);
    p->percent = percent;
}

void progress_end(progress *p)
{
    if (p->terminal)
        printf("\r\033[K");
    printf("%s: %.1f s\n", p->what, seconds() - p->start);
}

double score_summary(const char *what, const double *scores, int64_t n, const char *unit)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        mean += scores[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (scores[i] - mean) * (scores[i] - mean);
    for (int64_t i = 0; i < n && n > 1; i++)
        printf("%.2f%s", scores[i], i + 1 < n ? ", " : "\n");
    if (n > 1)
        printf("%s: %.2f ± %.2f%s over %lld runs\n", what, mean, sqrt(squares / (double)(n - 1)), unit, (long long)n);
    else
        printf("%s: %.2f%s\n", what, mean, unit);
    return mean;
}

int score_status(const common_options *o, double score, bool less)
{
    bool good = isnan(o->expect) || (less ? score <= o->expect : score >= o->expect);
    if (!good)
        printf("expected %s %g\n", less ? "at most" : "at least", o->expect);
    return good ? 0 : 1;
}
