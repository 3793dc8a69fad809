/*
 * Zachary's karate club (Journal of Anthropological Research, 1977): 34 members and who is friends with whom,
 * seen over two years in which the club split between its instructor (member 0) and its officers (member 33).
 * We give a layer, compiled ahead of time, nothing but the opinions of these two, let it spread them along
 * the friendships, and draw what comes out beside the side that each member really took.
 *
 *     karate SIDES.so [--color | --no-color]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mp.h"

enum { MEMBERS = 34, FRIENDSHIPS = 156, INSTRUCTOR = 0, OFFICER = 33, BAR = 16 };

/* What each member did when the club split. */
static const char took[] = "hhhhhhhhhohhhhoohhohohoooooooooooo";

typedef struct picture {
    bool color;
    int cell;                               /* columns of a cell of the matrix: 1 on a narrow terminal, or 2 */
    float opinion[MEMBERS][2];
    int order[MEMBERS]; /* the members from the instructor's most certain to the officers' */
    bool friends[MEMBERS][MEMBERS];
} picture;

static void check(const mp_context *ctx, mp_status status)
{
    if (status != MP_OK) {
        fprintf(stderr, "karate: %s\n", mp_error_message(ctx));
        exit((int)status);
    }
}

static char side_of(const picture *p, int member)
{
    return p->opinion[member][0] > p->opinion[member][1] ? 'h' : 'o';
}

static void sort_members(picture *p)
{
    for (int i = 0; i < MEMBERS; i++) {
        int k = i;
        for (; k > 0 && p->opinion[p->order[k - 1]][0] < p->opinion[i][0]; k--)
            p->order[k] = p->order[k - 1];
        p->order[k] = i;
    }
}

static void paint(const picture *p, char side, const char *text)
{
    const char *code = side == 'h' ? "\033[38;5;39m" : side == 'o' ? "\033[38;5;208m" : "\033[38;5;240m";
    if (p->color)
        printf("%s%s\033[0m", code, text);
    else
        fputs(text, stdout);
}

/* One cell a friendship, in the colour of the side that both ends were found on; grey where it
 * joins the two. */
static void draw_row(const picture *p, int a)
{
    for (int k = 0; k < MEMBERS; k++) {
        int b = p->order[k];
        char s = side_of(p, a) == side_of(p, b) ? side_of(p, a) : 'x';
        if (p->friends[a][b])
            for (int c = 0; c < p->cell; c++)
                paint(p, s, p->color ? "█" : s == 'h' ? "h" : s == 'o' ? "o" : "-");
        else
            printf("%*s", p->cell, "");
    }
}

static int cell_width(void)
{
    struct winsize w = { 0 };
    bool narrow = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_col < 38 + 2 * MEMBERS;
    return narrow ? 1 : 2;
}

static int draw(const picture *p)
{
    int right = 0;
    printf("                                  friendships, in the same order\n");
    printf("  member  share of opinions    took %c", p->color ? ' ' : '|');
    for (int k = 0; k < MEMBERS && p->cell == 2; k++)
        printf("%2d", p->order[k]);
    printf("\n");
    for (int i = 0; i < MEMBERS; i++) {
        int a = p->order[i];
        char bar[2][4 * BAR + 1] = { "", "" };
        int cells = (int)(p->opinion[a][0] * BAR + 0.5f);
        for (int k = 0; k < BAR; k++)
            strcat(bar[k >= cells], p->color ? "█" : k < cells ? "h" : "o");
        printf("  %4d    ", a);
        paint(p, 'h', bar[0]);
        paint(p, 'o', bar[1]);
        printf("    ");
        paint(p, took[a], took[a] == 'h' ? "h" : "o");
        bool hit = side_of(p, a) == took[a];
        printf(" %s ", hit ? " " : "<");
        right += hit;
        printf("%c", p->color ? ' ' : '|');
        draw_row(p, a);
        printf("\n");
    }
    return right;
}

int main(int argc, char **argv)
{
    picture p = { .color = isatty(STDOUT_FILENO), .cell = cell_width() };
    for (int i = 2; i < argc; i++)
        p.color = !strcmp(argv[i], "--color");
    if (argc < 2) {
        fprintf(stderr, "usage: karate SIDES.so [--color | --no-color]\n");
        return 2;
    }

    mp_context *ctx = NULL;
    mp_module *module = NULL;
    mp_layer *layer = NULL;
    mp_graph *club = NULL;
    check(ctx, mp_context_create(NULL, &ctx));
    check(ctx, mp_module_load(ctx, argv[1], &module));
    check(ctx, mp_layer_create(module, "Sides", NULL, 0, &layer));
    check(ctx, mp_graph_read(ctx, "karate", &club, NULL));

    /* All that the layer is told: what the two leaders think. */
    float seed[MEMBERS][2] = { [INSTRUCTOR] = { 1, 0 }, [OFFICER] = { 0, 1 } };
    int64_t shape[] = { MEMBERS, 2 };
    DLTensor in = {
        .data = seed, .device = { kDLCPU, 0 }, .ndim = 2, .dtype = { kDLFloat, 32, 1 }, .shape = shape
    };
    DLTensor out = in;
    out.data = p.opinion;
    check(ctx, mp_bind(layer, "seed", &in, 0));
    check(ctx, mp_bind(layer, "opinion", &out, 0));
    check(ctx, mp_forward(layer, club));

    mp_iteration loop = { .size = sizeof loop };
    check(ctx, mp_layer_iteration(layer, 0, &loop));
    int64_t src[FRIENDSHIPS], dst[FRIENDSHIPS];
    if (mp_graph_num_edges(club) != FRIENDSHIPS)
        return 1;
    check(ctx, mp_graph_edges(club, src, dst));
    for (int e = 0; e < FRIENDSHIPS; e++)
        p.friends[src[e]][dst[e]] = true;

    printf("\nThe karate club after %lld rounds of talk, from the opinions of members %d and %d alone.\n\n",
           (long long)loop.steps, INSTRUCTOR, OFFICER);
    sort_members(&p);
    int right = draw(&p);
    printf("\n%d of %d members on the side that they really took (h: the instructor's, o: the officers').\n",
           right, MEMBERS);
    for (int i = 0; i < MEMBERS; i++)
        if (side_of(&p, i) != took[i])
            printf("Member %d leaned the other way, %.0f %% to %.0f %%.%s\n", i,
                   (double)p.opinion[i][0] * 100, (double)p.opinion[i][1] * 100,
                   i == 8 ? " Zachary tells why he stayed: three weeks before his black belt test\n"
                            "he would have lost the rank in the officers' new club."
                          : "");

    mp_layer_destroy(layer);
    mp_module_destroy(module);
    mp_graph_destroy(club);
    mp_context_destroy(ctx);
    return right >= MEMBERS - 1 ? 0 : 1;
}
