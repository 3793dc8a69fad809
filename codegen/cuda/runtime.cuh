/* ---- the runtime's own kernels (runtime/device_control.h) ---------------------------------------------- */

MP_KERNEL(256) mp_begin(const mp_begin_args A)
{
    for (int i = threadIdx.x; i < A.n; i += blockDim.x)
        A.base[A.buffer[i]] = A.place[i];
    mp_barrier();
    for (int i = threadIdx.x; i < A.n_buffers; i += blockDim.x)
        A.now[i] = A.base[i];
}

/* A loop that has ended, or was never begun, has a negative step. */
MP_DEVICE bool mp_alive(const mp_control_args *A, int loop)
{
    for (; loop >= 0; loop = A->loops[loop].around)
        if (A->step[loop] < 0)
            return false;
    return true;
}

MP_DEVICE double mp_scalar(const mp_control_args *A, int buffer) { return *(const double *)A->now[buffer]; }

/* The entry of a sequence for the step of a loop, or for the one as far from its last. */
MP_DEVICE mp_i64 mp_entry(const mp_control_args *A, int loop, bool back) { return A->step[back ? A->n_loops + loop : loop]; }

/* Only where other states than those of the time before are asked for is there anything to do. */
MP_DEVICE bool mp_begin_again(const mp_control_args *A, int loop)
{
    mp_loop *const l = &A->loops[loop];
    const mp_i64 entry = mp_entry(A, l->around, l->again == 2), first = entry - entry % l->apart;
    if (first == l->first)
        return false;
    const mp_i64 last = A->step[l->around] + A->step[A->n_loops + l->around];
    l->first = first;
    A->step[loop] = first;
    A->step[A->n_loops + loop] = last - first;
    l->most = last - first < l->apart ? last : first + l->apart - 1;
    return l->most > first;
}

MP_DEVICE bool mp_begin_loop(const mp_control_args *A, int loop)
{
    mp_loop *const l = &A->loops[loop];
    if (l->again)
        return mp_begin_again(A, loop);
    mp_i64 most = l->limit;
    if (l->count_at >= 0) {
        const double count = mp_scalar(A, l->count_at);
        most = count < (double)most ? count > 0 ? (mp_i64)count : 0 : most;
    }
    A->step[loop] = 0;
    A->step[A->n_loops + loop] = most - 1;
    l->steps = 0;
    l->change = mp_nan_f64();
    l->most = most;
    for (int i = 0; i < A->n_loops; i++)
        if (A->loops[i].around == loop)
            A->loops[i].first = -1;
    return most > 0;
}

MP_DEVICE bool mp_goes_on(const mp_control_args *A, int loop)
{
    mp_loop *const l = &A->loops[loop];
    l->steps = ++A->step[loop];
    A->step[A->n_loops + loop]--;
    if (l->until) {
        l->change = mp_scalar(A, l->change_at);
        if (l->change < mp_scalar(A, l->tol))
            return false;
    }
    return l->steps < l->most;
}

MP_DEVICE void mp_slot(const mp_control_args *A, const mp_op *o)
{
    mp_i64 entry = mp_entry(A, o->b, o->kind == MP_OP_SLOT_BACK);
    if (o->apart > 1)
        entry = entry % o->apart ? (A->loops[o->b].most + o->apart - 1) / o->apart : entry / o->apart;
    A->now[o->a] = (char *)A->now[o->sequence] + entry * o->bytes;
}

MP_DEVICE void mp_states(const mp_control_args *A, int loop, bool in_step)
{
    const mp_loop *const l = &A->loops[loop];
    const mp_i64 at = (in_step ? A->step[loop] : mp_entry(A, l->around, l->again == 2)) - l->first;
    for (int i = 0; i < A->n_replays; i++) {
        const mp_replay *const r = &A->replays[i];
        if (r->loop != loop)
            continue;
        char *const made = (char *)A->now[r->made], *const kept = (char *)A->now[r->kept] + l->first / l->apart * r->bytes;
        char *const now = at ? made + (at - 1) * r->bytes : kept;
        if (in_step) {
            A->now[r->cur] = now;
            A->now[r->next] = made + at * r->bytes;
        } else {
            A->now[r->value] = now;
        }
    }
}

