/* Code for GPUs as modules hold it (runtime/device_code.h): the CUDA C of all kernels and of the runtime's own, compiled by
 * NVRTC for one architecture or several. */
#ifndef MPC_CODEGEN_CUDA_IMAGE_H
#define MPC_CODEGEN_CUDA_IMAGE_H

#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/print.h"

typedef struct cuda_target {
    const char *const *arch;            /* sm_NN: a cubin; compute_NN: PTX */
    uint32_t n_arch;
    bool ptx_of_newest;                 /* for later GPUs */
    const char *name;                   /* of the source, for NVRTC's messages */
} cuda_target;

/* The bytes are malloc'ed. False, with a text in `log`, on failure. */
bool cuda_image_build(const nvrtc *n, arena *mem, const kplan *const *plans, uint32_t n_plans, const cuda_options *o, const cuda_target *t,
                      void **bytes, size_t *n_bytes, buf *log);

#endif
