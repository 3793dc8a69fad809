/* A CUDA driver whose device is the CPU: the functions of libcuda that the runtime calls (runtime/cuda_api.def) and those with which
 * tests capture graphs. Kernels are run by the emulator. So the device runtime as it is, all but the GPU, runs in tests.
 *
 * It is stricter than a GPU. Device memory can be touched by kernels and copies alone: the host that reads or writes it
 * ends by a signal. What was allocated is full of rubbish (of what is larger than 256 MiB the beginning, so that tests may have arrays larger
 * than the machine). While a stream is captured nothing may be allocated, freed or
 * waited for. A kernel must be given no more shared memory than its function was allowed. EMU_SHARED: bytes that a block
 * may have. EMU_TRACE: a line for each call that is counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719, CAPTURE = 900 };

typedef struct emu_function { const char *name; void (*run)(void **p); size_t bytes[2]; } emu_function;
typedef struct module module;
typedef struct function { module *of; const emu_function *f; int allowed; } function;
struct module {
    void *library;
    char path[64];
    int (*launch)(const emu_function *f, int blocks, int threads, size_t shared, void **arguments);
    function *functions;
    int n;
};

/* Something put on a stream that is captured. */
typedef struct node { struct node *next; int (*call)(const void *arguments); const function *f; int blocks, threads; size_t shared; char *arguments[2]; uint64_t to, from; size_t bytes; int value; } node;
typedef struct graph { node *first, **last; } graph;
typedef struct stream { graph *captured; } stream;

/* The process has one driver. */
static struct {
    pthread_mutex_t lock;
    char *memory;
    size_t top;
    struct block { size_t at, bytes; bool used; } *blocks;
    int n_blocks, room;
    stream usual;
} driver = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const size_t MOST = (size_t)64 << 30;     /* of addresses: what nobody touches takes no memory */
enum { ALIGN = 256, RUBBISH = 256 << 20 };

/* ---- memory -------------------------------------------------------------------------------------------- */

static void open_memory(void) { if (driver.top) mprotect(driver.memory, driver.top, PROT_READ | PROT_WRITE); }
static void close_memory(void) { if (driver.top) mprotect(driver.memory, driver.top, PROT_NONE); }

static bool is_device(uint64_t p) { return driver.memory && p >= (uintptr_t)driver.memory && p < (uintptr_t)driver.memory + MOST; }

/* The whole of lo..lo+n lies in one block that is in use. */
static bool is_held(uint64_t p, size_t n)
{
    if (!is_device(p))
        return false;
    size_t at = (size_t)(p - (uintptr_t)driver.memory);
    for (int i = 0; i < driver.n_blocks; i++) {
        const struct block *b = &driver.blocks[i];
        if (b->used && at >= b->at && at - b->at <= b->bytes && n <= b->bytes - (at - b->at))
            return true;
    }
    return false;
}

static bool new_block(size_t at, size_t bytes)
{
    if (driver.n_blocks == driver.room) {
        void *more = realloc(driver.blocks, (size_t)(driver.room = driver.room ? driver.room * 2 : 64) * sizeof *driver.blocks);
        if (!more)
            return false;
        driver.blocks = more;
    }
    driver.blocks[driver.n_blocks++] = (struct block){at, bytes, true};
    return true;
}

static int allocate(uint64_t *out, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!driver.memory) {
        driver.memory = mmap(NULL, MOST, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (driver.memory == MAP_FAILED)
            return driver.memory = NULL, NO_MEMORY;
    }
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    for (int i = 0; i < driver.n_blocks; i++) {
        struct block *b = &driver.blocks[i];
        if (b->used || b->bytes != bytes)
            continue;
        b->used = true;
        *out = (uintptr_t)driver.memory + b->at;
        break;
    }
    size_t at = driver.n_blocks ? driver.blocks[driver.n_blocks - 1].at + driver.blocks[driver.n_blocks - 1].bytes : 0;
    if (!*out) {
        if (at + bytes > MOST || !new_block(at, bytes))
            return NO_MEMORY;
        *out = (uintptr_t)driver.memory + at;
        size_t end = (at + bytes + page - 1) / page * page;
        driver.top = end > driver.top ? end : driver.top;
    }
    open_memory();
    memset((void *)(uintptr_t)*out, 0xa5, bytes < RUBBISH ? bytes : 4096);
    close_memory();
    return OK;
}

