/* Data for a layer from the command line: the graph, arrays of its folder and of --in, weights of graph files, and
 * what is left filled by initialisers and random numbers. */
#ifndef MPC_DRIVER_BIND_DATA_H
#define MPC_DRIVER_BIND_DATA_H

#include "compiler/driver/options.h"
#include "mp.h"

typedef struct bound_data {
    mp_context *ctx;
    mp_graph *graph;
    DLManagedTensor **arrays;       /* by input, in the order of the source text; the layer borrows them */
    uint32_t n_arrays;
    DLManagedTensor **gradients;    /* by input */
    DLManagedTensor **cotangents;   /* by output */
    uint32_t n_outputs;
} bound_data;

/* Reads and binds everything; `out` is to be freed after the layer, on failure, too. The message is the context's. */
mp_status bind_data(mp_context *ctx, mp_layer *layer, const cli_options *o, bound_data *out);
/* The same on a graph that is there already; it is taken over, on failure, too. */
mp_status bind_data_on(mp_context *ctx, mp_layer *layer, const cli_options *o, mp_graph *g, bound_data *out);
/* The cotangent of an output from a file; room for the gradient of an input. For a layer with data bound. */
mp_status bind_cotangent(mp_layer *layer, bound_data *d, const char *output, const char *file);
mp_status bind_gradient(mp_layer *layer, bound_data *d, uint32_t input);
/* Arrays and gradients move to the context's GPU, and are bound there. */
mp_status bound_data_to_device(mp_layer *layer, bound_data *d);
void bound_data_free(bound_data *d);

/* The layer's static arguments from -D, for a module that was compiled without them. */
mp_status layer_with_defines(mp_context *ctx, mp_module *mod, const cli_options *o, bool define, mp_layer **out);

#endif
