/*
 * mp.h: the runtime of mpc. Graphs, compiled layers, forward and backward passes.
 *
 *     mp_context *ctx; mp_module *mod; mp_graph *g; mp_layer *gat; mp_tape *tape = NULL;
 *     mp_context_create(&(mp_context_options){ .threads = 2 }, &ctx);
 *     mp_graph_from_coo(ctx, n, n, n_edges, src, dst, &g);
 *     mp_module_load(ctx, "gat.so", &mod);
 *     mp_layer_create(mod, "GAT", (mp_static[]){ MP_DIM("heads", 8) }, 1, &gat);
 *     mp_bind(gat, "x", &x, 0);  mp_bind(gat, "W", &W, 0);  mp_bind(gat, "g", &y, 0);
 *     mp_forward(gat, g);
 *     mp_bind_grad(gat, "g", &dy, 0);  mp_bind_grad(gat, "W", &dW, 0);
 *     mp_forward_train(gat, g, seed, &tape);  mp_backward(gat, tape);
 *
 * Every call that can fail returns an mp_status; results come through the last parameter and are untouched on an
 * error. mp_error_message(ctx) then says what is wrong. Handles are opaque. What is created is destroyed by the
 * function of the same name; to destroy NULL does nothing. Objects keep their context alive: they may be destroyed in
 * any order.
 *
 * Threads. A context, a module and a graph may be shared by threads. A layer and its tapes belong to one thread at a
 * time.
 *
 * Tensors are DLPack's DLTensor: `strides` NULL means row-major and compact, strides are counted in elements, and
 * `byte_offset` is honoured. Types: float 64, 32, 16; bfloat 16; for an index int 32 or 64; for a bool uint 8 or
 * DLPack's bool (code 6).
 */
#ifndef MP_H
#define MP_H

#include <stddef.h>
#include <stdint.h>
#include <dlpack/dlpack.h>

#define MP_VERSION_MAJOR 0
#define MP_VERSION_MINOR 1
#define MP_VERSION_PATCH 0
#define MP_VERSION_NUMBER (MP_VERSION_MAJOR * 10000 + MP_VERSION_MINOR * 100 + MP_VERSION_PATCH)

#if defined(_WIN32)
#define MP_API
#else
#define MP_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that runs, as MP_VERSION_NUMBER is of this header. */
MP_API int mp_version(void);

/* ---- Status and messages ----------------------------------------------------------------------------------------- */

/* The numbers are those of the command's exit status, as far as it has them. */
typedef enum mp_status {
    MP_OK = 0,
    MP_INVALID = 1,         /* the program or its data is wrong: a shape, a range, a file's contents */
    MP_USAGE = 2,           /* the call is wrong: NULL where none may be, an unknown flag, a call out of order */
    MP_SYSTEM = 3,          /* memory, disk, threads, or a device failed */
    MP_UNSUPPORTED = 4      /* right, but not what this build or this machine can do */
} mp_status;

typedef struct mp_context mp_context;   /* threads, memory, messages; shared by threads */
typedef struct mp_module mp_module;     /* compiled layers; shared by threads */
typedef struct mp_graph mp_graph;       /* an immutable graph; shared by threads */
typedef struct mp_layer mp_layer;       /* one layer with its bound tensors; one thread at a time */
typedef struct mp_tape mp_tape;         /* what one forward keeps for its backward; goes with its layer */

/* "ok", "invalid", "usage", "system", "unsupported"; "?" for another number. A constant. */
MP_API const char *mp_status_name(mp_status status);

/* What the last failed call of this thread on this context, or on an object of it, had to say: a sentence, or several
 * lines for a program with several errors. "" when there was none. Valid until this thread's next call that fails on
 * the context. With NULL (the context could not be created) it is a fixed text. */
MP_API const char *mp_error_message(const mp_context *ctx);

/* ---- Context ----------------------------------------------------------------------------------------------------- */

/* Memory of the caller's. ptr NULL: allocate new_size bytes aligned to `align` (a power of two). new_size 0: free ptr,
 * which had old_size bytes. Otherwise: resize, keeping the contents. Returns NULL when there is no memory; then ptr
 * stays as it was. Called by several threads at once. */
typedef void *(*mp_alloc_fn)(void *ud, void *ptr, size_t old_size, size_t new_size, size_t align);