static int release(uint64_t p)
{
    for (int i = 0; i < driver.n_blocks; i++) {
        struct block *b = &driver.blocks[i];
        if (!b->used || (uintptr_t)driver.memory + b->at != p)
            continue;
        b->used = false;
        while (driver.n_blocks && !driver.blocks[driver.n_blocks - 1].used)
            driver.n_blocks--;
        return OK;
    }
    fprintf(stderr, "emulated driver: %#llx is freed, but was not allocated\n", (unsigned long long)p);
    return INVALID;
}

/* ---- streams and graphs -------------------------------------------------------------------------------- */

static stream *of(void *s) { return s ? s : &driver.usual; }

static bool any_captured(void *s) { return of(s)->captured != NULL; }

static int say(const char *what, int result)
{
    if (result && getenv("EMU_TRACE"))
        fprintf(stderr, "emulated driver: %s: error %d\n", what, result);
    return result;
}

static int do_launch(const function *f, int blocks, int threads, size_t shared, void **arguments)
{
    open_memory();
    int bad = f->of->launch(f->f, blocks, threads, shared, arguments);
    close_memory();
    return bad ? LAUNCH_FAILED : OK;
}

static int do_copy(uint64_t to, uint64_t from, size_t bytes)
{
    if ((is_device(to) && !is_held(to, bytes)) || (is_device(from) && !is_held(from, bytes)))
        return say("a copy beyond what was allocated", INVALID);
    open_memory();
    memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    close_memory();
    return OK;
}

static int do_fill(uint64_t to, int value, size_t bytes)
{
    if (!is_held(to, bytes))
        return say("a fill beyond what was allocated", INVALID);
    open_memory();
    memset((void *)(uintptr_t)to, value, bytes);
    close_memory();
    return OK;
}

static int do_call(int (*call)(const void *), const void *arguments)
{
    open_memory();
    int result = call(arguments);
    close_memory();
    return result;
}

static int record(void *s, node n)
{
    graph *g = of(s)->captured;
    node *copy = malloc(sizeof *copy);
    if (!copy)
        return NO_MEMORY;
    *copy = n;
    copy->next = NULL;
    *g->last = copy;
    g->last = &copy->next;
    return OK;
}

static int locked(int result)
{
    pthread_mutex_unlock(&driver.lock);
    return result;
}
static void lock(void) { pthread_mutex_lock(&driver.lock); }

/* ---- the functions ------------------------------------------------------------------------------------- */

#define FN(type, name, arguments) API type name arguments; type name arguments

FN(int, cuInit, (unsigned flags)) { (void)flags; return OK; }
FN(int, cuDriverGetVersion, (int *version)) { *version = 12090; return OK; }
FN(int, cuGetErrorString, (int error, const char **text))
{
    *text = error == NO_MEMORY ? "out of memory" : error == CAPTURE ? "operation not permitted when stream is capturing"
          : error == NO_IMAGE ? "device kernel image is invalid" : error == NOT_FOUND ? "named symbol not found"
          : error == LAUNCH_FAILED ? "unspecified launch failure" : error ? "invalid argument" : "no error";
    return OK;
}
FN(int, cuDeviceGetCount, (int *count)) { *count = 1; return OK; }
FN(int, cuDeviceGet, (int *device, int ordinal)) { *device = 0; return ordinal ? INVALID : OK; }
FN(int, cuDeviceGetName, (char *name, int size, int device)) { (void)device; snprintf(name, (size_t)size, "emulated GPU"); return OK; }
FN(int, cuDeviceGetAttribute, (int *value, int attribute, int device))
{
    const char *shared = getenv("EMU_SHARED");
    (void)device;
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 2 : attribute == 97 ? shared ? atoi(shared) : 232448
           : attribute == 13 ? 100 /* kHz: products are slow, so that small ones are worth a library's */ : attribute == 115;
    return OK;
}
FN(int, cuDevicePrimaryCtxRetain, (void **context, int device)) { (void)device; *context = &driver; return OK; }
FN(int, cuDevicePrimaryCtxRelease_v2, (int device)) { (void)device; return OK; }
FN(int, cuCtxPushCurrent_v2, (void *context)) { return context == &driver ? OK : INVALID; }
FN(int, cuCtxPopCurrent_v2, (void **context)) { *context = &driver; return OK; }

