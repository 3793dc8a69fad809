/* What an image for the emulated driver ends with: included behind the text of a module and a list of its kernels, when
 * driver_nvrtc.c compiles it to a shared library. One function launches a kernel: blocks one after the other. */
#ifndef TESTS_CUDA_DEVICE_IMAGE_H
#define TESTS_CUDA_DEVICE_IMAGE_H

static void emu_enter(emu_block *b) { ((void (*)(void **))b->kernel)((void **)(uintptr_t)b->args); }

__attribute__((visibility("default"))) const emu_function *emu_functions(void);
const emu_function *emu_functions(void) { return emu_list; }

__attribute__((visibility("default"))) int emu_launch(const emu_function *f, int blocks, int threads, size_t shared, void **arguments);
int emu_launch(const emu_function *f, int blocks, int threads, size_t shared, void **arguments)
{
    size_t bytes = (size_t)(threads + 1) * EMU_STACK;
    char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *memory = malloc(shared + 128);
    if (map == MAP_FAILED || !memory || threads > EMU_MOST)
        return 1;
    emu_block b = {.threads = {threads}, .blocks = {blocks}, .enter = emu_enter, .args = arguments, .kernel = (void *)(uintptr_t)f->run};
    b.stacks = (char *)(((uintptr_t)map + EMU_STACK - 1) & ~(uintptr_t)(EMU_STACK - 1));
    b.shared = (char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    int bad = 0;
    for (b.index.x = 0; b.index.x < blocks; b.index.x++) {
        memset(b.shared, 0xa5, shared + 64);
        emu_run_block(&b);
        for (int i = 0; i < 64 && !bad; i++)            /* behind the room */
            bad = b.shared[shared + (size_t)i] != (char)0xa5;
    }
    if (bad)
        fprintf(stderr, "emulator: kernel %s writes behind its %zu bytes of shared memory\n", f->name, shared);
    free(memory);
    munmap(map, bytes);
    return bad;
}

#endif
