/*
 * Messages of failed calls. A context has a list with one entry for each thread that ever failed on it, found by the
 * thread's id under a lock; an entry's text stays where it is until its own thread fails again, so that the caller may
 * read it without a lock.
 */
#include "runtime/error.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/context.h"

typedef struct message {
    struct message *next;
    pthread_t thread;
    mp_status status;
    char *text;             /* short_text, or malloc'ed */
    char *warnings;         /* malloc'ed, or NULL */
    char short_text[512];   /* so that there is a message even without memory */
} message;

struct error_list {
    pthread_mutex_t lock;
    message *first;
};

error_list *error_list_create(void)
{
    error_list *list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    if (pthread_mutex_init(&list->lock, NULL)) {
        free(list);
        return NULL;
    }
    return list;
}

static void message_drop_text(message *m)
{
    if (m->text != m->short_text)
        free(m->text);
    m->text = m->short_text;
}

void error_list_destroy(error_list *list)
{
    if (!list)
        return;
    for (message *m = list->first, *next; m; m = next) {
        next = m->next;
        message_drop_text(m);
        free(m->warnings);
        free(m);
    }
    pthread_mutex_destroy(&list->lock);
    free(list);
}

static message *message_find(error_list *list)
{
    pthread_t me = pthread_self();
    pthread_mutex_lock(&list->lock);
    message *m = list->first;
    while (m && !pthread_equal(m->thread, me))
        m = m->next;
    pthread_mutex_unlock(&list->lock);
    return m;
}

static message *message_of_thread(error_list *list)
{
    message *m = message_find(list);
    if (m)
        return m;
    m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->thread = pthread_self();
    m->text = m->short_text;
    pthread_mutex_lock(&list->lock);
    m->next = list->first;
    list->first = m;
    pthread_mutex_unlock(&list->lock);
    return m;
}

mp_status error_set_text(mp_context *ctx, mp_status status, const char *text)
{
    message *m = ctx ? message_of_thread(ctx->errors) : NULL;
    if (!m)
        return status;
    m->status = status;
    size_t n = strlen(text) + 1;
    char *copy = n > sizeof m->short_text ? malloc(n) : NULL;
    if (copy)
        memcpy(copy, text, n);
    else
        snprintf(m->short_text, sizeof m->short_text, "%s", text == m->text ? "" : text);
    message_drop_text(m);
    if (copy)
        m->text = copy;
    return status;
}

static mp_status set_va(mp_context *ctx, mp_status status, const char *before, const char *fmt, va_list args)
{
    char line[4096];
    int used = before ? snprintf(line, sizeof line, "%s", before) : 0;
    if (used >= 0 && (size_t)used < sizeof line)
        vsnprintf(line + used, sizeof line - (size_t)used, fmt, args);
    return error_set_text(ctx, status, line);
}

mp_status error_set(mp_context *ctx, mp_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_va(ctx, status, NULL, fmt, args);
    va_end(args);
    return status;
}

mp_status error_prefix(mp_context *ctx, mp_status status, const char *fmt, ...)
{
    char prefix[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    message *m = ctx ? message_find(ctx->errors) : NULL;
    const char *old = m ? m->text : "";
    size_t n = strlen(prefix) + 2 + strlen(old) + 1;
    char *whole = malloc(n);
    if (!whole)
        return status;
    snprintf(whole, n, "%s: %s", prefix, old);
    error_set_text(ctx, status, whole);
    free(whole);
    return status;
}

mp_status error_memory(mp_context *ctx, size_t bytes, const char *what)
{
    if (!bytes)
        return error_set(ctx, MP_SYSTEM, "out of memory for %s", what);
    return error_set(ctx, MP_SYSTEM, "out of memory: %zu bytes for %s", bytes, what);
}

const char *mp_error_message(const mp_context *ctx)
{
    if (!ctx)
        return "no context: it could not be created, or NULL was passed";
    const message *m = message_find(ctx->errors);
    return m ? m->text : "";
}

mp_status error_status(const mp_context *ctx)
{
    const message *m = ctx ? message_find(ctx->errors) : NULL;
    return m && m->status ? m->status : MP_SYSTEM;
}

void error_set_warnings(mp_context *ctx, const char *text)
{
    message *m = !ctx ? NULL : *text ? message_of_thread(ctx->errors) : message_find(ctx->errors);
    if (!m)
        return;
    free(m->warnings);
    m->warnings = *text ? strdup(text) : NULL;
}

const char *error_warnings(const mp_context *ctx)
{
    const message *m = ctx ? message_find(ctx->errors) : NULL;
    return m && m->warnings ? m->warnings : "";
}

const char *mp_status_name(mp_status status)
{
    switch (status) {
    case MP_OK: return "ok";
    case MP_INVALID: return "invalid";
    case MP_USAGE: return "usage";
    case MP_SYSTEM: return "system";
    case MP_UNSUPPORTED: return "unsupported";
    }
    return "?";
}