FN(int, cuModuleLoadDataEx, (void **out, const void *image, unsigned n, int *options, void **values))
{
    (void)n, (void)options, (void)values;
    const unsigned char *elf = image;
    if (memcmp(elf, "\177ELF", 4) != 0)
        return NO_IMAGE;
    uint64_t sections;
    uint16_t size, count;
    memcpy(&sections, elf + 0x28, 8);
    memcpy(&size, elf + 0x3a, 2);
    memcpy(&count, elf + 0x3c, 2);
    module *m = calloc(1, sizeof *m);
    strcpy(m->path, "/tmp/mpc-image-XXXXXX");
    int fd = mkstemp(m->path);
    size_t bytes = (size_t)(sections + (uint64_t)size * count);         /* the section headers end an ELF file */
    bool ok = fd >= 0 && write(fd, image, bytes) == (ssize_t)bytes;
    if (fd >= 0)
        close(fd);
    m->library = ok ? dlopen(m->path, RTLD_NOW | RTLD_LOCAL) : NULL;
    unlink(m->path);
    const emu_function *(*list)(void) = NULL;
    if (m->library) {
        void *at = dlsym(m->library, "emu_functions");
        memcpy(&list, &at, sizeof at);
        at = dlsym(m->library, "emu_launch");
        memcpy(&m->launch, &at, sizeof at);
    }
    if (!list || !m->launch)
        return free(m), NO_IMAGE;
    while (list()[m->n].name)
        m->n++;
    m->functions = calloc((size_t)m->n + 1, sizeof *m->functions);
    for (int i = 0; i < m->n; i++)
        m->functions[i] = (function){m, &list()[i], 48 << 10};
    *out = m;
    return OK;
}
FN(int, cuModuleUnload, (void *handle))
{
    module *m = handle;
    dlclose(m->library);
    free(m->functions);
    free(m);
    return OK;
}
FN(int, cuModuleGetFunction, (void **out, void *handle, const char *name))
{
    module *m = handle;
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->functions[i].f->name, name) == 0)
            return *out = &m->functions[i], OK;
    return NOT_FOUND;
}
FN(int, cuFuncSetAttribute, (void *f, int attribute, int value))
{
    int most;
    cuDeviceGetAttribute(&most, 97, 0);
    if (attribute != 8 || value > most)
        return INVALID;
    ((function *)f)->allowed = value;
    return OK;
}
FN(int, cuFuncGetAttribute, (int *value, int attribute, void *f)) { (void)attribute, (void)f; *value = 0; return OK; }
FN(int, cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *blocks, void *f, int threads, size_t shared))
{
    (void)f, (void)threads, (void)shared;
    *blocks = 2;
    return OK;
}
FN(int, cuLaunchKernel, (void *handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                         void *s, void **arguments, void **extra))
{
    const function *f = handle;
    (void)extra;
    if (gx < 1 || gy != 1 || gz != 1 || bx < 1 || bx > 1024 || by != 1 || bz != 1 || (int)shared > f->allowed)
        return say(f->f->name, INVALID);
    lock();
    if (!of(s)->captured)
        return locked(do_launch(f, (int)gx, (int)bx, shared, arguments));
    node n = {.f = f, .blocks = (int)gx, .threads = (int)bx, .shared = shared};
    for (int i = 0; i < 2 && f->f->bytes[i]; i++) {
        n.arguments[i] = malloc(f->f->bytes[i]);
        memcpy(n.arguments[i], arguments[i], f->f->bytes[i]);
    }
    return locked(record(s, n));
}

FN(int, cuMemAllocAsync, (uint64_t *p, size_t bytes, void *s))
{
    *p = 0;
    lock();
    return locked(say("an allocation", any_captured(s) ? CAPTURE : allocate(p, bytes)));
}
FN(int, cuMemFreeAsync, (uint64_t p, void *s))
{
    lock();
    return locked(say("a release", any_captured(s) ? CAPTURE : release(p)));
}
FN(int, cuMemAlloc_v2, (uint64_t *p, size_t bytes)) { return cuMemAllocAsync(p, bytes, NULL); }
FN(int, cuMemFree_v2, (uint64_t p)) { return cuMemFreeAsync(p, NULL); }
FN(int, cuDeviceGetDefaultMemPool, (void **pool, int device)) { (void)device; *pool = &driver; return OK; }
FN(int, cuMemPoolSetAttribute, (void *pool, int attribute, void *value)) { (void)pool, (void)attribute, (void)value; return OK; }
FN(int, cuMemPoolTrimTo, (void *pool, size_t bytes)) { (void)pool, (void)bytes; return OK; }
FN(int, cuMemHostAlloc, (void **p, size_t bytes, unsigned flags)) { (void)flags; return (*p = calloc(bytes, 1)) ? OK : NO_MEMORY; }
FN(int, cuMemFreeHost, (void *p)) { free(p); return OK; }

