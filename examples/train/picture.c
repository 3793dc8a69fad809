/*
 * Curves as SVG: panels side by side, each with a grid at round numbers, lines over a soft ground, and the last value of
 * every line beside its end. Points (what was predicted over what is true) come with the line where both are equal.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { PANELS = 4, SERIES = 4, WIDTH = 520, HEIGHT = 330, LEFT = 64, RIGHT = 66, TOP = 112, BOTTOM = 52, NAME = 64, MOST = 1200 };

typedef struct series {
    char name[NAME];
    bool points;
    double *x, *y;
    int64_t n;
} series;

typedef struct panel {
    char title[NAME], across[NAME];
    bool logarithmic;
    int n_series;
    series series[SERIES];
    double x0, x1, y0, y1;          /* what is shown; y as logarithms where logarithmic */
    double left;                    /* of the drawing, in the picture */
} panel;

struct picture {
    char title[2 * NAME], subtitle[2 * NAME];
    int n_panels;
    panel panels[PANELS];
};

static const char *const color[SERIES] = { "#0d9488", "#ea580c", "#7c3aed", "#0284c7" };

/* Letters that SVG would take for its own are left out. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++) {
        if (!strchr("<>&\"", *text))
            out[n++] = *text;
    }
    out[n] = 0;
}

picture *picture_new(const char *title, const char *subtitle)
{
    picture *p = room(1, sizeof *p);
    copy_text(p->title, sizeof p->title, title);
    copy_text(p->subtitle, sizeof p->subtitle, subtitle);
    return p;
}

void picture_panel(picture *p, const char *title, const char *across, bool logarithmic)
{
    panel *q = &p->panels[p->n_panels < PANELS ? p->n_panels++ : PANELS - 1];
    copy_text(q->title, sizeof q->title, title);
    copy_text(q->across, sizeof q->across, across);
    q->logarithmic = logarithmic;
}

static series *add(picture *p, const char *name, int64_t n)
{
    panel *q = &p->panels[p->n_panels - 1];
    if (!p->n_panels || q->n_series == SERIES)
        return NULL;
    series *s = &q->series[q->n_series++];
    copy_text(s->name, sizeof s->name, name);
    s->x = room(n, sizeof *s->x);
    s->y = room(n, sizeof *s->y);
    return s;
}

void picture_line(picture *p, const char *name, const double *y, int64_t n)
{
    series *s = add(p, name, n);
    int64_t stride = n / MOST + 1;
    for (int64_t i = 0; s && i < n; i++) {
        if (isfinite(y[i]) && (i % stride == 0 || i == n - 1)) {
            s->x[s->n] = (double)(i + 1);
            s->y[s->n++] = y[i];
        }
    }
}

void picture_points(picture *p, const char *name, const double *x, const double *y, int64_t n)
{
    series *s = add(p, name, n);
    int64_t stride = n / MOST + 1;
    for (int64_t i = 0; s && i < n; i += stride) {
        if (isfinite(x[i]) && isfinite(y[i])) {
            s->x[s->n] = x[i];
            s->y[s->n++] = y[i];
        }
    }
    if (s)
        s->points = true;
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static double height_of(const panel *q, double y)
{
    return q->logarithmic ? log10(fmax(y, 1e-12)) : y;
}

static void find_range(panel *q)
{
    bool points = false;
    q->x0 = q->y0 = INFINITY;
    q->x1 = q->y1 = -INFINITY;
    for (int k = 0; k < q->n_series; k++) {
        const series *s = &q->series[k];
        points |= s->points;
        for (int64_t i = 0; i < s->n; i++) {
            q->x0 = fmin(q->x0, s->x[i]);
            q->x1 = fmax(q->x1, s->x[i]);
            q->y0 = fmin(q->y0, height_of(q, s->y[i]));
            q->y1 = fmax(q->y1, height_of(q, s->y[i]));
        }
    }
    if (points) {                   /* the same scale both ways */
        q->x0 = q->y0 = fmin(q->x0, q->y0);
        q->x1 = q->y1 = fmax(q->x1, q->y1);
    }
    if (!(q->x0 < q->x1))
        q->x1 = (q->x0 = isfinite(q->x0) ? q->x0 : 0) + 1;
    if (!(q->y0 < q->y1))
        q->y1 = (q->y0 = isfinite(q->y0) ? q->y0 : 0) + 1;
    double gap = 0.06 * (q->y1 - q->y0);
    q->y0 -= gap;
    q->y1 += gap;
    if (points) {
        q->x0 -= gap;
        q->x1 += gap;
    }
}

