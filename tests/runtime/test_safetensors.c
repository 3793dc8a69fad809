/*
 * safetensors: what is written reads back; a file made elsewhere is read; cut or changed bytes do no harm.
 */
#include <unistd.h>

#include "check.h"
#include "runtime/tensor.h"

static DLTensor tensor_of(void *data, tensor_type type, int rank, int64_t *shape, int64_t *strides)
{
    return (DLTensor){ .data = data, .device = { kDLCPU, 0 }, .ndim = rank, .dtype = tensor_dtype(type), .shape = shape,
                       .strides = strides };
}

static size_t file_bytes_of(const char *path, unsigned char *out, size_t room)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(out, 1, room, f) : 0;
    if (f)
        fclose(f);
    return n;
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n)
        exit(1);
    fclose(f);
}

/* A file with this table and `n` bytes 0, 1, 2 ... behind it. */
static void write_table(const char *path, const char *table, size_t n)
{
    unsigned char bytes[1024] = { (unsigned char)strlen(table), (unsigned char)(strlen(table) >> 8) };
    memcpy(bytes + 8, table, strlen(table));
    for (size_t i = 0; i < n; i++)
        bytes[8 + strlen(table) + i] = (unsigned char)i;
    write_bytes(path, bytes, 8 + strlen(table) + n);
}

static void round_trip(check *c, const char *path)
{
    float w[6] = { 1, 2, 3, 4, 5, 6 };
    int64_t id[2] = { -7, (int64_t)1 << 50 };
    uint16_t half = 0x4000;
    uint8_t flag[3] = { 1, 0, 1 };
    int64_t s23[] = { 2, 3 }, columns[] = { 1, 2 }, s2[] = { 2 }, s3[] = { 3 }, s0[] = { 0, 4 };
    DLTensor t[5] = { tensor_of(flag, TENSOR_BOOL, 1, s3, NULL), tensor_of(w, TENSOR_F32, 2, s23, columns),
                      tensor_of(id, TENSOR_I64, 1, s2, NULL), tensor_of(&half, TENSOR_BF16, 0, NULL, NULL),
                      tensor_of(NULL, TENSOR_F64, 2, s0, NULL) };
    const char *names[] = { "keep", "c1.W", "a \"quoted\"\\ \n name", "scalar", "empty" };
    OK(c, mp_safetensors_save(c->ctx, path, names, t, 5));
    int64_t n = 0;
    OK(c, mp_safetensors_count(c->ctx, path, &n));
    CHECK(c, n == 5);
    char name[32];
    OK(c, mp_safetensors_name(c->ctx, path, 0, name, sizeof name));
    CHECK(c, !strcmp(name, names[2]));                  /* the widest elements come first */
    OK(c, mp_safetensors_name(c->ctx, path, 5, name, sizeof name));
    CHECK(c, !name[0]);
    FAILS(c, MP_USAGE, "the buffer 4", mp_safetensors_name(c->ctx, path, 0, name, 4));
    DLManagedTensor *m = NULL;
    OK(c, mp_safetensors_load(c->ctx, path, "c1.W", &m));
    const float *f = tensor_data(&m->dl_tensor);
    CHECK(c, m->dl_tensor.shape[1] == 3 && f[0] == 1 && f[1] == 3 && f[3] == 2 && f[5] == 6);
    m->deleter(m);
    OK(c, mp_safetensors_load(c->ctx, path, names[2], &m));
    CHECK(c, !memcmp(m->dl_tensor.data, id, sizeof id));
    m->deleter(m);
    OK(c, mp_safetensors_load(c->ctx, path, "scalar", &m));
    CHECK(c, m->dl_tensor.ndim == 0 && *(uint16_t *)m->dl_tensor.data == half && m->dl_tensor.dtype.code == kDLBfloat);
    m->deleter(m);
    OK(c, mp_safetensors_load(c->ctx, path, "keep", &m));
    CHECK(c, !memcmp(m->dl_tensor.data, flag, 3));
    m->deleter(m);
    OK(c, mp_safetensors_load(c->ctx, path, "empty", &m));
    CHECK(c, m->dl_tensor.shape[0] == 0 && m->dl_tensor.shape[1] == 4);
    m->deleter(m);
    FAILS(c, MP_INVALID, "holds no array 'W'", mp_safetensors_load(c->ctx, path, "W", &m));
    t[1].dtype = (DLDataType){ kDLComplex, 64, 1 };
    FAILS(c, MP_INVALID, "c1.W: elements of complex type", mp_safetensors_save(c->ctx, path, names, t, 5));
    OK(c, mp_safetensors_count(c->ctx, path, &n));      /* the file that was there stays */
    OK(c, mp_safetensors_save(c->ctx, path, NULL, NULL, 0));
    OK(c, mp_safetensors_count(c->ctx, path, &n));
    CHECK(c, n == 0);
}