/* A loop of the caller's: call part(arg, p, t) exactly once for each p in 0..n_parts-1 and return when all are done.
 * Calls that run at the same time must have different t in 0..threads-1. Results do not depend on who runs what. */
typedef void (*mp_part_fn)(void *arg, int64_t part, int thread);
typedef void (*mp_parallel_for_fn)(void *ud, int64_t n_parts, mp_part_fn part, void *arg);

/* Notes for people (a variant chosen, a cache rejected); never needed. Called by several threads at once. */
typedef void (*mp_log_fn)(void *ud, const char *text);

/* Set all to zero, then what is wanted. */
typedef struct mp_context_options {
    size_t size;                        /* sizeof(mp_context_options); 0 means the fields of version 0.1, i.e. these */
    int threads;                        /* 0: as many as cores are available to the process; at most 1024 */
    DLDevice device;                    /* {kDLCPU, 0} or {kDLCUDA, i}; all zero means the CPU */
    mp_alloc_fn alloc;                  /* NULL: the C library's, large blocks in huge pages where there are any */
    void *alloc_ud;
    mp_parallel_for_fn parallel_for;    /* NULL: the context's own threads, made at the first need */
    void *parallel_for_ud;
    mp_log_fn log;                      /* NULL: nothing is said */
    void *log_ud;
    mp_alloc_fn device_alloc;           /* memory of the GPU; NULL: the driver's pool. ptr and result are of the device */
    void *device_alloc_ud;
    int tf32;                           /* 1: products of float32 by cuBLAS may round their operands to TF32 (10 bits): faster */
} mp_context_options;

/* `options` NULL means all zero; it is copied, what it points to is borrowed until the context is gone. */
MP_API mp_status mp_context_create(const mp_context_options *options, mp_context **out);
/* Gives up the caller's hold. The context goes when the last object made in it has gone, too. */
MP_API void mp_context_destroy(mp_context *ctx);

MP_API int mp_context_threads(const mp_context *ctx);
/* Bytes held now by the context and all that was made in it, and the most since the last mp_context_reset_peak.
 * Either pointer may be NULL. */
MP_API void mp_context_memory(const mp_context *ctx, uint64_t *now, uint64_t *peak);
MP_API void mp_context_reset_peak(mp_context *ctx);

/* ---- GPUs -------------------------------------------------------------------------------------------------------- */

/* A context for {kDLCUDA, i} runs layers on that GPU. The driver is looked for when something first needs it:
 * MP_UNSUPPORTED, with a message that says what is missing, where there is none. It works in the device's primary
 * context, as the CUDA runtime and PyTorch do, and puts everything on one stream.
 *
 * Tensors may lie in the GPU's memory or the host's. Those of the host are copied at each call (once with MP_CONST), and
 * a call that writes to one waits for it; where all are the device's, a call on a prepared layer neither allocates nor
 * waits, and may be captured in a CUDA graph. Index and bool arrays are checked when they are bound, wherever they lie. */

/* The stream (CUstream, cudaStream_t) of all later calls; NULL, to begin with, is the default stream. What was put on the
 * one before comes first, unless one of the two is being captured. */
MP_API mp_status mp_set_stream(mp_context *ctx, void *stream);
/* Waits for the stream. On the CPU there is nothing to wait for. */
MP_API mp_status mp_synchronize(mp_context *ctx);
/* Bytes of the GPU's memory, as mp_context_memory tells those of the host; mp_context_reset_peak is for both. */
MP_API void mp_device_memory(const mp_context *ctx, uint64_t *now, uint64_t *peak);
/* A copy of a tensor on the host ({kDLCPU, 0}) or the context's GPU, compact, freed by its deleter. */
MP_API mp_status mp_tensor_to(mp_context *ctx, const DLTensor *t, DLDevice device, DLManagedTensor **out);

/* ---- Graphs ------------------------------------------------------------------------------------------------------ */

/* An edge e goes from src[e] to dst[e]. Fewer than 2^31 nodes a side; any number of edges. Repeated edges and
 * self-loops are kept. n_src == n_dst: a square graph, whose sources and destinations are the same nodes. n_dst <
 * n_src: a block, whose first n_dst source nodes are the destination nodes, or two sides of their own (users and
 * items), as the layer says; n_dst > n_src: two sides of their own.
 *
 * All arrays are copied and checked once: ranges, sizes, order; a message names the array, the position and the
 * value. The walk orders are built at the first need, once, whichever thread asks first. */

