/*
 * .npy: what is written reads back; malformed files of every kind are refused with a message that names them; a header
 * or data cut anywhere does no harm.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "runtime/file.h"
#include "runtime/npy.h"

typedef struct place {
    char folder[64];
    char path[128];
} place;

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n)
        exit(1);
    fclose(f);
}

/* A version 1 header with the dictionary, and `data` bytes of zeros. */
static size_t make(unsigned char *buf, const char *dictionary, size_t data)
{
    size_t n = strlen(dictionary);
    memcpy(buf, "\x93NUMPY\x01\x00", 8);
    buf[8] = (unsigned char)(n & 0xff);
    buf[9] = (unsigned char)(n >> 8);
    memcpy(buf + 10, dictionary, n);
    memset(buf + 10 + n, 0, data);
    return 10 + n + data;
}

static DLTensor tensor_of(void *data, tensor_type type, int rank, int64_t *shape, int64_t *strides)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = shape,
                       .strides = strides };
}

static void round_trip(check *c, const place *at)
{
    static const tensor_type kinds[] = { TENSOR_F64, TENSOR_F32, TENSOR_F16, TENSOR_I8, TENSOR_I16, TENSOR_I32, TENSOR_I64,
                                         TENSOR_U8, TENSOR_U16, TENSOR_U32, TENSOR_U64, TENSOR_BOOL };
    unsigned char data[6 * 8];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = kinds[k] == TENSOR_BOOL ? i & 1 : (unsigned char)(i * 37 + 5);
        for (int rank = 0; rank <= 3; rank++) {
            int64_t shape[] = { 2, 3, 1 };
            DLTensor t = tensor_of(data, kinds[k], rank, shape, NULL);
            OK(c, mp_npy_save(c->ctx, at->path, &t));
            DLManagedTensor *back = NULL;
            OK(c, mp_npy_load(c->ctx, at->path, &back));
            if (!back)
                continue;
            tensor_type type;
            CHECK(c, tensor_type_of(back->dl_tensor.dtype, &type) && type == kinds[k]);
            CHECK(c, tensor_same_shape(&t, &back->dl_tensor));
            CHECK(c, !memcmp(tensor_data(&back->dl_tensor), data, (size_t)tensor_count(&t) * tensor_type_size(type)));
            back->deleter(back);
        }
    }
    int64_t none[] = { 0, 3 };
    DLTensor empty = tensor_of(NULL, TENSOR_F32, 2, none, NULL);
    DLManagedTensor *back = NULL;
    OK(c, mp_npy_save(c->ctx, at->path, &empty));
    OK(c, mp_npy_load(c->ctx, at->path, &back));
    CHECK(c, back->dl_tensor.shape[0] == 0 && back->dl_tensor.shape[1] == 3);
    back->deleter(back);
    /* bfloat16 as float32; strided as compact */
    uint16_t b[6] = { 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0 };
    int64_t shape[] = { 2, 3 }, columns[] = { 1, 2 };
    DLTensor bf = tensor_of(b, TENSOR_BF16, 2, shape, columns);
    OK(c, mp_npy_save(c->ctx, at->path, &bf));
    OK(c, mp_npy_load(c->ctx, at->path, &back));
    const float *f = tensor_data(&back->dl_tensor);
    CHECK(c, back->dl_tensor.dtype.bits == 32 && f[0] == 1 && f[1] == 3 && f[2] == 5 && f[3] == 2);
    back->deleter(back);
    /* larger than what is worth mapping */
    enum { MANY = 100000 };
    double *many = malloc(MANY * sizeof *many);
    for (int i = 0; i < MANY; i++)
        many[i] = i;
    int64_t long_shape[] = { MANY };
    DLTensor big = tensor_of(many, TENSOR_F64, 1, long_shape, NULL);
    OK(c, mp_npy_save(c->ctx, at->path, &big));
    OK(c, mp_npy_load(c->ctx, at->path, &back));
    CHECK(c, !memcmp(tensor_data(&back->dl_tensor), many, MANY * sizeof *many));
    back->deleter(back);
    free(many);
}

static void fortran_and_odd_headers(check *c, const place *at)
{
    unsigned char buf[512];
    DLManagedTensor *t = NULL;
    size_t n = make(buf, "{'shape': (2, 3), 'fortran_order': True, 'descr': '<i4'}", 24);
    for (int32_t i = 0; i < 6; i++)
        memcpy(buf + n - 24 + 4 * i, &i, 4);
    write_bytes(at->path, buf, n);
    OK(c, mp_npy_load(c->ctx, at->path, &t));
    CHECK(c, t->dl_tensor.strides && t->dl_tensor.strides[0] == 1 && t->dl_tensor.strides[1] == 2);
    CHECK(c, ((int32_t *)tensor_data(&t->dl_tensor))[5] == 5);
    t->deleter(t);
    n = make(buf, "{\"descr\":\"|u1\",\"fortran_order\":False,\"shape\":(3L,),}  \n", 3);
    write_bytes(at->path, buf, n);
    OK(c, mp_npy_load(c->ctx, at->path, &t));
    CHECK(c, t->dl_tensor.ndim == 1 && t->dl_tensor.shape[0] == 3);
    t->deleter(t);
    /* version 2: four bytes of length */
    static const char d[] = "{'descr': '<f4', 'fortran_order': False, 'shape': ()}";
    memcpy(buf, "\x93NUMPY\x02\x00", 8);
    memcpy(buf + 8, (uint32_t[]){ sizeof d - 1 }, 4);
    memcpy(buf + 12, d, sizeof d - 1);
    memcpy(buf + 12 + sizeof d - 1, (float[]){ 2.5f }, 4);
    write_bytes(at->path, buf, 12 + sizeof d - 1 + 4);
    OK(c, mp_npy_load(c->ctx, at->path, &t));
    CHECK(c, t->dl_tensor.ndim == 0 && *(float *)tensor_data(&t->dl_tensor) == 2.5f);
    t->deleter(t);
}

