/*
 * .npz: what is written reads back, by NumPy's own archives too; cut or changed bytes do no harm.
 */
#include <unistd.h>

#include "check.h"
#include "runtime/file.h"
#include "runtime/tensor.h"
#include "runtime/zip.h"

static DLTensor tensor_of(void *data, tensor_type type, int rank, int64_t *shape, int64_t *strides)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = shape,
                       .strides = strides };
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n)
        exit(1);
    fclose(f);
}

static void round_trip(check *c, const char *path)
{
    float w[6] = { 1, 2, 3, 4, 5, 6 };
    int64_t id[2] = { -7, (int64_t)1 << 50 };
    uint16_t b = 0x4000;
    int64_t s23[] = { 2, 3 }, columns[] = { 1, 2 }, s2[] = { 2 }, s0[] = { 0, 4 };
    DLTensor t[4] = { tensor_of(w, TENSOR_F32, 2, s23, columns), tensor_of(id, TENSOR_I64, 1, s2, NULL),
                      tensor_of(&b, TENSOR_BF16, 0, NULL, NULL), tensor_of(NULL, TENSOR_F64, 2, s0, NULL) };
    const char *names[] = { "c1.W", "id", "scalar", "empty" };
    OK(c, mp_npz_save(c->ctx, path, names, t, 4));
    int64_t n = 0;
    char name[32];
    OK(c, mp_npz_count(c->ctx, path, &n));
    CHECK(c, n == 4);
    for (int64_t i = 0; i < 4; i++) {
        OK(c, mp_npz_name(c->ctx, path, i, name, sizeof name));
        CHECK(c, !strcmp(name, names[i]));
    }
    OK(c, mp_npz_name(c->ctx, path, 4, name, sizeof name));
    CHECK(c, !name[0]);
    FAILS(c, MP_USAGE, "the buffer 4", mp_npz_name(c->ctx, path, 0, name, 4));
    DLManagedTensor *m = NULL;
    OK(c, mp_npz_load(c->ctx, path, "c1.W", &m));
    const float *f = tensor_data(&m->dl_tensor);
    CHECK(c, m->dl_tensor.shape[1] == 3 && f[0] == 1 && f[1] == 3 && f[3] == 2 && f[5] == 6);
    m->deleter(m);
    OK(c, mp_npz_load(c->ctx, path, "id", &m));
    CHECK(c, !memcmp(m->dl_tensor.data, id, sizeof id));
    m->deleter(m);
    OK(c, mp_npz_load(c->ctx, path, "scalar", &m));
    CHECK(c, m->dl_tensor.ndim == 0 && *(float *)m->dl_tensor.data == 2);
    m->deleter(m);
    OK(c, mp_npz_load(c->ctx, path, "empty", &m));
    CHECK(c, m->dl_tensor.shape[0] == 0 && m->dl_tensor.shape[1] == 4);
    m->deleter(m);
    FAILS(c, MP_INVALID, "holds no array 'W'", mp_npz_load(c->ctx, path, "W", &m));
    OK(c, mp_npz_save(c->ctx, path, NULL, NULL, 0));
    OK(c, mp_npz_count(c->ctx, path, &n));
    CHECK(c, n == 0);
    t[1].dtype = (DLDataType){ kDLComplex, 64, 1 };
    FAILS(c, MP_INVALID, "id: elements of complex type", mp_npz_save(c->ctx, path, names, t, 4));
    OK(c, mp_npz_count(c->ctx, path, &n));      /* the archive that was there stays */
}

/* An entry deflated by hand: one block of stored bytes, which every inflater reads. */
static size_t deflated(unsigned char *out, const char *contents, size_t n)
{
    static const char name[] = "x.npy";
    unsigned char data[256];
    size_t packed = 5 + n;
    data[0] = 1;
    data[1] = (unsigned char)n;
    data[2] = (unsigned char)(n >> 8);
    data[3] = (unsigned char)~data[1];
    data[4] = (unsigned char)~data[2];
    memcpy(data + 5, contents, n);
    zip_written w = { zip_crc(0, contents, n), n, 0 };
    size_t local = zip_local_header(name, &w, out);
    memcpy(out + local, data, packed);
    size_t directory = local + packed, at = directory + zip_directory_entry(name, &w, out + directory);
    out[directory + 10] = 8;                            /* the method */
    memcpy(out + directory + 20, (uint32_t[]){ (uint32_t)packed }, 4);
    memcpy(out + directory + 24, (uint32_t[]){ (uint32_t)n }, 4);
    memcpy(out + directory + 42, (uint32_t[]){ 0 }, 4);
    return at + zip_end(1, directory, at - directory, out + at);
}

static void compressed_and_broken(check *c, const char *path)
{
    static const char dictionary[] = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2)}";
    char npy[128] = "\x93NUMPY\x01";
    npy[8] = sizeof dictionary - 1;
    memcpy(npy + 10, dictionary, sizeof dictionary - 1);
    size_t n = 10 + sizeof dictionary - 1;
    memcpy(npy + n, "\1\2\3\4", 4);
    unsigned char zip[1024];
    size_t size = deflated(zip, npy, n + 4);
    write_bytes(path, zip, size);
    DLManagedTensor *m = NULL;
    mp_status st = mp_npz_load(c->ctx, path, "x", &m);
    CHECK(c, st == MP_OK || st == MP_UNSUPPORTED);      /* a build without zlib says so */
    if (!st) {
        const uint8_t *x = m->dl_tensor.data;
        CHECK(c, x[0] == 1 && x[1] == 3 && x[2] == 2 && x[3] == 4);
        m->deleter(m);
    }
    for (size_t cut = 0; cut < size; cut++) {
        write_bytes(path, zip, cut);
        CHECK(c, mp_npz_load(c->ctx, path, "x", &m) == MP_INVALID);
    }
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            zip[i] ^= (unsigned char)(1 << bit);
            write_bytes(path, zip, size);
            m = NULL;
            if (!mp_npz_load(c->ctx, path, "x", &m))
                m->deleter(m);
            zip[i] ^= (unsigned char)(1 << bit);
        }
    }
    CHECK(c, zip_crc(0, "123456789", 9) == 0xcbf43926);
}

int main(void)
{
    check c = check_begin(2);
    char path[] = "npz-test-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    round_trip(&c, path);
    compressed_and_broken(&c, path);
    unlink(path);
    return check_end(&c);
}
