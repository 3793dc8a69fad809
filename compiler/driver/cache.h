/* Compiled objects on disk, found by all that went into them.
 *
 * A key is text: source, options, values of dims, the compiler's build and the CPU. An entry is a file named by the
 * key's hash that repeats the whole key, so that two keys never take each other's place, and ends with a hash of the
 * object. Entries are written beside and renamed. Whatever is odd (another owner, a hash that does not fit, a file cut
 * short) counts as not there. Nothing here fails: without a cache everything is compiled. */
#ifndef MPC_DRIVER_CACHE_H
#define MPC_DRIVER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

enum { CACHE_MOST_BYTES = 256 << 20 };          /* of all entries; the oldest go first */

/* The folder: $MPC_CACHE_DIR (empty: no cache), $XDG_CACHE_HOME/mpc or ~/.cache/mpc. False: there is none. */
bool cache_folder(char *out, size_t size);

/* The object of that key, malloc'ed; NULL when it is not there. */
void *cache_load(const char *folder, const char *key, size_t n_key, size_t *n);
/* Makes the folder where it is missing, and room for the entry. */
void cache_store(const char *folder, const char *key, size_t n_key, const void *bytes, size_t n);

#endif
