/* ---- pairs of an index that is computed in a call (runtime/device_sort.h) ------------------------------ */

MP_KERNEL(256) mp_pair_keys(const mp_keys_args A)
{
    const int *const index = (const int *)A.now[A.index];
    for (mp_i64 k = blockIdx.x * 256LL + threadIdx.x; k < A.n; k += gridDim.x * 256LL) {
        const mp_i64 r = index[A.place ? A.place[k] : k];
        const bool has = r >= 0 && r < A.n_indices;
        A.idx[k] = (int)(has ? r : A.n_indices);
        A.row[k] = (int)(has ? mp_row_of(A.ptr, 0, A.n_rows - 1, k) : A.n_rows);
    }
}

/* The sum of the numbers of the threads before this one; p: 256 numbers that the block shares. */
MP_DEVICE mp_u32 mp_before(mp_u32 *p, mp_u32 own)
{
    mp_barrier();
    p[threadIdx.x] = own;
    mp_barrier();
    for (int by = 1; by < 256; by *= 2) {
        const mp_u32 other = (int)threadIdx.x >= by ? p[threadIdx.x - by] : 0;
        mp_barrier();
        p[threadIdx.x] += other;
        mp_barrier();
    }
    return p[threadIdx.x] - own;
}

MP_DEVICE mp_u32 mp_sorted(const mp_sort_args *A, mp_i64 i) { return A->from ? A->from[i] : (mp_u32)i; }

/* Each thread has 16 neighbours; counts[digit][thread]. */
MP_DEVICE void mp_count_digits(const mp_sort_args *A, mp_i64 tile, mp_i64 n, mp_u32 *counts)
{
    for (int d = 0; d < MP_SORT_DIGITS; d++)
        counts[d * 256 + threadIdx.x] = 0;
    const mp_i64 first = tile * MP_SORT_TILE + (mp_i64)threadIdx.x * MP_SORT_EACH;
    for (mp_i64 i = first; i < first + MP_SORT_EACH && i < n; i++)
        counts[(A->key[mp_sorted(A, i)] >> A->shift & (MP_SORT_DIGITS - 1)) * 256 + threadIdx.x]++;
}

MP_KERNEL(256) mp_sort_count(const mp_sort_args A)
{
    MP_SHARED(shared)
    mp_u32 *const counts = (mp_u32 *)shared;
    const mp_i64 n = A.n ? *A.n : A.most, tiles = (A.most + MP_SORT_TILE - 1) / MP_SORT_TILE;
    for (mp_i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        mp_barrier();
        mp_count_digits(&A, tile, n, counts);
        mp_barrier();
        if (threadIdx.x < MP_SORT_DIGITS) {
            mp_u32 sum = 0;
            for (int t = 0; t < 256; t++)
                sum += counts[threadIdx.x * 256 + t];
            A.counts[threadIdx.x * tiles + tile] = sum;
        }
    }
}

MP_KERNEL(256) mp_scan(const mp_scan_args A)
{
    MP_SHARED(shared)
    mp_u32 *const p = (mp_u32 *)shared, *const counts = A.counts + blockIdx.x * A.n;
    const mp_i64 each = (A.n + 255) / 256, first = threadIdx.x * each, end = mp_min_i64(first + each, A.n);
    mp_u32 own = 0;
    for (mp_i64 i = first; i < end; i++)
        own += counts[i];
    mp_u32 sum = mp_before(p, own);
    if (threadIdx.x == 255 && A.total[blockIdx.x])
        *A.total[blockIdx.x] = sum + own;
    for (mp_i64 i = first; i < end; i++) {
        const mp_u32 here = counts[i];
        counts[i] = sum;
        sum += here;
    }
}