/* Edges as two lists. NULL lists are allowed for no edges. */
MP_API mp_status mp_graph_from_coo(mp_context *ctx, int64_t n_src, int64_t n_dst, int64_t n_edges,
                                   const int32_t *src, const int32_t *dst, mp_graph **out);
MP_API mp_status mp_graph_from_coo64(mp_context *ctx, int64_t n_src, int64_t n_dst, int64_t n_edges,
                                     const int64_t *src, const int64_t *dst, mp_graph **out);

typedef enum mp_graph_format {
    MP_GRAPH_COO = 0,           /* src[n_edges], dst[n_edges] */
    MP_GRAPH_CSR_BY_DST = 1,    /* ptr[n_dst + 1], src[n_edges]: the sources of each destination */
    MP_GRAPH_CSR_BY_SRC = 2,    /* ptr[n_src + 1], dst[n_edges]: the destinations of each source */
    MP_GRAPH_COMPLETE = 3       /* no arrays: all n_src * n_dst edges, edge i * n_dst + j goes from i to j */
} mp_graph_format;

/* Everything a graph can be given. Set all to zero, then what applies. Edges of a CSR are numbered in its order. */
typedef struct mp_graph_desc {
    size_t size;                /* sizeof(mp_graph_desc); 0 means the fields of version 0.1, i.e. these */
    mp_graph_format format;
    int index_bits;             /* of src, dst, ptr, graph_ptr, in_degree and out_degree: 32 or 64; 0 means 32 */
    int64_t n_src, n_dst;
    int64_t n_edges;            /* of a complete graph: 0 or n_src * n_dst */
    const void *src, *dst;
    const void *ptr;
    const void *graph_ptr;      /* NULL, or [n_graphs + 1]: a batch; the nodes graph_ptr[k] .. graph_ptr[k+1]-1 of a */
    int64_t n_graphs;           /*   square graph are graph k's. Starts with 0, ends with n; no edge between graphs. */
    const void *in_degree;      /* NULL, or [n_src]: of every source node in the whole graph that a block is part of */
    const void *out_degree;     /* NULL, or [n_src] */
} mp_graph_desc;

MP_API mp_status mp_graph_create(mp_context *ctx, const mp_graph_desc *desc, mp_graph **out);

/* A square or rectangular matrix a[n_src, n_dst] of any real, integer or bool type: a[i][j] != 0 is an edge i -> j;
 * edges in row order. NaN is an edge. */
MP_API mp_status mp_graph_from_dense(mp_context *ctx, const DLTensor *a, mp_graph **out);
/* The elements of `a` that are edges, in the same order, into weights[n_edges], a floating tensor of the caller's. */
MP_API mp_status mp_dense_weights(mp_context *ctx, const DLTensor *a, const DLTensor *weights);

/* Several square graphs side by side as one batch, in order: nodes and edges of each follow those of the one before;
 * a batch among them brings all its graphs. */
MP_API mp_status mp_graph_batch(mp_context *ctx, mp_graph *const *graphs, int64_t n, mp_graph **out);

/* A block of sampled neighbours: its destinations are nodes[0..n_nodes), which must be distinct, each with at most
 * `fanout` (< 0: all) of its incoming edges in `g`, chosen without replacement by `seed`, the same on every machine.
 * The block knows the degrees that its source nodes have in `g`. src_nodes[n_src of the block] and
 * edge_ids[n_edges], int64, tell the original nodes (`nodes` first) and edges; either may be NULL. The caller frees
 * them by their deleter. */
MP_API mp_status mp_graph_sample(mp_graph *g, const int64_t *nodes, int64_t n_nodes, int64_t fanout, uint64_t seed,
                                 mp_graph **block, DLManagedTensor **src_nodes, DLManagedTensor **edge_ids);

/* What `mpc run --graph` takes: a folder, a MatrixMarket file, an edge list, complete:N, rmat:SCALE,EDGES,SEED,
 * er:N,EDGES,SEED, karate. `weights` (may be NULL) gets the edges' weights, float64[n_edges], or NULL if there are
 * none; freed by its deleter. */
