#!/usr/bin/env python3
"""The command with --target cuda: results against the CPU's, libraries with code for GPUs, the cache, and what is said where there
is no driver. With DRIVER and NVRTC the emulated ones (driver_cuda.c), without them a GPU: then 77 where there is none.

With CUBLAS, an emulated one (driver_cublas.c), programs whose products it does are compared, too.

    device.py MPC LAYERS [DRIVER NVRTC CUBLAS]
"""
import json, os, subprocess, sys, tempfile

MPC, LAYERS = os.path.abspath(sys.argv[1]), sys.argv[2]
EMULATED = {"MPC_LIBCUDA": sys.argv[3], "MPC_NVRTC": sys.argv[4], "MPC_LIBCUBLAS": "/nowhere"} if len(sys.argv) > 4 else {}
CUBLAS = dict(EMULATED, MPC_LIBCUBLAS=sys.argv[5]) if len(sys.argv) > 5 else {}
failed = []

# Between them: softmax by head, a loop that ends when it has converged, its backward, pairs made beforehand, several
# programs in one, tiles, members of a computed index, pairs that are built in the call.
PROGRAMS = {"gat": {"heads": 2, "in": 6, "out": 4}, "pagerank": {}, "rgcn": {"in": 5, "out": 3, "R": 4},
            "edgeconv": {"in": 4, "hid": 5, "out": 3}, "appnp": {"in": 5, "hid": 4, "out": 3}, "label_propagation": {"classes": 3, "d": 4},
            "binned": {"in": 4, "out": 3, "R": 5, "K": 3}}

# Products by rows, with what follows them by row; several of one kernel; heads; sums whose operands are stored or are worked out before;
# results that are transposed; beside walks; of float64; open dims; a product at the end of a loop's program.
PRODUCTS = {"gat": {"heads": 2, "in": 8, "out": 8}, "gatedgcn": {"d": 8}, "pna": {"in": 8, "out": 8}, "sage": {"in": 9, "out": 8},
            "gin": {"in": 8, "hid": 8, "out": 8}, "transformer_block": {"d": 8, "heads": 2, "k": 4, "ff": 16}, "appnp": {"in": 8, "hid": 8, "out": 8}}

# In halves, with widths of whole vectors and odd ones.
HALVES = ("gat", "rgcn", "edgeconv", "gin", "pna", "binned")


def run(args, env=None, cache=""):
    e = dict(os.environ, MPC_CACHE_DIR=cache, **(EMULATED if env is None else env))
    return subprocess.run([MPC] + args, env=e, capture_output=True, text=True)


def check(ok, what):
    print(("ok   " if ok else "FAIL ") + what, flush=True)
    if not ok:
        failed.append(what)


def read(path):
    """Header and elements of a .npy of floats."""
    import array, re
    with open(path, "rb") as f:
        b = f.read()
    n = int.from_bytes(b[8:10], "little") if b[6] == 1 else int.from_bytes(b[8:12], "little")
    at = (10 if b[6] == 1 else 12) + n
    kind = re.search(rb"'descr': '<?\|?([fib])(\d)'", b[:at])
    if kind.group(1) + kind.group(2) == b"f2":
        import struct
        return struct.unpack(f"<{(len(b) - at) // 2}e", b[at:])
    code = {b"f4": "f", b"f8": "d", b"i4": "i", b"i8": "q"}[kind.group(1) + kind.group(2)]
    return array.array(code, b[at:])


def same(a, b, unit=0):
    """Within f32's rounding; of results that are stored in halves, also one unit in the last place."""
    for name in sorted(os.listdir(a)):
        x, y = read(os.path.join(a, name)), read(os.path.join(b, name))
        if len(x) != len(y) or any(abs(u - v) > 3e-4 * (1 + abs(v)) + unit * abs(v) for u, v in zip(x, y) if v == v):
            return False
    return sorted(os.listdir(a)) == sorted(os.listdir(b))