/* What is copied from memory of the host's that is not pinned is copied when the call is made. */
FN(int, cuMemcpyHtoDAsync_v2, (uint64_t to, const void *from, size_t bytes, void *s))
{
    lock();
    return locked(any_captured(s) ? say("a copy from the host", CAPTURE) : do_copy(to, (uintptr_t)from, bytes));
}
FN(int, cuMemcpyDtoHAsync_v2, (void *to, uint64_t from, size_t bytes, void *s))
{
    lock();
    return locked(any_captured(s) ? say("a copy to the host", CAPTURE) : do_copy((uintptr_t)to, from, bytes));
}
FN(int, cuMemcpyDtoDAsync_v2, (uint64_t to, uint64_t from, size_t bytes, void *s))
{
    lock();
    return locked(any_captured(s) ? record(s, (node){.to = to, .from = from, .bytes = bytes}) : do_copy(to, from, bytes));
}
FN(int, cuMemsetD8Async, (uint64_t to, unsigned char value, size_t bytes, void *s))
{
    lock();
    return locked(any_captured(s) ? record(s, (node){.to = to, .bytes = bytes, .value = value}) : do_fill(to, value, bytes));
}
FN(int, cuStreamSynchronize, (void *s)) { return any_captured(s) ? say("a wait", CAPTURE) : OK; }
FN(int, cuStreamIsCapturing, (void *s, int *status)) { *status = any_captured(s); return OK; }
FN(int, cuStreamWaitEvent, (void *s, void *event, unsigned flags)) { (void)event, (void)flags; return any_captured(s) ? CAPTURE : OK; }
FN(int, cuEventCreate, (void **event, unsigned flags)) { (void)flags; *event = &driver; return OK; }
FN(int, cuEventRecord, (void *event, void *s)) { (void)event; return any_captured(s) ? CAPTURE : OK; }
FN(int, cuEventDestroy_v2, (void *event)) { (void)event; return OK; }

FN(int, cuStreamCreate, (void **s, unsigned flags)) { (void)flags; return (*s = calloc(1, sizeof(stream))) ? OK : NO_MEMORY; }
FN(int, cuStreamDestroy_v2, (void *s)) { free(s); return OK; }
FN(int, cuStreamBeginCapture_v2, (void *s, int mode))
{
    (void)mode;
    graph *g = calloc(1, sizeof *g);
    if (!g || !s || of(s)->captured)
        return INVALID;
    g->last = &g->first;
    of(s)->captured = g;
    return OK;
}
FN(int, cuStreamEndCapture, (void *s, void **out))
{
    *out = of(s)->captured;
    of(s)->captured = NULL;
    return *out ? OK : INVALID;
}
FN(int, cuGraphInstantiateWithFlags, (void **out, void *g, unsigned long long flags)) { (void)flags; *out = g; return OK; }
FN(int, cuGraphLaunch, (void *g, void *s))
{
    int result = OK;
    (void)s;
    lock();
    for (const node *n = ((graph *)g)->first; n && !result; n = n->next)
        result = n->call ? do_call(n->call, n->arguments[0]) : n->f ? do_launch(n->f, n->blocks, n->threads, n->shared, (void *[]){n->arguments[0], n->arguments[1]})
               : n->from ? do_copy(n->to, n->from, n->bytes) : do_fill(n->to, n->value, n->bytes);
    return locked(result);
}
FN(int, cuGraphExecDestroy, (void *g)) { (void)g; return OK; }
FN(int, cuGraphDestroy, (void *g))
{
    for (node *n = ((graph *)g)->first, *next; n; n = next) {
        next = n->next;
        free(n->arguments[0]);
        free(n->arguments[1]);
        free(n);
    }
    free(g);
    return OK;
}

/* ---- for other libraries of the device (driver_cublas.c) ------------------------------------------------ */

/* Work of a library's own, on the stream, with the device's memory open. */
FN(int, emu_call, (void *s, int (*call)(const void *arguments), const void *arguments, size_t bytes))
{
    lock();
    if (!of(s)->captured)
        return locked(do_call(call, arguments));
    node n = {.call = call};
    n.arguments[0] = malloc(bytes);
    memcpy(n.arguments[0], arguments, bytes);
    return locked(record(s, n));
}
FN(int, emu_is_held, (uint64_t p, size_t bytes))
{
    lock();
    return locked(is_held(p, bytes));
}
FN(int, emu_is_captured, (void *s)) { return any_captured(s); }