MP_KERNEL(256) mp_sort_move(const mp_sort_args A)
{
    MP_SHARED(shared)
    mp_u32 *const counts = (mp_u32 *)shared, *const p = counts + MP_SORT_TILE;
    const mp_i64 n = A.n ? *A.n : A.most, tiles = (A.most + MP_SORT_TILE - 1) / MP_SORT_TILE;
    for (mp_i64 tile = blockIdx.x; tile < tiles && tile * MP_SORT_TILE < n; tile += gridDim.x) {
        mp_barrier();
        mp_count_digits(&A, tile, n, counts);
        mp_barrier();
        mp_u32 *const mine = counts + threadIdx.x * MP_SORT_DIGITS;     /* the counts that this thread sums up */
        mp_u32 sum = 0;
        for (int i = 0; i < MP_SORT_DIGITS; i++)
            sum += mine[i];
        mp_u32 at = mp_before(p, sum);
        for (int i = 0; i < MP_SORT_DIGITS; i++) {
            const mp_u32 here = mine[i];
            mine[i] = at;
            at += here;
        }
        mp_barrier();
        if (threadIdx.x < MP_SORT_DIGITS)       /* a digit's first place is the tile's among all, less what the tile has of smaller ones */
            p[threadIdx.x] = A.counts[threadIdx.x * tiles + tile] - counts[threadIdx.x * 256];
        mp_barrier();
        const mp_i64 first = tile * MP_SORT_TILE + (mp_i64)threadIdx.x * MP_SORT_EACH;
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < n; i++) {
            const mp_u32 x = mp_sorted(&A, i);
            const int digit = A.key[x] >> A.shift & (MP_SORT_DIGITS - 1);
            A.to[p[digit] + counts[digit * 256 + threadIdx.x]++] = x;
        }
    }
}

MP_DEVICE bool mp_begins(const mp_pairs_args *A, mp_i64 i)
{
    const mp_u32 k = A->sorted[i], before = i ? A->sorted[i - 1] : 0;
    return A->idx[k] < A->n_indices && (!i || A->row[k] != A->row[before] || A->idx[k] != A->idx[before]);
}

MP_KERNEL(256) mp_pair_count(const mp_pairs_args A)
{
    MP_SHARED(shared)
    mp_u32 *const p = (mp_u32 *)shared;
    const mp_i64 tiles = (A.n + MP_SORT_TILE - 1) / MP_SORT_TILE;
    for (mp_i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const mp_i64 first = tile * MP_SORT_TILE + (mp_i64)threadIdx.x * MP_SORT_EACH;
        mp_u32 own = 0;
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < A.n; i++)
            own += mp_begins(&A, i);
        const mp_u32 before = mp_before(p, own);
        if (threadIdx.x == 255)
            A.counts[tile] = before + own;
    }
}

MP_KERNEL(256) mp_pair_write(const mp_pairs_args A)
{
    MP_SHARED(shared)
    mp_u32 *const p = (mp_u32 *)shared;
    const mp_i64 tiles = (A.n + MP_SORT_TILE - 1) / MP_SORT_TILE;
    if (!A.n && !blockIdx.x && !threadIdx.x)
        *A.n_grouped = A.pair_ptr[0] = 0;
    for (mp_i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const mp_i64 first = tile * MP_SORT_TILE + (mp_i64)threadIdx.x * MP_SORT_EACH;
        mp_u32 own = 0;
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < A.n; i++)
            own += mp_begins(&A, i);
        mp_i64 pair = (mp_i64)A.counts[tile] + mp_before(p, own) - 1;       /* that of the member before */
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < A.n; i++) {
            const mp_u32 k = A.sorted[i];
            const mp_i64 name = A.name ? A.name[k] : k;
            const bool has = A.idx[k] < A.n_indices;
            if (mp_begins(&A, i)) {
                pair++;
                A.pair_row[pair] = A.row[k];
                A.pair_idx[pair] = A.idx[k];
                A.pair_ptr[pair] = i;
            }
            if (has)
                A.order[i] = name;
            A.pair_of[name] = has ? pair : -1;
            if ((has && i + 1 == A.n) || (!has && (!i || A.idx[A.sorted[i - 1]] < A.n_indices))) {       /* one thread has the last that is grouped */
                const mp_i64 n = has ? A.n : i;
                *A.n_grouped = n;
                A.pair_ptr[pair + 1] = n;
            }
        }
    }
}