def sealed(code):
    """The bytes of code for GPUs with the sum that they must have (runtime/device_code.c)."""
    h, body = 0xcbf29ce484222325, code[48:]
    for i in range(0, len(body) // 8 * 8, 8):
        h = (h ^ int.from_bytes(body[i:i + 8], "little")) * 0x100000001b3 & (1 << 64) - 1
        h ^= h >> 29
    for byte in body[len(body) // 8 * 8:]:
        h = (h ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return code[:16] + h.to_bytes(8, "little") + code[24:]


def damaged(lib, dims, runs=10):
    """Products in a library whose numbers are wrong: refused, left to the kernel, or other products, but never beyond what is there."""
    import random
    with open(lib, "rb") as f:
        whole = f.read()
    at = whole.index(b"mpsC\x02\0\0\0")
    size = int.from_bytes(whole[at + 8:at + 16], "little")
    code = whole[at:at + size]
    n_kernels, n_images, n_products, n_own = (int.from_bytes(code[24 + 4 * i:28 + 4 * i], "little") for i in range(1, 5))
    first = 48 + 56 * n_kernels + 32 * n_images
    end = first + 264 * n_products + 24 * n_own
    if sealed(code) != code or not n_products:
        return False
    draw, ok = random.Random(7), True
    for _ in range(runs):
        bad = bytearray(code)
        for _ in range(draw.choice((1, 1, 2, 5))):
            word = draw.randrange(first, end, 4)
            bad[word:word + 4] = draw.choice((0, 1, 2, 3, 64, 65, 4000, 1 << 31, (1 << 32) - 1, draw.randrange(1 << 32))).to_bytes(4, "little")
        with open(lib + ".damaged.so", "wb") as f:
            f.write(whole[:at] + sealed(bytes(bad)) + whole[at + size:])
        r = run(["run", lib + ".damaged.so", "--graph", "karate", "--target", "cuda", "--out", lib + ".out/"] + dims, CUBLAS)
        if r.returncode not in (0, 1, 3) or ("emulated cuBLAS" in r.stderr and "overlap" not in r.stderr):
            print(r.returncode, r.stderr)
            ok = False
    return ok


def compare(name, dims, folder, env=None, extra=(), unit=0):
    file = os.path.join(LAYERS, name + ".mp")
    if not os.path.exists(file):
        file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", name + ".mp")
    out = {}
    for target in ("cpu", "cuda"):
        d = os.path.join(folder, name + target) + "/"
        g = os.path.join(folder, name + target + "grad") + "/"
        args = ["run", file, "--graph", "karate", "--target", target, "--seed", "3", "--verbose", "--out", d, *extra] + dims
        r = run(args + ["--grad-out", g], env)
        if r.returncode == 1:                       # a layer without gradients
            r, g = run(args, env), None
        if r.returncode:
            print(r.stderr)
            return False
        out[target] = [x for x in (d, g) if x]
    if env and "products by cuBLAS" not in r.stderr:
        print("no product was done by cuBLAS")
        return False
    return len(out["cpu"]) == len(out["cuda"]) and all(same(a, b, unit) for a, b in zip(out["cuda"], out["cpu"]))


def main():
    probe = run(["run", os.path.join(LAYERS, "gcn.mp"), "--graph", "karate", "-D", "in=3", "-D", "out=2", "--target", "cuda"])
    if probe.returncode == 3 and not EMULATED:
        print("skipped: " + probe.stderr.strip())
        return 77
    check(probe.returncode == 0, "a layer runs: " + probe.stderr.strip())
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "products"))
        for name, dims in PROGRAMS.items():
            check(compare(name, [x for k, v in dims.items() for x in ("-D", f"{k}={v}")], folder), name + ": as on the CPU, forward and backward")

        for real, unit in (("f16", 2.0 ** -10), ("bf16", 2.0 ** -7)):
            os.mkdir(os.path.join(folder, real))
            for name in HALVES:
                dims = [x for k, v in (PROGRAMS.get(name) or PRODUCTS[name]).items() for x in ("-D", f"{k}={v}")]
                check(compare(name, dims, os.path.join(folder, real), None, ["--real", real], unit), f"{name}: in {real}")

        for name, dims in PRODUCTS.items() if CUBLAS else ():
            dims = [x for k, v in dims.items() for x in ("-D", f"{k}={v}")]
            extra = ["--real", "f64"] if name == "pna" else []
            check(compare(name, dims, os.path.join(folder, "products"), CUBLAS, extra), name + ": with products by cuBLAS")

        gcn, dims, lib = os.path.join(LAYERS, "gcn.mp"), ["-D", "in=5", "-D", "out=3"], os.path.join(folder, "gcn.so")
        check(run([gcn, "--target", "cuda", "--target", "cpu", "--arch", "sm_90", "-o", lib]).returncode == 0, "a library for both")
        for target in ("cpu", "cuda"):
            r = run(["run", lib, "--graph", "karate", "--target", target, "--seed", "1", "--out", os.path.join(folder, "aot" + target) + "/"] + dims)
            check(r.returncode == 0, "it runs for " + target + " " + r.stderr.strip())
        check(same(os.path.join(folder, "aotcuda"), os.path.join(folder, "aotcpu")), "with the same results")
        alone = os.path.join(folder, "alone.so")
        check(run([gcn, "--target", "cuda", "--arch", "sm_90", "-o", alone]).returncode == 0, "a library for CUDA alone")
        r = run(["run", alone, "--graph", "karate"] + dims)
        check(r.returncode != 0 and "CUDA alone" in r.stderr, "is refused on a CPU")
        if CUBLAS:
            products, wide = os.path.join(folder, "products.so"), ["-D", "heads=2", "-D", "in=8", "-D", "out=8"]
            check(run([os.path.join(LAYERS, "gat.mp"), "--target", "cuda", "--arch", "sm_90", "--grad", "none", "-o", products] + wide).returncode == 0
                  and damaged(products, wide), "a library with damaged products")
        other = os.path.join(folder, "other.so")
        if EMULATED:                                # of another major number, without PTX that could stand in
            check(run([gcn, "--target", "cuda", "--arch", "sm_100", "-o", other]).returncode == 0, "a library for a later GPU")
            r = run(["run", other, "--graph", "karate", "--target", "cuda"] + dims)
            check(r.returncode != 0 and "sm_100" in r.stderr, "is refused on an earlier one: " + r.stderr.strip())

        cache = os.path.join(folder, "cache")
        args = ["run", gcn, "--graph", "karate", "--target", "cuda", "--json"] + dims
        first, second = run(args, cache=cache), run(args, cache=cache)
        check(first.returncode == 0 and second.returncode == 0, "the cache")
        if EMULATED and second.returncode == 0:
            check(json.loads(second.stdout)["compile_ms"] < json.loads(first.stdout)["compile_ms"] / 4, "is faster than to compile")

    nothing = {"MPC_LIBCUDA": "/nowhere/libcuda.so", "MPC_NVRTC": "/nowhere/libnvrtc.so"}
    r = run(["run", gcn, "--graph", "karate", "--target", "cuda"] + dims, env=nothing)
    check(r.returncode == 3 and "no CUDA driver" in r.stderr, "without a driver: " + r.stderr.strip())
    r = run([gcn, "--target", "cuda", "-o", "/dev/null"], env=nothing)
    check(r.returncode == 3 and "NVRTC" in r.stderr, "without NVRTC: " + r.stderr.strip())
    if EMULATED:
        r = run(["run", gcn, "--graph", "karate", "--target", "cuda"] + dims, env=dict(EMULATED, MPC_NVRTC="/nowhere"))
        check(r.returncode != 0 and "NVRTC" in r.stderr, "with a driver alone: " + r.stderr.strip())
    r = run(["run", gcn, "--graph", "karate"] + dims, env=nothing)
    check(r.returncode == 0, "the CPU needs neither")
    r = run([gcn, "--arch", "sm_90", "-o", "/dev/null"])
    check(r.returncode == 2, "a GPU's architecture goes with --target cuda")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
