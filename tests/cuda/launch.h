/* Launches on the emulator, in the place of the CPU's kernels: the rows lo..hi of a part are one launch, its hubs cut anew. What
 * a device would do seldom is done always: rows are hubs from a few members on, the grid is smaller than the rows, rows come in
 * another order, memory for locals is of the block or of the grid by turns. Included behind the generated text. */
#ifndef TESTS_CUDA_LAUNCH_H
#define TESTS_CUDA_LAUNCH_H

#ifndef EMU_HUB
#define EMU_HUB 11                      /* members from which on a row is a hub */
#endif
#define EMU_PIECE 4
#define EMU_GRID 3

typedef void emu_kernel(const mp_device_args, const mp_device_launch);

typedef struct emu_entry {
    emu_kernel *rows, *piece;
    int threads, rows_a_block, pieces_a_block;
    bool ordered;                       /* rows may be taken in another order */
    mp_i64 (*room_bytes)(const mp_i64 *d);
    mp_i64 (*state_bytes)(const mp_i64 *d);
} emu_entry;

static void emu_enter(emu_block *b)
{
    ((emu_kernel *)b->kernel)(*(const mp_device_args *)b->args, *(const mp_device_launch *)b->launch);
}

static void *emu_alloc(size_t n)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, n ? n : 1) != 0)
        abort();
    return p;
}

static void emu_launch(emu_kernel *k, int blocks, int threads, const mp_device_args *a, mp_device_launch *l, mp_i64 room)
{
    size_t bytes = (size_t)(threads + 1) * EMU_STACK, one = (size_t)room + 64;
    char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || blocks > EMU_GRID)
        abort();
    bool shared = (a->seed + (uintptr_t)k / 16) % 2 || !room;
    char *memory = emu_alloc(one * (size_t)blocks);
    emu_block b = {.threads = {threads}, .blocks = {blocks}, .enter = emu_enter, .args = a, .launch = l, .kernel = (void *)k};
    b.stacks = (char *)(((uintptr_t)map + EMU_STACK - 1) & ~(uintptr_t)(EMU_STACK - 1));
    l->room = shared ? NULL : memory;
    l->room_bytes = room;
    b.shared = memory;
    memset(memory, 0xa5, one * (size_t)blocks);
    for (b.index.x = 0; b.index.x < blocks; b.index.x++) {
        if (shared)
            memset(memory, 0xa5, one);
        emu_run_block(&b);
    }
    free(memory);
    munmap(map, bytes);
}

static int emu_grid(mp_i64 n, int by)
{
    mp_i64 blocks = (n + by - 1) / by;
    return blocks < EMU_GRID ? (int)blocks : EMU_GRID;
}

static void emu_rows(const emu_entry *e, const mp_kargs *args, const mp_launch *launch, int64_t lo, int64_t hi)
{
    mp_device_args a;
    _Static_assert(sizeof a == sizeof *args, "arguments of a device are those of the CPU");
    memcpy(&a, args, sizeof a);
    const mp_i64 n = hi - lo, *ptr = (const mp_i64 *)launch->ptr;
    mp_device_launch l = {.ptr = ptr, .lo = lo, .hi = hi, .hub_members = EMU_HUB, .piece_members = EMU_PIECE};
    if (n <= 0)
        return;
    mp_i64 members = e->piece ? ptr[hi] - ptr[lo] : 0, most = members / EMU_PIECE + members / EMU_HUB + 2;
    mp_i64 *hub_row = emu_alloc((size_t)most * 8), *hub_first = emu_alloc((size_t)most * 8);
    mp_i64 *piece_row = emu_alloc((size_t)most * 8), *piece_at = emu_alloc((size_t)most * 8);
    for (mp_i64 row = lo; e->piece && row < hi; row++) {
        if (ptr[row + 1] - ptr[row] <= EMU_HUB)
            continue;
        hub_row[l.n_hubs] = row;
        hub_first[l.n_hubs++] = l.n_pieces;
        for (mp_i64 m = ptr[row]; m < ptr[row + 1]; m += EMU_PIECE) {
            piece_row[l.n_pieces] = row;
            piece_at[l.n_pieces++] = m;
        }
    }
    hub_first[l.n_hubs] = l.n_pieces;
    l.hub_row = hub_row;
    l.hub_first = hub_first;
    l.piece_row = piece_row;
    l.piece_at = piece_at;
    l.state_bytes = e->state_bytes(a.dim);
    l.state = emu_alloc((size_t)(l.state_bytes * l.n_pieces));
    memset(l.state, 0xa5, (size_t)(l.state_bytes * l.n_pieces));
    int *order = NULL;
    if (e->ordered) {
        order = emu_alloc((size_t)n * sizeof *order);
        for (mp_i64 i = 0; i < n; i++)
            order[i] = (int)(hi - 1 - i);
        l.order = order - lo;
    }
    if (l.n_pieces)
        emu_launch(e->piece, emu_grid(l.n_pieces, e->pieces_a_block), e->threads, &a, &l, e->room_bytes(a.dim));
    emu_launch(e->rows, emu_grid(n, e->rows_a_block), e->threads, &a, &l, e->room_bytes(a.dim));
    free(order);
    free(l.state);
    free(hub_row);
    free(hub_first);
    free(piece_row);
    free(piece_at);
}

#endif
