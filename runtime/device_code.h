/*
 * Code for GPUs as it stands in a module, beside the description: what each kernel needs to be launched, and images of
 * all kernels, one for each architecture. One block of bytes, found in a shared library through MP_DEVICE_SYMBOL; a
 * compiler writes it with device_code_write, device_code_read checks every number in it before anything trusts it.
 *
 * The kernels are those of the description, in the order of their entries (desc_kernel.entry).
 */
#ifndef RUNTIME_DEVICE_CODE_H
#define RUNTIME_DEVICE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_DEVICE_SYMBOL "mp_device_v1"
#define DEVICE_CODE_MAGIC UINT32_C(0x4373706d)          /* "mpsC" */
enum { DEVICE_CODE_VERSION = 1 };

typedef struct device_kernel {
    const char *rows, *piece;       /* functions; piece NULL: no fiber */
    uint32_t threads, rows_a_block, pieces_a_block;
    bool any_order;                 /* takes mp_device_launch.order */
    int64_t room_bytes, state_bytes;        /* -1: they follow from the dims, the function mp_sizes tells them */
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
    uint32_t n_kernels, n_images;
    device_kernel *kernels;
    device_image *images;
} device_code;

/* The bytes, malloc'ed. False when there is no memory. */
bool device_code_write(const device_code *c, void **bytes, size_t *n_bytes);

/* Names and images point into `bytes`; the lists are one malloc'ed block, freed by free(out->kernels). `n_bytes` 0: as many as
 * the bytes say themselves. False: they are damaged or there is no memory. */
bool device_code_read(const void *bytes, size_t n_bytes, uint64_t n_kernels, device_code *out);
/* How many bytes there are, as their head says; 0: it is no such head. */
size_t device_code_size(const void *bytes);

/* The image for a device: of cubins the one nearest below it of its major number, else PTX nearest below. NULL: none. */
const device_image *device_code_choose(const device_code *c, uint32_t major, uint32_t minor);

#endif