MP_KERNEL(256) mp_pair_search(const mp_search_args A)
{
    const mp_i64 n = *A.n;
    for (mp_i64 i = blockIdx.x * 256LL + threadIdx.x; i <= A.n_keys; i += gridDim.x * 256LL) {
        mp_i64 low = 0, high = n;
        while (low < high) {
            const mp_i64 middle = (low + high) / 2;
            if (A.key[A.in ? A.in[middle] : middle] < i)
                low = middle + 1;
            else
                high = middle;
        }
        A.at[i] = A.then ? A.then[low] : low;
    }
    for (mp_i64 j = blockIdx.x * 256LL + threadIdx.x; A.sorted && j < n; j += gridDim.x * 256LL)
        A.sorted[j] = A.in[j];
}

MP_DEVICE mp_u32 mp_pieces(const mp_fiber_args *A, mp_i64 row)
{
    const mp_i64 members = A->ptr[row + 1] - A->ptr[row];
    return members > A->hub_members ? (mp_u32)((members + A->piece_members - 1) / A->piece_members) : 0;
}

MP_KERNEL(256) mp_fiber_count(const mp_fiber_args A)
{
    MP_SHARED(shared)
    mp_u32 *const p = (mp_u32 *)shared;
    const mp_i64 n = A.n_rows ? *A.n_rows : A.most, tiles = (A.most + MP_SORT_TILE - 1) / MP_SORT_TILE;
    for (mp_i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const mp_i64 first = tile * MP_SORT_TILE + (mp_i64)threadIdx.x * MP_SORT_EACH;
        mp_u32 hubs = 0, pieces = 0;
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < n; i++) {
            hubs += mp_pieces(&A, i) > 0;
            pieces += mp_pieces(&A, i);
        }
        const mp_u32 hubs_before = mp_before(p, hubs), pieces_before = mp_before(p, pieces);
        if (threadIdx.x == 255) {
            A.counts[tile] = hubs_before + hubs;
            A.counts[tiles + tile] = pieces_before + pieces;
        }
    }
}

MP_KERNEL(256) mp_fiber_write(const mp_fiber_args A)
{
    MP_SHARED(shared)
    mp_u32 *const p = (mp_u32 *)shared;
    const mp_i64 n = A.n_rows ? *A.n_rows : A.most, tiles = (A.most + MP_SORT_TILE - 1) / MP_SORT_TILE;
    if (!blockIdx.x && !threadIdx.x) {
        A.now[0] = n;
        A.hub_first[A.now[1]] = A.now[2];
    }
    for (mp_i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const mp_i64 first = tile * MP_SORT_TILE + (mp_i64)threadIdx.x * MP_SORT_EACH;
        mp_u32 hubs = 0, pieces = 0;
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < n; i++) {
            hubs += mp_pieces(&A, i) > 0;
            pieces += mp_pieces(&A, i);
        }
        mp_i64 hub = (mp_i64)A.counts[tile] + mp_before(p, hubs), piece = (mp_i64)A.counts[tiles + tile] + mp_before(p, pieces);
        for (mp_i64 i = first; i < first + MP_SORT_EACH && i < n; i++) {
            const mp_u32 of_row = mp_pieces(&A, i);
            if (!of_row)
                continue;
            A.hub_row[hub] = i;
            A.hub_first[hub++] = piece;
            for (mp_u32 j = 0; j < of_row; j++) {
                A.piece_row[piece] = i;
                A.piece_at[piece++] = A.ptr[i] + j * A.piece_members;
            }
        }
    }
}