static void from_elsewhere(check *c, const char *path)
{
    DLManagedTensor *m = NULL;
    write_table(path, " {\"__metadata__\": {\"format\": \"pt\", \"made\": \"x\"}, \"\\u00e9\\ud83d\\ude00\" :\n{\"shape\":[2],"
                      "\"data_offsets\":[1,3], \"dtype\":\"U8\"},\"odd\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],"
                      "\"data_offsets\":[0,1]}}  ", 3);
    OK(c, mp_safetensors_load(c->ctx, path, "\xc3\xa9\xf0\x9f\x98\x80", &m));
    CHECK(c, m && ((uint8_t *)m->dl_tensor.data)[0] == 1 && ((uint8_t *)m->dl_tensor.data)[1] == 2);
    if (m)
        m->deleter(m);
    FAILS(c, MP_UNSUPPORTED, "'odd' is of a type that is not read here", mp_safetensors_load(c->ctx, path, "odd", &m));
    static const struct { const char *table, *says; } wrong[] = {
        { "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "does not fit its shape" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}}", "does not fit its shape" },
        { "{\"x\":{\"dtype\":\"F64\",\"shape\":[4000000000,4000000000],\"data_offsets\":[0,0]}}", "does not fit its shape" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,1]}}", "does not fit its shape" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[1]}}", "an entry lacks a key" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", "not a list of sizes" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,1]}}", "not a list of sizes" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", "more axes" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":1}}", "a key that is none of" },
        { "{\"x\":[]}", "an entry is not an object" },
        { "{} {}", "something follows" },
        { "[]", "not an object" },
        { "{\"\\ud800\":{}}", "a name is missing" },
        { "{\"__metadata__\":{\"a\":{}}}", "not made of strings" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}", "a name is missing" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t n;
        write_table(path, wrong[i].table, 4);
        FAILS(c, MP_INVALID, wrong[i].says, mp_safetensors_count(c->ctx, path, &n));
    }
}

static void broken_bytes(check *c, const char *path)
{
    float w[2] = { 1, 2 };
    int64_t shape[] = { 2 }, n;
    DLTensor t = tensor_of(w, TENSOR_F32, 1, shape, NULL);
    OK(c, mp_safetensors_save(c->ctx, path, (const char *[]){ "x" }, &t, 1));
    unsigned char bytes[256];
    size_t size = file_bytes_of(path, bytes, sizeof bytes);
    DLManagedTensor *m = NULL;
    for (size_t cut = 0; cut < size; cut++) {
        write_bytes(path, bytes, cut);
        CHECK(c, mp_safetensors_load(c->ctx, path, "x", &m) == MP_INVALID);
    }
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            write_bytes(path, bytes, size);
            m = NULL;
            if (!mp_safetensors_load(c->ctx, path, "x", &m))
                m->deleter(m);
            mp_safetensors_count(c->ctx, path, &n);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
}

int main(void)
{
    check c = check_begin(2);
    char path[] = "safetensors-test-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    round_trip(&c, path);
    from_elsewhere(&c, path);
    broken_bytes(&c, path);
    unlink(path);
    return check_end(&c);
}
