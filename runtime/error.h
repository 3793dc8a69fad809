/*
 * Messages of failed calls, per context and per thread. A call that fails returns error_set(...): the status, with the
 * message stored for mp_error_message. Messages are sentences in lower case without a full stop.
 */
#ifndef RUNTIME_ERROR_H
#define RUNTIME_ERROR_H

#include "mp.h"

/* Stores the message for this thread and returns `status`. ctx NULL: the status alone. */
mp_status error_set(mp_context *ctx, mp_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same with a finished text of any length (a compiler's diagnostics). */
mp_status error_set_text(mp_context *ctx, mp_status status, const char *text);

/* Puts "prefix: " before the message that this thread has; returns `status`. */
mp_status error_prefix(mp_context *ctx, mp_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The status of the call that this thread's message is of; MP_SYSTEM where there is none. */
mp_status error_status(const mp_context *ctx);

/* MP_SYSTEM: "out of memory: N bytes for WHAT". */
mp_status error_memory(mp_context *ctx, size_t bytes, const char *what);

/* Warnings of this thread's last compilation on the context; "" without. They stay when a call fails. */
void error_set_warnings(mp_context *ctx, const char *text);
const char *error_warnings(const mp_context *ctx);

/* The messages of one context: a list with an entry for each thread that ever failed. */
typedef struct error_list error_list;
error_list *error_list_create(void);
void error_list_destroy(error_list *list);

#endif
