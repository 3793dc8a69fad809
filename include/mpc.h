/*
 * mpc.h: the compiler. Text of layers in; modules to run at once, shared libraries, or any stage as text out.
 *
 *     mp_module *mod;
 *     if (mpc_compile_text(ctx, "gcn.mp", source, NULL, &mod) != MP_OK)
 *         fputs(mp_error_message(ctx), stderr);
 *
 * A compiled module is used like a loaded one (mp.h). Modules compiled in memory know their source: when a layer is
 * prepared, its dims have values, and the layer is compiled for exactly these, once for each set, and kept. What was
 * compiled is kept on disk, too, in $MPC_CACHE_DIR (empty: nowhere), $XDG_CACHE_HOME/mpc or ~/.cache/mpc, and found
 * there by text, options, dims, build of the compiler and CPU; a hit opens no LLVM.
 *
 * Thread rule: any function from any thread; one compilation runs on the thread that called.
 */
#ifndef MPC_H
#define MPC_H

#include "mp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Set all to zero, then what is wanted. Strings and arrays are borrowed for the call. */
typedef struct mpc_options {
    size_t size;                    /* sizeof(mpc_options); 0 means the fields of version 0.1, i.e. these */
    int level;                      /* MPC_O0 ... MPC_O3; 0: MPC_O3 */
    mp_type real;                   /* what `real` is: MP_F32 (0), MP_F64, MP_F16, MP_BF16 */
    const char *layer;              /* only this one; NULL: all */
    const char *const *defines;     /* "dim=value": static arguments made constants */
    int n_defines;
    const char *const *arch;        /* CPUs by name ("native", "x86-64-v3" ...), and GPUs ("sm_80"); several: variants in one
                                       library. None: native; sm_80 and sm_90 */
    int n_arch;
    int warnings;                   /* MPC_WARN_ALL | MPC_WARN_ERROR */
    int verify;                     /* check the IR after every pass */
    int no_cache;                   /* compile anew, and keep nothing on disk */
    int debug;                      /* lines of the source in the code, for debuggers and profilers */
    const char *grad;               /* gradients of: "all" (NULL, too), "params", "none", or names with commas between */
    int targets;                    /* of libraries: MPC_TARGET_CPU | MPC_TARGET_CUDA; 0: CPU */
} mpc_options;

/* In memory the context decides: in one for a GPU, layers are compiled for it by NVRTC, which is looked for then. */
enum { MPC_TARGET_CPU = 1, MPC_TARGET_CUDA = 2 };

enum { MPC_O0 = 1, MPC_O1 = 2, MPC_O2 = 3, MPC_O3 = 4 };
enum { MPC_WARN_ALL = 1, MPC_WARN_ERROR = 2 };

/* Compiles in memory. MP_INVALID: the program is wrong; the message holds all diagnostics as a terminal would show them. */
MP_API mp_status mpc_compile_file(mp_context *ctx, const char *path, const mpc_options *options, mp_module **out);
MP_API mp_status mpc_compile_text(mp_context *ctx, const char *name, const char *text, const mpc_options *options, mp_module **out);

/* What a stage made. */
typedef enum mpc_emit_kind {
    MPC_EMIT_TOKENS = 0, MPC_EMIT_AST = 1, MPC_EMIT_IR = 2, MPC_EMIT_PLAN = 3, MPC_EMIT_LLVM = 4, MPC_EMIT_ASM = 5,
    MPC_EMIT_OBJ = 6, MPC_EMIT_SO = 7, MPC_EMIT_HEADER = 8, MPC_EMIT_DOT = 9, MPC_EMIT_EXPLAIN = 10,
    MPC_EMIT_CUDA = 11, MPC_EMIT_PTX = 12, MPC_EMIT_CUBIN = 13      /* the last two by NVRTC, for the first arch given, sm_80 */
} mpc_emit_kind;

/* Compiles as far as that takes and returns the bytes (text ends with a NUL that size does not count); freed with
 * mpc_free. `stage`: for MPC_EMIT_IR the pass after which ("hoist"), or NULL for after all; "lower" for before the
 * first. Not MPC_EMIT_SO. */
MP_API mp_status mpc_emit(mp_context *ctx, const char *name, const char *text, const mpc_options *options, mpc_emit_kind kind,
                          const char *stage, char **bytes, size_t *size);
MP_API void mpc_free(void *bytes);

/* Writes the shared library `path`: whole or not at all. */
MP_API mp_status mpc_compile_library(mp_context *ctx, const char *name, const char *text, const mpc_options *options, const char *path);

/* The text in the one layout. MP_INVALID when it does not parse. */
MP_API mp_status mpc_format(mp_context *ctx, const char *name, const char *text, char **out, size_t *size);

/* Warnings of the thread's last compilation that succeeded, as a terminal would show them; "" without. */
MP_API const char *mpc_warnings(const mp_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
