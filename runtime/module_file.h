/*
 * What the dynamic loader would trust blindly in a library's file: it maps what the file's head promises, and the first
 * touch of a page that the file has not ends the process.
 */
#ifndef RUNTIME_MODULE_FILE_H
#define RUNTIME_MODULE_FILE_H

#include "mp.h"

/* MP_INVALID: not a shared library, or a part of one; MP_UNSUPPORTED: of another machine. */
mp_status module_file_check(mp_context *ctx, const char *path);

#endif
