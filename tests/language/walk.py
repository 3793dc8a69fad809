#!/usr/bin/env python3
"""Each layer of a file through `mpc check`: outputs, derivatives and gradients on graphs that it makes up.

    walk.py MPC FILE.mp
"""
import os
import re
import subprocess
import sys


def main():
    mpc, path = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", f.read(), flags=re.S)
    layers, failed = re.findall(r"\blayer\s+(\w+)", text), 0
    for layer in layers:
        p = subprocess.run([mpc, "check", path, "--layer", layer, "--no-cache"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, MPC_CACHE_DIR=""))
        if p.returncode:
            failed += 1
            print(f"{mpc} check {path} --layer {layer}: status {p.returncode}\n{p.stdout.decode('utf-8', 'replace')}")
    print(f"{len(layers)} layers, {failed} wrong")
    return 1 if failed or not layers else 0


if __name__ == "__main__":
    sys.exit(main())
