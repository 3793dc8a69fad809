#!/usr/bin/env python3
"""Times the layers of bench/layers (or other programs) by `mpc bench`: a table of milliseconds and memory.

    bench/layers.py [--mpc build/release/mpc] [--graph SPEC] [--dim 64] [--threads 2] [LAYER or FILE.mp ...]
    bench/layers.py --open          the same as libraries with dims left open, beside what was compiled in memory
    bench/layers.py --backward      the passes of training: milliseconds, what the forward saves, the workspace of all passes
    bench/layers.py --json          a line of JSON a layer

Run it on a machine that does nothing else; `--min-time` is what each figure takes, in seconds. Exit status 1 when a layer failed.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ORDER = "spmm gcn sage gin gat gatv2 rgcn gatedgcn cgconv pna appnp edgeconv".split()

GRADIENTS = {"spmm": "x", "gcn": "x,W,b", "appnp": "x"}         # of the others all: weights by edge are given, as elsewhere


def bench(a, program, backward):
    command = [a.mpc, "bench", program, "--graph", a.graph, "-D", f"d={a.dim}", "--threads", str(a.threads), "--min-time", str(a.min_time), "--json"]
    name = os.path.basename(program).removesuffix(".mp")
    training = ["--backward", "--grad", GRADIENTS.get(name, "all")] if backward else []
    p = subprocess.run(command + training, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        raise RuntimeError((p.stderr.strip() or "no message").splitlines()[0])
    return json.loads(p.stdout)


def library(a, program, folder):
    out = os.path.join(folder, "layer.so")
    subprocess.run([a.mpc, program, "-o", out], check=True)
    return out


def row(a, name, program, folder):
    jit = bench(a, program, a.backward)
    cells = [f"{jit['forward_ms']['median']:.1f}"]
    if a.open:
        ahead = bench(a, library(a, program, folder), False)["forward_ms"]["median"]
        cells += [f"{ahead:.1f}", f"{ahead / jit['forward_ms']['median']:.2f}"]
    if a.backward:
        cells += [f"{jit[k]['median']:.1f}" for k in ("forward_train_ms", "backward_ms")]
        cells += [f"{jit['saved_bytes'] / 2**20:.1f}"]
    cells += [f"{jit['workspace_bytes'] / 2**20:.1f}"]
    if a.json:
        print(json.dumps(dict(jit, name=name)), flush=True)
    else:
        print(f"{name:<12}" + "".join(f"{c:>12}" for c in cells), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("layers", nargs="*", help="names of bench/layers, or programs whose sizes follow from d")
    p.add_argument("--mpc", default=os.path.join(HERE, "..", "build", "release", "mpc"))
    p.add_argument("--graph", default="rmat:17,2097152,1")
    p.add_argument("--dim", type=int, default=64)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--min-time", type=float, default=2)
    p.add_argument("--open", action="store_true", help="also as libraries with dims left open")
    p.add_argument("--backward", action="store_true", help="training passes, too")
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    failed = False
    head = ["forward ms"] + (["open ms", "open / jit"] if a.open else []) + (["train ms", "backward ms", "saved MiB"] if a.backward else []) + ["work MiB"]
    if not a.json:
        print(f"{'layer':<12}" + "".join(f"{c:>12}" for c in head))
    with tempfile.TemporaryDirectory() as folder:
        for name in a.layers or ORDER:
            program = name if name.endswith(".mp") else os.path.join(HERE, "layers", name + ".mp")
            try:
                row(a, os.path.basename(name).removesuffix(".mp"), program, folder)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as e:
                failed = True
                print(f"{name}: {e}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
