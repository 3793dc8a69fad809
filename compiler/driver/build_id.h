/* Which build of the compiler this is, and which model of CPU it runs on: for the keys of the cache, so that neither
 * another compiler's nor another machine's code is taken. */
#ifndef MPC_DRIVER_BUILD_ID_H
#define MPC_DRIVER_BUILD_ID_H

#include <stdint.h>

/* From the linker's build id of the program or library that this code is in; without one, from its file's size and
 * time. */
uint64_t compiler_build_id(void);

/* Vendor, family, model and stepping of the CPU; 0 where they cannot be asked for. */
uint64_t compiler_cpu_model(void);

#endif