MP_API mp_status mp_graph_read(mp_context *ctx, const char *spec, mp_graph **out, DLManagedTensor **weights);

/* Gives up the caller's hold; tapes and prepared layers keep what they need. */
MP_API void mp_graph_destroy(mp_graph *g);

MP_API int64_t mp_graph_num_src(const mp_graph *g);
MP_API int64_t mp_graph_num_dst(const mp_graph *g);
MP_API int64_t mp_graph_num_edges(const mp_graph *g);
MP_API int64_t mp_graph_num_graphs(const mp_graph *g);
/* The edge list as given (or as made, for a complete graph), into arrays of n_edges of the caller's. */
MP_API mp_status mp_graph_edges(mp_graph *g, int64_t *src, int64_t *dst);
/* The graph's own order, in which kernels walk: order[k] is the place in the edge list of the k-th edge walked. By
 * destination, in edge order within each. An array of n_edges of the caller's. */
MP_API mp_status mp_graph_edge_order(mp_graph *g, int64_t *order);

/* ---- Modules and layers ------------------------------------------------------------------------------------------ */

/* A shared library that mpc wrote. It is checked (ABI version, target variants) before it is trusted. MP_INVALID: not
 * such a file; MP_UNSUPPORTED: of another ABI, or for other machines. */
MP_API mp_status mp_module_load(mp_context *ctx, const char *path, mp_module **out);
/* Gives up the caller's hold; layers keep their module. */
MP_API void mp_module_destroy(mp_module *mod);
MP_API int mp_module_num_layers(const mp_module *mod);
MP_API const char *mp_module_layer_name(const mp_module *mod, int i);  /* NULL past the end; lives with the module */

/* A static argument's value. What the shapes of bound tensors determine may stay open; defaults apply to the rest. */
typedef struct mp_static {
    const char *name;
    int kind;               /* MP_STATIC_DIM or MP_STATIC_REAL */
    int64_t dim;
    double real;
} mp_static;
enum { MP_STATIC_DIM = 0, MP_STATIC_REAL = 1 };
#define MP_DIM(name, value) { (name), MP_STATIC_DIM, (value), 0.0 }
#define MP_REAL(name, value) { (name), MP_STATIC_REAL, 0, (value) }

/* `name` NULL: the module's last layer. `statics` is copied. */
MP_API mp_status mp_layer_create(mp_module *mod, const char *name, const mp_static *statics, int n_statics, mp_layer **out);
MP_API void mp_layer_destroy(mp_layer *layer);

/* Flags of mp_bind and mp_bind_grad */
enum {
    MP_CONST = 1,           /* the tensor's contents never change: it may be copied, rearranged, precomputed from */
    MP_WALK_ORDER = 2,      /* of an edge value: its rows are in the graph's order (mp_graph_edge_order) */
    MP_ACCUMULATE = 4       /* of a gradient: add to what is there instead of overwriting */
};

/* Binds an input, a param ("c1.W" of an instance) or an output. The tensor is checked and borrowed: its memory must
 * stay until it is bound again, bound to NULL (unbound), or the layer is gone; floats are read at each call. Only the
 * memory is borrowed, the DLTensor struct and its shape are copied. An index or bool array is checked and copied: to
 * change one, bind again. Rank is that of the value plus one for its rows (none for param and global values). An
 * output that is not bound lies in memory of the layer's, see mp_output. Floats of another width are converted at each
 * call (once with MP_CONST), strided tensors are packed likewise. */
MP_API mp_status mp_bind(mp_layer *layer, const char *name, const DLTensor *tensor, unsigned flags);

/* Binds the gradient of a floating input or param: a buffer that mp_backward writes, or adds to with MP_ACCUMULATE. What
 * has none is not computed. Or binds the cotangent of an output, which mp_backward reads; an output without one counts
 * as zero, except that if no output has one, all are ones. Shapes are those of the values; rules as for mp_bind. */
MP_API mp_status mp_bind_grad(mp_layer *layer, const char *name, const DLTensor *tensor, unsigned flags);

/* Settles what depends on the graph and the bound shapes: dims, row counts, choice among variants, workspace, pairs of
 * (node, relation), copies in walk order. It may allocate, the calls after it do not. Optional: the first call on a
 * graph does it; so does the first call after a bind that changes a shape. */
