/* The C header of a compiled file: one typed function a layer, over mp.h. */
#ifndef MPC_DRIVER_HEADER_H
#define MPC_DRIVER_HEADER_H

#include "compiler/driver/compile.h"

/* After compile_lower (no passes are needed). */
void header_print(const compilation *c, buf *out);

#endif
