"""The kernels of the CUDA printer, run by the emulator, against those of the CPU back end: outputs and gradients.

    emulated.py MPC EMULATED_MPC PROGRAM

Each set of dims (widths of whole vectors, odd ones, dims left open) is one library of each side, which runs on several graphs. Results
agree within rounding, and are the same bits when the threads of each block run in the other order.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.argv, ARGS = sys.argv[:1], sys.argv[1:]
from harness import load  # noqa: E402

VECTORS = {"in": 16, "out": 8, "hid": 16, "d": 16, "k": 4, "heads": 4, "ff": 32, "classes": 8, "R": 3, "T": 3, "K": 4, "ku": 8, "ki": 8,
           "pool": 16, "atoms": 8, "bonds": 4, "species": 4, "users_and_items": 60}
ODD = {"in": 7, "out": 5, "hid": 9, "d": 6, "k": 3, "heads": 3, "ff": 11, "classes": 3, "R": 4, "T": 2, "K": 3, "ku": 5, "ki": 3, "pool": 7,
       "atoms": 5, "bonds": 3, "species": 3, "users_and_items": 60}
GRAPHS = ("rmat:6,500,3", "er:60,150,1", "er:5,0,1", "complete:1")
REL, ABS = 2e-4, 2e-5
GRADIENTS = 10              # times as much: behind a normalisation the cotangents of ones nearly cancel


def layer_of(program):
    """Name of the last layer, and of its dims."""
    with open(program) as f:
        name, head = re.findall(r"^layer (\w+)\(([^)]*)\)", f.read(), re.M)[-1]
    return name, [s.split("=")[0].strip() for s in head.split(",") if s.strip() and ":" not in s]


def run(command, args, env=None):
    p = subprocess.run([command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       env=dict(os.environ, MPC_CACHE_DIR="", **(env or {})))
    return p.returncode, f"{' '.join([command, *args])}\nstatus {p.returncode}: {p.stderr[:2000]}"


def results(command, library, args, folder, gradients, env):
    """What a run of the library writes, or None where the layer does not take the graph."""
    os.makedirs(os.path.join(folder, "grad"))
    args = [*args, "--out", folder + "/"]
    status, text = run(command, ["run", library, *args, "--grad-out", folder + "/grad/"], env) if gradients else (1, "")
    if status == 1:                     # layers without any have none to write
        status, text = run(command, ["run", library, *args], env)
    if status == 1:
        return None
    if status:
        sys.exit(text)
    return {os.path.relpath(os.path.join(at, name), folder): load(os.path.join(at, name))
            for at, _, names in sorted(os.walk(folder)) for name in sorted(names)}


def compare(what, got, want, exact):
    if (got is None) != (want is None):
        sys.exit(f"{what}: only one side takes the graph")
    if got is None:
        return
    if got.keys() != want.keys():
        sys.exit(f"{what}: {sorted(got)} instead of {sorted(want)}")
    for name, (kind, shape, values) in want.items():
        if got[name][:2] != (kind, shape):
            sys.exit(f"{what}: {name} is {got[name][:2]} instead of {(kind, shape)}")
        allowed = ABS * (GRADIENTS if os.sep in name else 1)
        largest = max((abs(v) for v in values if v == v and abs(v) != float("inf")), default=0)
        for i, (a, b) in enumerate(zip(got[name][2], values)):
            same = a == b or (a != a and b != b)
            if not same and (exact or not abs(a - b) <= allowed * max(largest, 1) + REL * abs(b)):
                sys.exit(f"{what}: {name}, element {i} is {a!r} instead of {b!r}")


def main():
    cpu, emulated, program = ARGS[:3]
    layer, names = layer_of(program)
    taken = 0
    with tempfile.TemporaryDirectory() as tmp:
        def library(command, name, *args):
            path = os.path.join(tmp, name + ".so")
            status, text = run(command, [program, "--layer", layer, "-o", path, *args])
            if status:
                sys.exit(text)
            return path

        for title, table in (("vectors", VECTORS), ("odd", ODD)):
            dims = [x for n in names for x in ("-D", f"{n}={table[n]}")]
            sides = [("cpu", cpu, library(cpu, title + "-cpu", *dims)), ("cuda", emulated, library(emulated, title + "-cuda", *dims))]
            sides.append(("reverse", emulated, sides[1][2]))
            if table is ODD:
                sides.append(("open", emulated, library(emulated, title + "-open", "--grad", "none")))
            for graph in GRAPHS:
                want = {}
                for side, command, path in sides:
                    got = results(command, path, ["--graph", graph, "--seed", "7", *dims],
                                  os.path.join(tmp, title, side, graph.replace(":", "-")), side != "open",
                                  {"EMU_REVERSE": "1"} if side == "reverse" else {})
                    what = f"{title}, {graph}, {side}"
                    if side == "cpu":
                        taken += got is not None
                        want = got
                    elif side == "reverse":
                        compare(what, got, before, True)
                    elif side == "open":
                        compare(what, got, want and {name: v for name, v in want.items() if os.sep not in name}, False)
                    else:
                        compare(what, got, want, False)
                    before = got
    if not taken:
        sys.exit("no graph is taken")
    print("the same")


main()