MP_API mp_status mp_prepare(mp_layer *layer, mp_graph *g);

/* The inference pass: `training` is false, dropout the identity. Outputs are untouched on an error. */
MP_API mp_status mp_forward(mp_layer *layer, mp_graph *g);

/* The training pass. What the backward needs goes into *tape: NULL makes one, otherwise the memory is used again (a tape
 * of the same layer). `seed` is dropout's. One layer may be called several times, with a tape each, before its
 * backwards. */
MP_API mp_status mp_forward_train(mp_layer *layer, mp_graph *g, uint64_t seed, mp_tape **tape);

/* From the cotangents of the outputs to the bound gradients. Inputs and outputs that reflection calls `saved` must not
 * have changed since the forward. It may be called again on the same tape until the tape's next forward. */
MP_API mp_status mp_backward(mp_layer *layer, mp_tape *tape);
MP_API void mp_tape_destroy(mp_tape *tape);

/* An output as of the last forward: `out` is filled in; its memory is the bound tensor's, or the layer's until its next
 * call or destruction. MP_USAGE before the first forward. out->shape lives with the layer. */
MP_API mp_status mp_output(mp_layer *layer, const char *name, DLTensor *out);

/* Workspace of the caller's for mp_forward, mp_forward_train and mp_backward: aligned to 64 bytes, of at least
 * mp_workspace_bytes; borrowed until set again. NULL: the layer's own. */
MP_API mp_status mp_set_workspace(mp_layer *layer, void *memory, size_t bytes);

/* Derivatives of an `iterate` need its states. Where those of all steps would take more than this (default: 1 GiB), every
 * few alone are kept, and the steps between are run a second time. For tapes and for workspaces, each by itself. */
MP_API mp_status mp_set_state_memory(mp_layer *layer, size_t bytes);

/* ---- Reflection -------------------------------------------------------------------------------------------------- */

typedef enum mp_role { MP_INPUT = 0, MP_PARAM = 1, MP_OUTPUT = 2 } mp_role;

typedef enum mp_domain {
    MP_DOMAIN_EDGE = 0, MP_DOMAIN_NODE = 1, MP_DOMAIN_SRC = 2, MP_DOMAIN_DST = 3, MP_DOMAIN_GRAPH = 4,
    MP_DOMAIN_GLOBAL = 5, MP_DOMAIN_PARAM = 6
} mp_domain;

typedef enum mp_type { MP_F32 = 0, MP_F64 = 1, MP_F16 = 2, MP_BF16 = 3, MP_INDEX = 4, MP_BOOL = 5 } mp_type;

typedef enum mp_init_kind {
    MP_INIT_ZEROS = 0, MP_INIT_ONES = 1, MP_INIT_CONSTANT = 2, MP_INIT_UNIFORM = 3, MP_INIT_NORMAL = 4,
    MP_INIT_GLOROT_UNIFORM = 5, MP_INIT_GLOROT_NORMAL = 6, MP_INIT_KAIMING_UNIFORM = 7, MP_INIT_KAIMING_NORMAL = 8
} mp_init_kind;

/* constant(a), uniform(a, b), normal(a): a is the standard deviation; the others have none. Fan-in is the first axis,
 * fan-out the product of the others; glorot: variance 2 / (in + out), kaiming: 2 / in. */
typedef struct mp_init {
    mp_init_kind kind;
    double a, b;
} mp_init;

enum { MP_MAX_RANK = 4 };

/* Set `size`, the call fills in the rest. Strings live as long as the layer. */
typedef struct mp_value_info {
    size_t size;                        /* sizeof(mp_value_info) */
    const char *name;
    mp_role role;
    mp_domain domain;
    mp_type type;                       /* as compiled: what arrays are converted to, and what outputs have */
    int saved;                          /* the backward reads the bound tensor: unchanged until then */
    int differentiable;                 /* mp_bind_grad takes it (of an output: as a cotangent) */
    int none;                           /* of an index: -1 is allowed */
    int rank;                           /* of the value, without rows */
    const char *dims[MP_MAX_RANK];      /* symbolic, e.g. "heads*out" */
    int64_t shape[MP_MAX_RANK];         /* -1 where still open */
    const char *range;                  /* of an index(R): "R"; else NULL */
    int64_t range_value;                /* R, or -1 where still open */
    int64_t rows;                       /* for the graph last prepared; -1 before; 1 for global and param */
    mp_init init;                       /* of a param */
} mp_value_info;

