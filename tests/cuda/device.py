#!/usr/bin/env python3
"""The command with --target cuda: results against the CPU's, libraries with code for GPUs, the cache, and what is said where there
is no driver. With DRIVER and NVRTC the emulated ones (driver_cuda.c), without them a GPU: then 77 where there is none.

    device.py MPC LAYERS [DRIVER NVRTC]
"""
import json, os, subprocess, sys, tempfile

MPC, LAYERS = os.path.abspath(sys.argv[1]), sys.argv[2]
EMULATED = {"MPC_LIBCUDA": sys.argv[3], "MPC_NVRTC": sys.argv[4]} if len(sys.argv) > 4 else {}
failed = []

# Between them: softmax by head, a loop that ends when it has converged, its backward, pairs made beforehand, several
# programs in one, tiles, members of a computed index.
PROGRAMS = {"gat": {"heads": 2, "in": 6, "out": 4}, "pagerank": {}, "rgcn": {"in": 5, "out": 3, "R": 4},
            "edgeconv": {"in": 4, "hid": 5, "out": 3}, "appnp": {"in": 5, "hid": 4, "out": 3}, "label_propagation": {"classes": 3, "d": 4}}


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
    code = {b"f4": "f", b"f8": "d", b"i4": "i", b"i8": "q"}[kind.group(1) + kind.group(2)]
    return array.array(code, b[at:])


def same(a, b):
    for name in sorted(os.listdir(a)):
        x, y = read(os.path.join(a, name)), read(os.path.join(b, name))
        if len(x) != len(y) or any(abs(u - v) > 3e-4 * (1 + abs(v)) for u, v in zip(x, y) if v == v):
            return False
    return sorted(os.listdir(a)) == sorted(os.listdir(b))


def compare(name, dims, folder):
    file = os.path.join(LAYERS, name + ".mp")
    out = {}
    for target in ("cpu", "cuda"):
        d = os.path.join(folder, name + target) + "/"
        g = os.path.join(folder, name + target + "grad") + "/"
        args = ["run", file, "--graph", "karate", "--target", target, "--seed", "3", "--out", d] + dims
        r = run(args + ["--grad-out", g])
        if r.returncode == 1:                       # a layer without gradients
            r, g = run(args), None
        if r.returncode:
            print(r.stderr)
            return False
        out[target] = [x for x in (d, g) if x]
    return len(out["cpu"]) == len(out["cuda"]) and all(same(a, b) for a, b in zip(out["cuda"], out["cpu"]))


def main():
    probe = run(["run", os.path.join(LAYERS, "gcn.mp"), "--graph", "karate", "-D", "in=3", "-D", "out=2", "--target", "cuda"])
    if probe.returncode == 3 and not EMULATED:
        print("skipped: " + probe.stderr.strip())
        return 77
    check(probe.returncode == 0, "a layer runs: " + probe.stderr.strip())
    with tempfile.TemporaryDirectory() as folder:
        for name, dims in PROGRAMS.items():
            if os.path.exists(os.path.join(LAYERS, name + ".mp")):
                check(compare(name, [x for k, v in dims.items() for x in ("-D", f"{k}={v}")], folder), name + ": as on the CPU, forward and backward")

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
