/* A program with its data, ready to run: what run, bench and check begin with. */
#ifndef MPC_DRIVER_SESSION_H
#define MPC_DRIVER_SESSION_H

#include "compiler/driver/bind_data.h"
#include "compiler/driver/cli.h"

typedef struct session {
    mp_context *ctx;
    file_text file;
    bool library;                   /* the file is a shared library */
    mp_module *mod;
    mp_layer *layer;
    bound_data data;
    bool training, backward;        /* run the training pass; and its backward */
    mp_tape *tape;
    double compile_ms, prepare_ms;  /* prepare without what is compiled then */
} session;

/* Context, module, layer, data; nothing is prepared. Reports what is wrong. To be closed on failure, too. */
exit_status session_open(const cli_options *o, session *s);
/* For check without --graph: session_open stops before the layer, and these make and drop it with data on a graph, which
 * is taken over. Dims that nothing settles are made up. */
exit_status session_begin(const cli_options *o, session *s, mp_graph *g);
void session_end(session *s);
/* Prepares: compiles for the dims, builds walk orders. */
exit_status session_prepare(session *s);
/* The same for the passes of training. */
exit_status session_prepare_training(session *s);
/* Binds what --cotangent gives and arrays for the gradients that --grad-out names (or --grad, or all). */
exit_status session_bind_gradients(const cli_options *o, session *s);
/* The array bound as the gradient of the input or param of that name; NULL. */
const DLTensor *session_gradient(const session *s, const char *name);
/* An output, in memory of the host's; freed by its deleter. */
mp_status session_output(const session *s, const char *name, DLManagedTensor **out);
/* The layer again in `c`, lowered and through the passes, with the static arguments that the data settled. */
exit_status session_lower(session *s, compilation *c);
void session_close(session *s);

/* {"in": 16, ...} and [3, 4] */
void session_json_dims(const session *s, buf *out);
void session_json_shape(const DLTensor *t, buf *out);
/* "layer": ..., "target": ..., "threads": ..., "nodes": ..., "edges": ..., "dims": ... */
void session_json_head(const session *s, buf *out);

#endif
