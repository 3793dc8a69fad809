"""What the examples are compiled to: kernels and stored arrays of each layer, pinned in plans.txt.

    plans.py MPC [--bless]

A line of plans.txt is a layer, or its backward pass; `--bless` writes the file anew, and the diff is read in review. Besides, no
plan of any example or of any program of the passes' tests may store an array by edge, unless STORED says why.
"""
import concurrent.futures
import difflib
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PINS = os.path.join(HERE, "plans.txt")
HEAD = """# layer: kernels (rows, and what each row walks); arrays that are stored besides inputs, outputs and what the forward saves.
# Made by plans.py --bless.
"""
# program, layer, array: why it may be stored by edge (docs/design.md, "Which values are stored")
STORED = {
    ("examples/layers/label_propagation.mp", "TextClassifier", "similarity"): "two wide rows an edge, read in each step of the loop",
    **{(program, layer, array): "a function of the distance, read again by the walks of both directions"
       for program, layer in (("examples/layers/potential.mp", "Potential"), ("examples/train/forces.mp", "ForceField"))
       for array in ("window", "div", "r")},
    **{(program, layer, "cast"): "the force along an edge, summed up at both of its ends"
       for program, layer in (("examples/layers/potential.mp", "Potential"), ("examples/train/forces.mp", "ForceField"))},
    **{("examples/layers/nnconv.mp", "MPNN", array): "the gradient of an edge input, summed up over the steps of a loop" for array in ("d.e", "next d.e")},
    ("tests/passes/programs/attention_forms.mp", "AttentionForms", "kept"): "a share by edge, read in each step of the loop",
}


def emitted(mpc, program, grad):
    p = subprocess.run([mpc, program, "--grad", grad, "--emit", "plan", "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return None if p.returncode else p.stdout


def plans(mpc, program):
    """(layer, kernels, stored) of each layer and pass; None where the program cannot be compiled."""
    text = emitted(mpc, program, "all") or emitted(mpc, program, "none")
    if text is None:
        return None
    found = []
    for line in text.splitlines():
        if m := re.match(r"plan (\w+)", line):
            found.append((m[1], [], []))
        elif m := re.match(r"kernel \d+ \S+  rows (\S+?),? ?(?:fiber ([^,]+))?(?:, tiles.*)?$", line):
            found[-1][1].append(m[1] + (f" over {m[2]}" if m[2] else ""))
        elif m := re.match(r"buffer \d+ (.+): \w+ (\S+) x (.+?)  work", line):
            found[-1][2].append((m[1], m[2], m[3]))
    return found


def few(elems):
    """A backward pass may keep numbers by edge, as few as a force or a share a head, between its walks of both directions: pinned, too."""
    return elems.isdigit() and int(elems) <= 8


def layer_of(plan):
    return re.sub("_(train|backward)$", "", plan)


def main():
    mpc = sys.argv[1]
    examples = sorted(glob.glob(os.path.join(ROOT, "examples", "layers", "*.mp")))
    others = sorted(set(glob.glob(os.path.join(ROOT, "examples", "**", "*.mp"), recursive=True)) - set(examples))
    others += sorted(glob.glob(os.path.join(ROOT, "bench", "layers", "*.mp")))
    others += sorted(glob.glob(os.path.join(ROOT, "tests", "passes", "programs", "*.mp")))
    lines, wrong = [], []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda f: plans(mpc, f), examples + others)
    for file, result in zip(examples + others, results):
        name = os.path.relpath(file, ROOT)
        for layer, kernels, stored in result or []:
            for array, rows, elems in stored:
                if rows == "edges" and (name, layer_of(layer), array) not in STORED and not (layer.endswith("_backward") and few(elems)):
                    wrong.append(f"{name}: {layer} stores {array} by edge ({elems} elements)")
            if file in examples and not layer.endswith("_train"):
                what = "; ".join(kernels) + " | " + (", ".join(f"{a}[{r}, {e}]" for a, r, e in stored) or "nothing")
                lines.append(f"{name} {layer.replace('_backward', ' backward')}: {len(kernels)}: {what}\n")
    if "--bless" in sys.argv:
        with open(PINS, "w") as f:
            f.write(HEAD + "".join(lines))
    with open(PINS) as f:
        pinned = [line for line in f if not line.startswith("#")]
    diff = list(difflib.unified_diff(pinned, lines, "plans.txt", "now", n=0))
    sys.stdout.writelines(diff)
    for line in wrong:
        print(line)
    sys.exit(1 if diff or wrong else 0)


main()
