"""The kernels of the CUDA printer, run by the emulator, against those of the CPU back end: outputs and gradients.

    emulated.py MPC EMULATED_MPC PROGRAM

Each set of dims (widths of whole vectors, odd ones, dims left open) is one library of each side, which runs on several graphs. Floating
inputs, params and cotangents are numbers of chance, the same for all. Results agree within rounding, and are the same bits when the
threads of each block run in the other order.

What rounding is, is measured: the CPU runs the same numbers in double precision, too, and once more with all of them a little changed.
Each array may be off by some times the largest error that f32 made in it there, and by a few units in the last place of its largest
element. Nothing else is allowed but where numbers cancel to nothing: by one unit of the largest element of the run.
"""
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.argv, ARGS = sys.argv[:1], sys.argv[1:]
from harness import load, save  # noqa: E402

VECTORS = {"in": 16, "out": 8, "hid": 16, "d": 16, "k": 4, "heads": 4, "ff": 32, "classes": 8, "R": 3, "T": 3, "K": 4, "ku": 8, "ki": 8,
           "pool": 16, "atoms": 8, "bonds": 4, "species": 4, "users_and_items": 60}
ODD = {"in": 7, "out": 5, "hid": 9, "d": 6, "k": 3, "heads": 3, "ff": 11, "classes": 3, "R": 4, "T": 2, "K": 3, "ku": 5, "ki": 3, "pool": 7,
       "atoms": 5, "bonds": 3, "species": 3, "users_and_items": 60}
GRAPHS = ("rmat:6,500,3", "er:60,150,1", "er:5,0,1", "complete:1")
TIMES, UNITS = 8, 16        # the measured error; units of f32 of the array's largest element
UNIT = 2.0 ** -24
DRAWS = 2                   # numbers for which the error is measured: an element may be rounded well by chance


def layer_of(program):
    """Name of the last layer, and of its dims."""
    with open(program) as f:
        name, head = re.findall(r"^layer (\w+)\(([^)]*)\)", f.read(), re.M)[-1]
    return name, [s.split("=")[0].strip() for s in head.split(",") if s.strip() and ":" not in s]