MP_DEVICE void mp_do(const mp_control_args *A, const mp_op *o, unsigned number)
{
    const bool alive = mp_alive(A, o->around);
    if (!alive) {
        if (o->kind == MP_OP_LOOP)
            A->step[o->a] = -1;
        return;
    }
    switch (o->kind) {
    case MP_OP_LOOP:
        if (!mp_begin_loop(A, o->a)) {
            A->step[o->a] = -1;
            *A->seen = number;
        }
        break;
    case MP_OP_END:
        if (A->step[o->a] >= 0 && !mp_goes_on(A, o->a)) {
            A->step[o->a] = -1;
            *A->seen = number;
        }
        break;
    case MP_OP_LEAVE:
        if (A->loops[o->a].steps_at >= 0)
            *(double *)A->now[A->loops[o->a].steps_at] = (double)A->loops[o->a].steps;
        break;
    case MP_OP_SWAP: {
        void *const a = A->now[o->a];
        A->now[o->a] = A->now[o->b];
        A->now[o->b] = a;
        break;
    }
    case MP_OP_SLOT: case MP_OP_SLOT_BACK: mp_slot(A, o); break;
    case MP_OP_REPLAY: case MP_OP_REPLAYED: mp_states(A, o->a, o->kind == MP_OP_REPLAY); break;
    }
}

MP_KERNEL(32) mp_control(const mp_control_args A)
{
    if (threadIdx.x == 0)
        for (int i = 0; i < A.n; i++)
            mp_do(&A, &A.ops[A.op[i]], A.number[i]);
}

MP_DEVICE double mp_element_of(const void *p, int type, mp_i64 at)
{
    switch (type) {
    case MP_E_F64: return ((const double *)p)[at];
    case MP_E_F32: return ((const float *)p)[at];
    case MP_E_F16: return mp_of_f16(((const mp_u16 *)p)[at]);
    case MP_E_BF16: return mp_of_bf16(((const mp_u16 *)p)[at]);
    case MP_E_I32: return ((const int *)p)[at];
    case MP_E_I64: return (double)((const mp_i64 *)p)[at];
    case MP_E_U8: case MP_E_BOOL: return ((const mp_u8 *)p)[at] != 0;
    }
    return mp_nan_f64();
}

MP_DEVICE void mp_element_to(void *p, int type, mp_i64 at, double x)
{
    switch (type) {
    case MP_E_F64: ((double *)p)[at] = x; break;
    case MP_E_F32: ((float *)p)[at] = (float)x; break;
    case MP_E_F16: mp_put_f16_f64((mp_u16 *)p + at, x); break;
    case MP_E_BF16: mp_put_bf16_f64((mp_u16 *)p + at, x); break;
    case MP_E_I32: ((int *)p)[at] = (int)x; break;
    case MP_E_I64: ((mp_i64 *)p)[at] = (mp_i64)x; break;
    case MP_E_U8: case MP_E_BOOL: ((mp_u8 *)p)[at] = x != 0; break;
    }
}

/* Sums are in float32, or in float64 where one of the two is. */
MP_KERNEL(256) mp_convert(const mp_convert_args A)
{
    const bool wide = A.from_type == MP_E_F64 || A.to_type == MP_E_F64;
    for (mp_i64 i = blockIdx.x * 256LL + threadIdx.x; i < A.n; i += gridDim.x * 256LL) {
        mp_i64 rest = i, from = 0, to = 0;
        for (int k = A.rank - 1; k >= 0; k--) {
            from += rest % A.shape[k] * A.from_stride[k];
            to += rest % A.shape[k] * A.to_stride[k];
            rest /= A.shape[k];
        }
        double x = mp_element_of(A.from, A.from_type, from);
        if (A.add) {
            const double old = mp_element_of(A.to, A.to_type, to);
            x = wide ? old + x : (double)((float)old + (float)x);
        }
        mp_element_to(A.to, A.to_type, to, x);
    }
}

typedef struct mp_words { mp_u64 a, b; } mp_words;

/* A word of a row. */
#define MP_MOVE(T)                                                                                  \
    for (mp_i64 i = blockIdx.x * 256LL + threadIdx.x; i < A.n * words; i += gridDim.x * 256LL) {    \
        const mp_i64 k = i / words, w = i % words, e = A.order[k];                                  \
        ((T *)A.to)[(A.to_walk ? k : e) * words + w] = ((const T *)A.from)[(A.to_walk ? e : k) * words + w]; \
    }
MP_KERNEL(256) mp_reorder(const mp_reorder_args A)
{
    const mp_i64 words = A.row_bytes / A.word;
    switch (A.word) {
    case 16: MP_MOVE(mp_words) break;
    case 8: MP_MOVE(mp_u64) break;
    case 4: MP_MOVE(mp_u32) break;
    case 2: MP_MOVE(mp_u16) break;
    default: MP_MOVE(mp_u8) break;
    }
}