static double across(const panel *q, double x)
{
    return q->left + (x - q->x0) / (q->x1 - q->x0) * (WIDTH - LEFT - RIGHT);
}

static double down(const panel *q, double y)
{
    return TOP + (q->y1 - height_of(q, y)) / (q->y1 - q->y0) * (HEIGHT - BOTTOM);
}

/* A round step that gives about `n` of them. */
static double round_step(double range, int n)
{
    double rough = range / n, ten = pow(10, floor(log10(rough))), part = rough / ten;
    return (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10) * ten;
}

static void grid_line(FILE *f, const panel *q, double y)
{
    double at = down(q, y);
    if (at < TOP - 0.5 || at > TOP + HEIGHT - BOTTOM + 0.5)
        return;
    fprintf(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e5e7eb\"/>"
               "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" class=\"tick\">%.6g</text>\n",
            q->left, q->left + WIDTH - LEFT - RIGHT, at, at, q->left - 10, at + 4, y);
}

static void draw_grid(FILE *f, const panel *q)
{
    if (q->logarithmic && q->y1 - q->y0 > 0.7) {
        static const double part[] = { 1, 2, 5 };
        bool all = q->y1 - q->y0 < 2.2;
        for (int e = (int)floor(q->y0); e <= (int)ceil(q->y1); e++)
            for (int k = 0; k < (all ? 3 : 1); k++)
                grid_line(f, q, part[k] * pow(10, e));
    } else {
        double lo = q->logarithmic ? pow(10, q->y0) : q->y0, hi = q->logarithmic ? pow(10, q->y1) : q->y1;
        double step = round_step(hi - lo, 5);
        for (double y = ceil(lo / step) * step; y <= hi; y += step)
            grid_line(f, q, fabs(y) < step * 1e-9 ? 0 : y);
    }
    double step = round_step(q->x1 - q->x0, 6);
    for (double x = ceil(q->x0 / step) * step; x <= q->x1; x += step)
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" class=\"tick\">%.6g</text>\n", across(q, x),
                TOP + HEIGHT - BOTTOM + 22, fabs(x) < step * 1e-9 ? 0 : x);
    fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" class=\"tick\">%s</text>\n",
            q->left + (WIDTH - LEFT - RIGHT) / 2.0, TOP + HEIGHT - BOTTOM + 42, q->across);
    fprintf(f, "<text x=\"%.1f\" y=\"%d\" class=\"panel\">%s</text>\n", q->left, TOP - 18, q->title);
}

/* ---- Series ------------------------------------------------------------------------------------------------------ */

static void draw_line(FILE *f, const panel *q, int k, double label_at)
{
    const series *s = &q->series[k];
    if (!s->n)
        return;
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"M", color[k]);
    for (int64_t i = 0; i < s->n; i++)
        fprintf(f, "%s%.1f %.1f", i ? "L" : "", across(q, s->x[i]), down(q, s->y[i]));
    fprintf(f, "\"/>\n");
    if (k == 0) {
        int floor_at = TOP + HEIGHT - BOTTOM;
        fprintf(f, "<path fill=\"url(#soft)\" d=\"M%.1f %d", across(q, s->x[0]), floor_at);
        for (int64_t i = 0; i < s->n; i++)
            fprintf(f, "L%.1f %.1f", across(q, s->x[i]), down(q, s->y[i]));
        fprintf(f, "L%.1f %dZ\"/>\n", across(q, s->x[s->n - 1]), floor_at);
    }
    double x = across(q, s->x[s->n - 1]), y = down(q, s->y[s->n - 1]);
    fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>"
               "<text x=\"%.1f\" y=\"%.1f\" class=\"last\" fill=\"%s\">%.4g</text>\n",
            x, y, color[k], x + 9, label_at + 4, color[k], s->y[s->n - 1]);
}

