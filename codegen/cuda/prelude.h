/* The text in front of all kernels: runtime/device_abi.h and prelude.cuh, taken in when the compiler is built. */
#ifndef MPC_CODEGEN_CUDA_PRELUDE_H
#define MPC_CODEGEN_CUDA_PRELUDE_H

const char *cuda_prelude(void);
/* The runtime's own kernels, for modules: runtime/device_control.h and runtime.cuh. */
const char *cuda_runtime_text(void);
/* Those that build pairs in a call, for modules whose programs do: runtime/device_sort.h and pairs.cuh. */
const char *cuda_pairs_text(void);

#endif
