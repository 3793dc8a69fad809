"""`mpc check` tells an error from rounding: a command with one planted in it (planted.c) must find it wrong, and without it right.

    planted.py COMMAND LAYERS
"""
import json
import os
import subprocess
import sys

COMMAND, LAYERS = sys.argv[1:3]


def check(name, plant):
    p = subprocess.run([COMMAND, "check", os.path.join(LAYERS, name + ".mp"), "--json", "--seed", "1"], stdout=subprocess.PIPE,
                       env=dict(os.environ, MPC_CACHE_DIR="", PLANT=plant))
    report = json.loads(p.stdout)
    if (p.returncode == 0) != report["right"]:
        sys.exit(f"{name}: status {p.returncode}, but right is {report['right']}")
    return {kind: [v["name"] for v in report[kind] if not v["right"]] for kind in ("outputs", "derivatives", "gradients")}


# Layers in which numbers cancel, and one with the rule.
for name, plant in (("ggnn", "rule"), ("gat", "gradient"), ("graphnorm", "gradient"), ("transformer_conv", "gradient")):
    right, wrong = check(name, "nothing"), check(name, plant)
    if any(right.values()):
        sys.exit(f"{name}: {right} are found wrong")
    kind = "derivatives" if plant == "rule" else "gradients"
    others = [v for k in wrong if k != kind for v in wrong[k]]
    if not wrong[kind] or others:
        sys.exit(f"{name}, a wrong {plant}: {wrong}")
    print(name, plant, wrong[kind])
