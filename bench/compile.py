#!/usr/bin/env python3
"""Times the compiler: a line for each program, in milliseconds.

    bench/compile.py [--mpc build/release/mpc] [PROGRAM.mp ...]         default: examples/layers

Columns: code for known sizes made in memory, forward alone and with both passes of training; the same from the cache; a library for any
sizes (`mpc layer.mp -o layer.so`), forward alone and with training. A dash: the layer does not train. Exit status 1 when a layer failed.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SMALL = {"heads": 8, "out": 8, "k": 8, "relations": 8, "kinds": 8, "types": 8}


def sizes(program):
    """-D for each static argument of the last layer that has no default."""
    with open(program, encoding="utf-8") as f:
        arguments = re.findall(r"layer\s+\w+\(([^)]*)\)\s*\{", f.read())[-1]
    names = [a.split()[-1] for a in arguments.split(",") if a.strip() and "=" not in a]
    return [x for n in names for x in ("-D", f"{n}={SMALL.get(n, 32)}")]


def in_memory(a, program, *options, cache=None):
    command = [a.mpc, "bench", program, "--graph", "karate", "--min-time", "0.001", "--json"] + sizes(program) + list(options)
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, MPC_CACHE_DIR=cache or ""))
    if p.returncode:
        if "derivatives" in p.stderr:
            return None
        raise RuntimeError((p.stderr.strip() or "no message").splitlines()[0])
    return json.loads(p.stdout.splitlines()[0])["compile_ms"]


def library(a, program, folder, *options):
    start = time.monotonic()
    subprocess.run([a.mpc, program, "-o", os.path.join(folder, "layer.so"), *options], check=True, stderr=subprocess.DEVNULL)
    return (time.monotonic() - start) * 1e3


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("programs", nargs="*")
    p.add_argument("--mpc", default=os.path.join(HERE, "..", "build", "release", "mpc"))
    a = p.parse_args()
    failed = False
    print(f"{'layer':<20}{'forward':>9}{'training':>9}{'cache':>9}{'.so':>9}{'.so train':>10}")
    for program in a.programs or sorted(glob.glob(os.path.join(HERE, "..", "examples", "layers", "*.mp"))):
        name = os.path.basename(program).removesuffix(".mp")
        try:
            with tempfile.TemporaryDirectory() as folder:
                times = [in_memory(a, program, "--no-cache"), in_memory(a, program, "--no-cache", "--backward")]
                in_memory(a, program, cache=folder)
                times += [in_memory(a, program, cache=folder), library(a, program, folder, "--grad", "none"), library(a, program, folder)]
            print(f"{name:<20}" + "".join(f"{'-' if t is None else format(t, '.1f' if t < 10 else '.0f'):>{w}}" for t, w in zip(times, (9, 9, 9, 9, 10))), flush=True)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as e:
            failed = True
            print(f"{name}: {e}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
