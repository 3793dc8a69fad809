/* The text in front of all kernels: runtime/device_abi.h and prelude.cuh, taken in when the compiler is built. */
#ifndef MPC_CODEGEN_CUDA_PRELUDE_H
#define MPC_CODEGEN_CUDA_PRELUDE_H

const char *cuda_prelude(void);
/* The runtime's own kernels, for modules: runtime/device_control.h and runtime.cuh. */
const char *cuda_runtime_text(void);

#endif
