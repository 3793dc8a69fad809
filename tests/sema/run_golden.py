#!/usr/bin/env python3
"""Golden files of the semantic stage and the lowering.

    run_golden.py TOOL FOLDER [--bless]

For each NAME.mp in FOLDER and each of NAME.err (diagnostics with -Wall) and NAME.ir (the lowered layer)
beside it, what TOOL prints must be the file. A first line "// args: …" of NAME.mp is given to TOOL. --bless
rewrites the files; to add one, create it empty.
"""
import difflib
import os
import subprocess
import sys

MODES = {"err": ["-Wall"], "ir": ["--ir"]}


def arguments(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        line = f.readline()
    return line[len("// args:"):].split() if line.startswith("// args:") else []


def main():
    tool, folder = sys.argv[1:3]
    bless = "--bless" in sys.argv[3:]
    run = failed = 0
    for source in sorted(f for f in os.listdir(folder) if f.endswith(".mp")):
        path = os.path.join(folder, source)
        for mode, flags in MODES.items():
            golden = path[:-2] + mode
            if not os.path.exists(golden):
                continue
            run += 1
            command = [tool] + flags + arguments(path) + [path]
            got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
            with open(golden, "rb") as f:
                want = f.read()
            crashed = got.returncode not in (0, 1)
            if bless and not crashed:
                with open(golden, "wb") as f:
                    f.write(got.stdout)
            elif crashed or got.stdout != want:
                failed += 1
                print("FAILED", " ".join(command), "status", got.returncode)
                sys.stdout.writelines(difflib.unified_diff(
                    want.decode("utf-8", "replace").splitlines(True),
                    got.stdout.decode("utf-8", "replace").splitlines(True), golden, "got"))
    print("%d passed, %d failed" % (run - failed, failed))
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