MP_API const char *mp_layer_name(const mp_layer *layer);
MP_API int mp_layer_count(const mp_layer *layer, mp_role role);
/* In the order of the source text. MP_USAGE past the end. */
MP_API mp_status mp_layer_value(const mp_layer *layer, mp_role role, int i, mp_value_info *info);
/* By name, of any role. MP_INVALID, with a proposal, when there is none. */
MP_API mp_status mp_layer_find(const mp_layer *layer, const char *name, mp_value_info *info);

/* Static arguments: their values as far as they are settled. */
typedef struct mp_static_info {
    size_t size;
    const char *name;
    int kind;               /* MP_STATIC_DIM or MP_STATIC_REAL */
    int settled;            /* by the compiler (-D), by the caller, by a bound shape, or by default */
    int64_t dim;
    double real;
} mp_static_info;
MP_API int mp_layer_num_statics(const mp_layer *layer);
MP_API mp_status mp_layer_static(const mp_layer *layer, int i, mp_static_info *info);

/* Bytes of workspace (of the largest of the passes), and of a tape, on this graph with what is bound. Prepares. */
MP_API mp_status mp_workspace_bytes(mp_layer *layer, mp_graph *g, size_t *bytes);
MP_API mp_status mp_tape_bytes(mp_layer *layer, mp_graph *g, size_t *bytes);

/* What the iterations of the last forward reached, in the order of the source; a state's name, the steps done, and
 * the largest change of an element of it in the last step. */
typedef struct mp_iteration {
    size_t size;
    const char *name;
    int64_t steps;
    double change;
} mp_iteration;
MP_API int mp_layer_num_iterations(const mp_layer *layer);
MP_API mp_status mp_layer_iteration(const mp_layer *layer, int i, mp_iteration *info);

/* ---- Random numbers and initialisation --------------------------------------------------------------------------- */

/* Philox 4x32-10: the element's place, `seed` and `stream` (a number of the caller's, one a tensor) determine the
 * value on every machine. Floating tensors of any strides on the CPU, read as row-major for the place. */
MP_API mp_status mp_fill_init(mp_context *ctx, const DLTensor *t, const mp_init *init, uint64_t seed, uint64_t stream);
MP_API mp_status mp_fill_normal(mp_context *ctx, const DLTensor *t, uint64_t seed, uint64_t stream);
MP_API mp_status mp_fill_uniform(mp_context *ctx, const DLTensor *t, double lo, double hi, uint64_t seed, uint64_t stream);
/* Integers of 0..range-1 into an int32 or int64 tensor; range >= 1. */
MP_API mp_status mp_fill_index(mp_context *ctx, const DLTensor *t, int64_t range, uint64_t seed, uint64_t stream);

/* ---- Training ---------------------------------------------------------------------------------------------------- */

/* One step on one param. All tensors have the param's shape and are compact, on the CPU, float32 or float64 alike. */
typedef struct mp_sgd {
    double lr, momentum, weight_decay;  /* weight_decay is added to the gradient */
    int nesterov;
} mp_sgd;
/* `velocity` starts as zeros and is kept by the caller; NULL without momentum. */
MP_API mp_status mp_sgd_step(mp_context *ctx, const mp_sgd *o, const DLTensor *param, const DLTensor *grad,
                             const DLTensor *velocity);

typedef struct mp_adam {
    double lr, beta1, beta2, eps, weight_decay;
    int decoupled;                      /* AdamW: the decay acts on the param, not through the gradient */
} mp_adam;
/* The usual: lr 1e-3, betas 0.9 and 0.999, eps 1e-8. */
#define MP_ADAM_DEFAULT { 1e-3, 0.9, 0.999, 1e-8, 0.0, 0 }
/* `m` and `v` start as zeros and are kept by the caller; `step` counts from 1. */
MP_API mp_status mp_adam_step(mp_context *ctx, const mp_adam *o, int64_t step, const DLTensor *param,
                              const DLTensor *grad, const DLTensor *m, const DLTensor *v);

/* The Euclidean norm of all n gradients together, into *norm (may be NULL), and, where it is above max_norm, all of them
 * scaled down to it. float32 or float64, compact, on the CPU. */
