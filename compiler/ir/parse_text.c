/* The small parts of the text form: words, numbers, values by their number, dims. See parse_int.h. */
#include "compiler/ir/parse_int.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARENS = 64, MAX_POWER = 64 };

bool text_fail(reader *r, const char *fmt, ...)
{
    if (r->error)
        return false;
    buf b = buf_make(r->mem);
    buf_printf(&b, "line %u: ", r->line);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    r->error = buf_text(&b);
    return false;
}

void text_spaces(reader *r)
{
    while (*r->p == ' ' || *r->p == '\t')
        r->p++;
}

bool text_at_end(reader *r)
{
    text_spaces(r);
    return *r->p == '\n' || *r->p == '\r' || *r->p == 0 || (r->p[0] == '/' && r->p[1] == '/');
}

bool text_take(reader *r, const char *s)
{
    text_spaces(r);
    size_t n = strlen(s);
    if (strncmp(r->p, s, n) != 0)
        return false;
    bool word = isalnum((unsigned char)s[n - 1]) || s[n - 1] == '_';
    if (word && (isalnum((unsigned char)r->p[n]) || r->p[n] == '_'))
        return false;
    r->p += n;
    return true;
}

bool text_need(reader *r, const char *s) { return text_take(r, s) || text_fail(r, "expected `%s`", s); }

bool text_name(reader *r, str *out)
{
    text_spaces(r);
    const char *from = r->p;
    if (!isalpha((unsigned char)*from) && *from != '_')
        return text_fail(r, "expected a name");
    while (isalnum((unsigned char)*r->p) || *r->p == '_')
        r->p++;
    *out = str_intern(r->names, from, (size_t)(r->p - from));
    return true;
}

bool text_string(reader *r, str *out)
{
    if (!text_need(r, "\""))
        return false;
    const char *from = r->p;
    while (*r->p && *r->p != '"' && *r->p != '\n')
        r->p++;
    *out = str_intern(r->names, from, (size_t)(r->p - from));
    return text_need(r, "\"");
}

bool text_uint(reader *r, uint32_t *out)
{
    text_spaces(r);
    uint64_t x = 0;
    if (!isdigit((unsigned char)*r->p))
        return text_fail(r, "expected a number");
    while (isdigit((unsigned char)*r->p) && x <= UINT32_MAX)
        x = 10 * x + (uint64_t)(*r->p++ - '0');
    *out = (uint32_t)x;
    return x <= UINT32_MAX || text_fail(r, "number too large");
}

bool text_double(reader *r, double *out)
{
    text_spaces(r);
    char text[64];                              /* strtod by itself would cross the end of the line */
    size_t n = 0;
    while (n + 1 < sizeof text && (isalnum((unsigned char)r->p[n]) || strchr("+-.", r->p[n])) && r->p[n]) {
        text[n] = r->p[n];
        n++;
    }
    text[n] = 0;
    char *end;
    *out = strtod(text, &end);
    if (end == text)
        return text_fail(r, "expected a number");
    r->p += end - text;
    return true;
}

bool text_value(reader *r, ir_val *out)
{
    uint32_t id;
    if (!text_need(r, "%") || !text_uint(r, &id))
        return false;
    uint64_t *known = map_get(&r->values, id);
    if (!known)
        return text_fail(r, "%%%u is not known here", id);
    *out = (ir_val){(uint32_t)*known};
    return true;
}

static bool read_dim_sum(reader *r, dim *out, uint32_t depth);

static bool read_dim_atom(reader *r, dim *out, uint32_t depth)
{
    text_spaces(r);
    if (depth > MAX_PARENS)
        return text_fail(r, "too many parentheses");
    if (text_take(r, "("))
        return read_dim_sum(r, out, depth + 1) && text_need(r, ")");
    if (text_take(r, "-")) {
        if (!read_dim_atom(r, out, depth + 1))
            return false;
        *out = dim_neg(r->l->dims, *out);
        return true;
    }
    if (isdigit((unsigned char)*r->p)) {
        int64_t x = 0;
        for (; isdigit((unsigned char)*r->p); r->p++)
            if (__builtin_mul_overflow(x, (int64_t)10, &x) || __builtin_add_overflow(x, (int64_t)(*r->p - '0'), &x))
                return text_fail(r, "number too large");
        *out = dim_const(r->l->dims, x);
    } else {
        str name;
        if (!text_name(r, &name))
            return false;
        *out = dim_symbol(r->l->dims, name);
    }
    uint32_t power;
    if (text_take(r, "**")) {
        if (!text_uint(r, &power))
            return false;
        if (power > MAX_POWER)
            return text_fail(r, "power too large");
        *out = dim_pow(r->l->dims, *out, power);
    }
    return true;
}

static bool read_dim_product(reader *r, dim *out, uint32_t depth)
{
    if (!read_dim_atom(r, out, depth))
        return false;
    for (;;) {
        bool times = text_take(r, "*");
        dim right;
        text_spaces(r);
        if (!times && (r->p[0] != '/' || r->p[1] == '/'))
            return true;
        if (!times)
            r->p++;
        if (!read_dim_atom(r, &right, depth))
            return false;
        *out = times ? dim_mul(r->l->dims, *out, right) : dim_div(r->l->dims, *out, right);
    }
}

static bool read_dim_sum(reader *r, dim *out, uint32_t depth)
{
    if (!read_dim_product(r, out, depth))
        return false;
    for (;;) {
        text_spaces(r);
        bool plus = *r->p == '+';
        dim right;
        if (!plus && (r->p[0] != '-' || r->p[1] == '>'))
            return true;
        r->p++;
        if (!read_dim_product(r, &right, depth))
            return false;
        *out = plus ? dim_add(r->l->dims, *out, right) : dim_sub(r->l->dims, *out, right);
    }
}

bool text_dim(reader *r, dim *out)
{
    if (!read_dim_sum(r, out, 0))
        return false;
    return dim_ok(*out) || text_fail(r, "a dim that %s", dim_why_text(dim_last_why(r->l->dims)));
}