static void refusals(check *c, const place *at)
{
    static const struct {
        const char *dictionary;
        size_t data;
        const char *message;
    } bad[] = {
        { "{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", 24, "'<c8' (complex)" },
        { "{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", 24, "'|O' (objects)" },
        { "{'descr': '>f4', 'fortran_order': False, 'shape': (3,)}", 12, "(big-endian)" },
        { "{'descr': '<U5', 'fortran_order': False, 'shape': (3,)}", 60, "'<U5'" },
        { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", 12, "several fields" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 11, "is cut short: 11 bytes of data, but its shape needs 12" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", 12, "is too large" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 12, "too large" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4, "more than 8 axes" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, "no number" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}", 4, "does not end" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (3", 4, "does not end" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': 3}", 4, "no tuple" },
        { "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", 4, "neither True nor False" },
        { "{'descr': '<f4', 'shape': (1,)}", 4, "lacks an entry" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", 4, "unknown entry" },
        { "['descr']", 4, "no dictionary" },
        { "", 4, "no dictionary" },
    };
    unsigned char buf[512];
    DLManagedTensor *t = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_bytes(at->path, buf, make(buf, bad[i].dictionary, bad[i].data));
        FAILS(c, MP_INVALID, bad[i].message, mp_npy_load(c->ctx, at->path, &t));
        CHECK(c, strstr(mp_error_message(c->ctx), at->path));
    }
    write_bytes(at->path, "", 0);
    FAILS(c, MP_INVALID, "it is empty", mp_npy_load(c->ctx, at->path, &t));
    write_bytes(at->path, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    FAILS(c, MP_INVALID, "does not begin as one", mp_npy_load(c->ctx, at->path, &t));
    write_bytes(at->path, "\x93NUMPY\x09\x00\x00\x00\x00\x00", 12);
    FAILS(c, MP_INVALID, "version 9.0", mp_npy_load(c->ctx, at->path, &t));
    FAILS(c, MP_INVALID, "not a file", mp_npy_load(c->ctx, at->folder, &t));
    FAILS(c, MP_INVALID, "cannot be opened", mp_npy_load(c->ctx, "/no/such/file.npy", &t));
    CHECK(c, t == NULL);
    /* cut anywhere: refused or whole, never worse */
    size_t n = make(buf, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8);
    for (size_t cut = 0; cut < n; cut++) {
        write_bytes(at->path, buf, cut);
        CHECK(c, mp_npy_load(c->ctx, at->path, &t) == MP_INVALID);
    }
    /* one byte changed anywhere */
    for (size_t i = 0; i < n - 8; i++) {
        for (int v = 0; v < 256; v += 5) {
            unsigned char old = buf[i];
            buf[i] = (unsigned char)v;
            npy_header h;
            npy_parse(c->ctx, "x", buf, n, &h);
            buf[i] = old;
        }
    }
}

static void writing(check *c, const place *at)
{
    float x[3] = { 1, 2, 3 };
    int64_t shape[] = { 3 };
    DLTensor t = tensor_of(x, TENSOR_F32, 1, shape, NULL);
    FAILS(c, MP_INVALID, "cannot be written", mp_npy_save(c->ctx, "/no/such/folder/x.npy", &t));
    FAILS(c, MP_INVALID, "is a folder", mp_npy_save(c->ctx, at->folder, &t));
    OK(c, mp_npy_save(c->ctx, "/dev/null", &t));
    struct stat s;
    CHECK(c, stat("/dev/null", &s) == 0 && S_ISCHR(s.st_mode));
    /* given up: the file that was there stays */
    OK(c, mp_npy_save(c->ctx, at->path, &t));
    file_out f;
    OK(c, file_out_begin(c->ctx, at->path, &f));
    file_out_write(&f, "xx", 2);
    OK(c, file_out_end(&f, false));
    DLManagedTensor *back = NULL;
    OK(c, mp_npy_load(c->ctx, at->path, &back));
    back->deleter(back);
    if (access("/dev/full", W_OK) == 0)
        FAILS(c, MP_SYSTEM, "cannot be written", mp_npy_save(c->ctx, "/dev/full", &t));
}

int main(void)
{
    check c = check_begin(2);
    place at = { .folder = "npy-test-XXXXXX" };
    if (!mkdtemp(at.folder))
        return 1;
    snprintf(at.path, sizeof at.path, "%s/x.npy", at.folder);
    round_trip(&c, &at);
    fortran_and_odd_headers(&c, &at);
    refusals(&c, &at);
    writing(&c, &at);
    unlink(at.path);
    CHECK(&c, rmdir(at.folder) == 0);       /* nothing else was left in it */
    return check_end(&c);
}