MP_API mp_status mp_clip_grad_norm(mp_context *ctx, const DLTensor *grads, int64_t n, double max_norm, double *norm);

/* All params of a layer: values, gradients, and what an optimiser keeps of them. A training loop is then
 *
 *     mp_params_create(layer, seed, &params);
 *     for each step:  mp_forward_train(layer, g, seed, &tape);  mp_backward(layer, tape);  mp_params_adam(params, &adam);
 */
typedef struct mp_params mp_params;

/* Allocates all params, lets them start as declared (the values that `mpc run --seed` gives them), and binds them and
 * their gradients to the layer. float64 for params of that type, else float32. Bind the inputs first, or give all static
 * arguments: MP_USAGE where a shape is not settled. */
MP_API mp_status mp_params_create(mp_layer *layer, uint64_t seed, mp_params **out);
/* No layer that they are bound to may be called afterwards, until others are bound. */
MP_API void mp_params_destroy(mp_params *p);
/* Binds them to another layer that has params of these names (one for validation, say), with their gradients or without. */
MP_API mp_status mp_params_bind(mp_params *p, mp_layer *layer, int gradients);

MP_API int64_t mp_params_count(const mp_params *p);
MP_API int64_t mp_params_elements(const mp_params *p);         /* of all of them together */
/* Each of the results may be NULL. They live with the params; `grad` has data NULL where the param has none. */
MP_API mp_status mp_params_get(const mp_params *p, int64_t i, const char **name, DLTensor *value, DLTensor *grad);

/* The optimiser's weight_decay is multiplied by `factor` (1 to begin with) for the param of that name; "c1.*": for all
 * whose names begin so. MP_INVALID when there is none. */
MP_API mp_status mp_params_set_decay(mp_params *p, const char *name, double factor);
MP_API mp_status mp_params_clip(mp_params *p, double max_norm, double *norm);      /* mp_clip_grad_norm of all */
MP_API mp_status mp_params_sgd(mp_params *p, const mp_sgd *o);                     /* a step of all */
MP_API mp_status mp_params_adam(mp_params *p, const mp_adam *o);                   /* counts its steps */

/* By the path's end: .npz or .safetensors. To load takes an array for each param, of its shape and any floating type;
 * the file may hold more. On an error nothing is changed. */
MP_API mp_status mp_params_save(const mp_params *p, const char *path);
MP_API mp_status mp_params_load(mp_params *p, const char *path);

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* NumPy's .npy, versions 1 to 3: float 2 4 8, int and uint 1 2 4 8, bool; little-endian; C or Fortran order. The tensor
 * may be strided; it lies in memory of the context's, or in the mapped file. Freed by t->deleter(t). */
MP_API mp_status mp_npy_load(mp_context *ctx, const char *path, DLManagedTensor **out);
/* Any strides; bfloat16 is written as float32, which npy has. Written beside and then renamed: never a partial file. */
MP_API mp_status mp_npy_save(mp_context *ctx, const char *path, const DLTensor *t);

/* An archive of arrays. `name` is the array's name without ".npy". */
MP_API mp_status mp_npz_load(mp_context *ctx, const char *path, const char *name, DLManagedTensor **out);
/* The number of arrays in the archive, and the name of array i into a buffer of the caller's ("" past the end). */
MP_API mp_status mp_npz_count(mp_context *ctx, const char *path, int64_t *n);
MP_API mp_status mp_npz_name(mp_context *ctx, const char *path, int64_t i, char *name, size_t size);
MP_API mp_status mp_npz_save(mp_context *ctx, const char *path, const char *const *names, const DLTensor *tensors, int64_t n);

/* The same for safetensors. Any strides; all types that DLTensors have here. */
MP_API mp_status mp_safetensors_load(mp_context *ctx, const char *path, const char *name, DLManagedTensor **out);
MP_API mp_status mp_safetensors_count(mp_context *ctx, const char *path, int64_t *n);
MP_API mp_status mp_safetensors_name(mp_context *ctx, const char *path, int64_t i, char *name, size_t size);
MP_API mp_status mp_safetensors_save(mp_context *ctx, const char *path, const char *const *names, const DLTensor *tensors,
                                     int64_t n);

#ifdef __cplusplus
}
#endif
#endif
