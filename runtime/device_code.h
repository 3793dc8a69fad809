/*
 * Code for GPUs as it stands in a module, beside the description: what each kernel needs to be launched, and images of
 * all kernels, one for each architecture. One block of bytes, found in a shared library through MP_DEVICE_SYMBOL; a
 * compiler writes it with device_code_write, device_code_read checks every number in it before anything trusts it.
 *
 * The kernels are those of the description, in the order of their entries (desc_kernel.entry), then those that stand in for some of
 * them where a BLAS does their products: instead of the kernel `before` is launched, over all members of its one row as rows, then the
 * products are done, then `after` is launched as the kernel would be.
 */
#ifndef RUNTIME_DEVICE_CODE_H
#define RUNTIME_DEVICE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_DEVICE_SYMBOL "mp_device_v1"
#define DEVICE_CODE_MAGIC UINT32_C(0x4373706d)          /* "mpsC" */
enum { DEVICE_CODE_VERSION = 2 };
#define DEVICE_NONE UINT32_MAX

/* A size: a constant, or a slot of mp_kargs.dim. */
typedef struct device_size { int64_t value; uint32_t slot; } device_size;          /* slot DEVICE_NONE: value */

/* Memory of a launch, an array of rows. */
typedef enum device_rows { DEVICE_ONE_ROW, DEVICE_ROWS, DEVICE_MEMBERS } device_rows;
typedef struct device_own { uint32_t rows, element; device_size elems; } device_own;       /* element: bytes, 4 or 8 */

/* C (+)= A B for each of the kernel's rows, or, `sum`, C (+)= A^T B over the members of its one row. Sizes and strides in elements:
 * as a kernel plan's products have them. */
typedef struct device_operand { bool is_own; uint32_t id; device_size at; } device_operand;      /* a buffer of the program, or own */
typedef struct device_product {
    bool sum, accumulate, transposed;           /* transposed: of a sum, C is stored [n, m] */
    uint32_t element;                           /* bytes: 4 is f32, 8 is f64 */
    device_operand a, b, c;
    device_size m, n, k, batch, a_m, a_k, b_k, b_n, a_batch, b_batch, c_batch;
} device_product;
enum { DEVICE_PRODUCT_SIZES = 11 };             /* from m to c_batch */

typedef struct device_kernel {
    const char *rows, *piece;       /* functions; piece NULL: no fiber */
    uint32_t threads, rows_a_block, pieces_a_block;
    bool any_order;                 /* takes mp_device_launch.order */
    int64_t room_bytes, state_bytes;        /* -1: they follow from the dims, the function mp_sizes tells them */
    uint32_t n_products, n_own, before, after;      /* kernels: DEVICE_NONE where there is nothing to do */
    const device_product *products;
    const device_own *own;
} device_kernel;

typedef enum device_image_kind { DEVICE_CUBIN, DEVICE_PTX } device_image_kind;
typedef struct device_image {
    device_image_kind kind;
    uint32_t major, minor;
    bool exact;                     /* sm_90a: no other */
    const void *bytes;              /* PTX ends with a NUL that size counts */
    size_t size;
} device_image;

typedef struct device_code {
    uint32_t n_main, n_kernels, n_images;   /* n_main: those of the description */
    device_kernel *kernels;
    device_image *images;
} device_code;

/* The bytes, malloc'ed. False when there is no memory. */
bool device_code_write(const device_code *c, void **bytes, size_t *n_bytes);

/* Names and images point into `bytes`; the lists are one malloc'ed block, freed by free(out->kernels). `n_bytes` 0: as many as
 * the bytes say themselves. False: they are damaged or there is no memory. `n_main`: kernels of the description. Buffers and slots
 * of products are not checked here: they are a program's. */
bool device_code_read(const void *bytes, size_t n_bytes, uint64_t n_main, device_code *out);
/* How many bytes there are, as their head says; 0: it is no such head. */
size_t device_code_size(const void *bytes);

/* The image for a device: of cubins the one nearest below it of its major number, else PTX nearest below. NULL: none. */
const device_image *device_code_choose(const device_code *c, uint32_t major, uint32_t minor);

#endif
