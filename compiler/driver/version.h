/* What this compiler is called in messages, in modules and in the cache. */
#ifndef MPC_DRIVER_VERSION_H
#define MPC_DRIVER_VERSION_H

#include "mp.h"

#define MPC_TEXT_OF_(x) #x
#define MPC_TEXT_OF(x) MPC_TEXT_OF_(x)
#define MPC_COMPILER_VERSION                                                                                            \
    MPC_TEXT_OF(MP_VERSION_MAJOR) "." MPC_TEXT_OF(MP_VERSION_MINOR) "." MPC_TEXT_OF(MP_VERSION_PATCH)

#endif
