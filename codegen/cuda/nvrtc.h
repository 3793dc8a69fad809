/* CUDA C to machine code by NVRTC, which is found at run time: nothing of CUDA is needed to build, and no GPU to compile.
 *
 * Looked for: the library named by the environment's MPC_NVRTC, libnvrtc.so.13, .12, and without a number, in the
 * loader's places and in /usr/local/cuda. It stays open for the life of the process. */
#ifndef MPC_CODEGEN_CUDA_NVRTC_H
#define MPC_CODEGEN_CUDA_NVRTC_H

#include "compiler/support/buf.h"

typedef struct nvrtc nvrtc;

/* NULL, with a line in err, when there is none. */
const nvrtc *nvrtc_open(nvrtc *room, char *err, size_t err_size);

struct nvrtc {
    void *library;
    int major, minor;
    int (*create)(void **program, const char *text, const char *name, int n, const char *const *headers, const char *const *names);
    int (*compile)(void *program, int n, const char *const *options);
    int (*destroy)(void **program);
    int (*log_size)(void *program, size_t *n);
    int (*log)(void *program, char *text);
    int (*ptx_size)(void *program, size_t *n);
    int (*ptx)(void *program, char *text);
    int (*cubin_size)(void *program, size_t *n);
    int (*cubin)(void *program, char *bytes);
    const char *(*error_text)(int result);
};

/* Is this an architecture: sm_80, sm_90a, compute_90 (PTX only)? */
bool nvrtc_is_arch(const char *arch);

typedef struct nvrtc_options {
    const char *arch;                   /* sm_NN, or compute_NN: PTX alone */
    bool ptx;                           /* PTX instead of a cubin */
    bool verbose;                       /* registers, spills and memory of each kernel go to the log */
} nvrtc_options;

/* False, with what NVRTC said in `log`, on failure. `log` (may be NULL) gets warnings, too. */
bool nvrtc_build(const nvrtc *n, const char *text, const char *name, const nvrtc_options *o, buf *out, buf *log);

#endif