/* Labels beside the ends of lines, pushed apart where they would meet. */
static void place_labels(const panel *q, double at[SERIES])
{
    int order[SERIES], n = 0;
    for (int k = 0; k < q->n_series; k++) {
        const series *s = &q->series[k];
        at[k] = s->n ? down(q, s->y[s->n - 1]) : 0;
        int i = n++;
        for (; i > 0 && at[order[i - 1]] > at[k]; i--)
            order[i] = order[i - 1];
        order[i] = k;
    }
    for (int i = 1; i < n; i++)
        at[order[i]] = fmax(at[order[i]], at[order[i - 1]] + 15);
}

static void draw_points(FILE *f, const panel *q, int k)
{
    const series *s = &q->series[k];
    if (k == 0)
        fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#9ca3af\" stroke-dasharray=\"5 4\"/>\n",
                across(q, q->x0), down(q, q->x0), across(q, q->x1), down(q, q->x1));
    fprintf(f, "<g fill=\"%s\" fill-opacity=\"0.4\">", color[k]);
    for (int64_t i = 0; i < s->n; i++)
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>", across(q, s->x[i]), down(q, s->y[i]));
    fprintf(f, "</g>\n");
}

static void draw_panel(FILE *f, panel *q, int number)
{
    double label[SERIES], x;
    q->left = LEFT + number * WIDTH;
    find_range(q);
    draw_grid(f, q);
    place_labels(q, label);
    for (int k = 0; k < q->n_series; k++) {
        if (q->series[k].points)
            draw_points(f, q, k);
        else
            draw_line(f, q, k, label[k]);
    }
    x = q->left + WIDTH - LEFT - RIGHT;
    for (int k = q->n_series - 1; k >= 0; k--) {
        x -= 7.2 * (double)strlen(q->series[k].name) + 10;
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%d\" r=\"4\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\" class=\"tick\">%s</text>\n", x,
                TOP - 22, color[k], x + 9, TOP - 18, q->series[k].name);
        x -= 12;
    }
}

void picture_write(picture *p, const char *path)
{
    FILE *f = path && *path ? fopen(path, "w") : NULL;
    if (f) {
        int width = LEFT / 2 + p->n_panels * WIDTH, height = TOP + HEIGHT + 16;
        fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
                   "<style>text{font-family:Inter,'Segoe UI',Helvetica,Arial,sans-serif}.tick{font-size:12px;fill:#6b7280}"
                   ".panel{font-size:14px;font-weight:600;fill:#374151}.last{font-size:13px;font-weight:600}</style>\n"
                   "<defs><linearGradient id=\"soft\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"1\">"
                   "<stop offset=\"0\" stop-color=\"%s\" stop-opacity=\"0.22\"/><stop offset=\"1\" stop-color=\"%s\" "
                   "stop-opacity=\"0\"/></linearGradient></defs>\n"
                   "<rect width=\"%d\" height=\"%d\" rx=\"10\" fill=\"#ffffff\"/>\n"
                   "<text x=\"%d\" y=\"40\" font-size=\"21\" font-weight=\"700\" fill=\"#111827\">%s</text>\n"
                   "<text x=\"%d\" y=\"62\" font-size=\"13\" fill=\"#6b7280\">%s</text>\n",
                width, height, width, height, color[0], color[0], width, height, LEFT, p->title, LEFT, p->subtitle);
        for (int i = 0; i < p->n_panels; i++)
            draw_panel(f, &p->panels[i], i);
        fprintf(f, "</svg>\n");
        fclose(f);
        printf("curves: %s\n", path);
    } else if (path && *path) {
        fprintf(stderr, "%s: cannot be written\n", path);
    }
    for (int i = 0; i < p->n_panels; i++) {
        for (int k = 0; k < p->panels[i].n_series; k++) {
            free(p->panels[i].series[k].x);
            free(p->panels[i].series[k].y);
        }
    }
    free(p);
}