def run(command, args, env=None):
    p = subprocess.run([command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       env=dict(os.environ, MPC_CACHE_DIR="", **(env or {})))
    return p.returncode, p.stdout, f"{' '.join([command, *args])}\nstatus {p.returncode}: {p.stderr[:2000]}"


def shapes(command, library, args, folder):
    """Shapes of the floating inputs and params and of the floating outputs, by name; None where the layer does not take the graph."""
    for grad in (["--grad-out", folder + "/"], []):         # layers without any gradient have none to write
        status, out, text = run(command, ["run", library, *args, "--json", *grad])
        if status == 0:
            told = json.loads(out)
            found = [{v["name"]: v["shape"] for v in told.get(kind, []) if "float" in v["type"]} for kind in ("gradients", "outputs")]
            if grad and not all(found):
                sys.exit(f"no floating gradients, or outputs: {out}")
            return found
        if status != 1:
            sys.exit(text)
    return None


def numbers(folder, option, of, title, near):
    """Options that bind f32 numbers of chance: matrices that are bound with columns of length about 1. near: changed by so much."""
    os.makedirs(folder, exist_ok=True)
    options = []
    for name, shape in of.items():
        r, moved = random.Random(f"{title} {option} {name}"), random.Random(f"{title} {option} {name} moved")
        scale = shape[0] ** -0.5 if len(shape) > 1 and option == "--in" and shape[0] else 1
        path = os.path.join(folder, f"{option[2:]}.{name}.npy")
        save(path, shape, [scale * r.gauss(0, 1) * (1 + near * moved.gauss(0, 1)) for _ in range(math.prod(shape))])
        options += [option, f"{name}={path}"]
    return options


def results(command, library, args, folder, gradients, env=None):
    """What a run of the library writes: arrays by name, those of gradients with "grad/" in front. None where it does not take the graph."""
    os.makedirs(os.path.join(folder, "grad"))
    status, _, text = run(command, ["run", library, *args, "--out", folder + "/", *(["--grad-out", folder + "/grad/"] if gradients else [])], env)
    if status == 1:
        return None
    if status:
        sys.exit(text)
    return {os.path.relpath(os.path.join(at, name), folder): load(os.path.join(at, name))
            for at, _, names in sorted(os.walk(folder)) for name in sorted(names)}


def finite(v):
    return v == v and abs(v) != float("inf")


def largest(values):
    return max((abs(v) for v in values if finite(v)), default=0)


def bounds(runs):
    """How much an element of each array may be off: runs are pairs of f32's results and f64's."""
    single = runs[0][0]
    whole = max((largest(values) for _, _, values in single.values()), default=0)
    allowed = {}
    for name, (_, _, values) in single.items():
        error = max((abs(a - b) for one, two in runs for a, b in zip(one[name][2], two[name][2]) if finite(a) and finite(b)), default=0)
        allowed[name] = TIMES * error + UNIT * (UNITS * largest(values) + whole)
    return allowed


def compare(what, got, want, allowed):
    """allowed: None: nothing."""
    if (got is None) != (want is None):
        sys.exit(f"{what}: only one side takes the graph")
    if got is None:
        return
    if got.keys() != want.keys():
        sys.exit(f"{what}: {sorted(got)} instead of {sorted(want)}")
    for name, (kind, shape, values) in want.items():
        if got[name][:2] != (kind, shape):
            sys.exit(f"{what}: {name} is {got[name][:2]} instead of {(kind, shape)}")
        most = allowed[name] if allowed else 0
        for i, (a, b) in enumerate(zip(got[name][2], values)):
            if a != b and (a == a or b == b) and not abs(a - b) <= most:
                sys.exit(f"{what}: {name}, element {i} is {a!r} instead of {b!r}; allowed are {most:.3g}")


def main():
    cpu, emulated, program = ARGS[:3]
    layer, names = layer_of(program)
    taken = 0
    with tempfile.TemporaryDirectory() as tmp:
        def library(command, name, *args):
            path = os.path.join(tmp, name + ".so")
            status, _, text = run(command, [program, "--layer", layer, "-o", path, *args])
            if status:
                sys.exit(text)
            return path

        for title, table in (("vectors", VECTORS), ("odd", ODD)):
            dims = [x for n in names for x in ("-D", f"{n}={table[n]}")]
            single, double = library(cpu, title + "-cpu", *dims), library(cpu, title + "-cpu64", "--real", "f64", *dims)
            sides = [("cuda", emulated, library(emulated, title + "-cuda", *dims))]
            sides.append(("reverse", emulated, sides[0][2]))
            if table is ODD:
                sides.append(("open", emulated, library(emulated, title + "-open", "--grad", "none")))
            for graph in GRAPHS:
                folder = os.path.join(tmp, title, graph.replace(":", "-"))
                args = ["--graph", graph, "--seed", "7", *dims]
                os.makedirs(folder)
                given = shapes(cpu, single, args, os.path.join(folder, "shapes"))
                gradients, runs, data, allowed = bool(given and given[0]), [], [], None
                for k in range(DRAWS if given else 0):
                    at = os.path.join(folder, f"in{k}")
                    inputs = numbers(at, "--in", given[0], f"{title} {graph}", 0.01 * k)
                    data.append([inputs, inputs + (numbers(at, "--cotangent", given[1], f"{title} {graph}", 0.01 * k) if gradients else [])])
                    runs.append([results(cpu, path, args + data[k][1], os.path.join(folder, f"{side}{k}"), gradients)
                                 for side, path in (("single", single), ("double", double))])
                inputs, both = data[0] if data else ([], [])
                want, forward = None, None
                if given:
                    taken += 1
                    want, allowed = runs[0][0], bounds(runs)
                    forward = {name: v for name, v in want.items() if os.sep not in name}
                for side, command, path in sides:
                    got = results(command, path, args + (inputs if side == "open" else both), os.path.join(folder, side),
                                  gradients and side != "open", {"EMU_REVERSE": "1"} if side == "reverse" else {})
                    what = f"{title}, {graph}, {side}"
                    if side == "reverse":
                        compare(what, got, before, None)
                    else:
                        compare(what, got, forward if side == "open" else want, allowed)
                    before = got
    if not taken:
        sys.exit("no graph is taken")
    print("the same")


main()
