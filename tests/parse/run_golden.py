#!/usr/bin/env python3
"""Golden files of the lexer, the parser and the formatter.

    run_golden.py TOOL FOLDER [--bless]

For each NAME.mp in FOLDER and each of NAME.tokens, NAME.ast, NAME.err and NAME.fmt beside it, what TOOL
prints in that mode must be the file. A NAME.mp without any must obey the laws (TOOL laws). --bless
rewrites the files; to add one, create it empty.
"""
import os
import subprocess
import sys


def main():
    tool, folder = sys.argv[1:3]
    bless = "--bless" in sys.argv[3:]
    run = failed = 0
    for source in sorted(f for f in os.listdir(folder) if f.endswith(".mp")):
        path = os.path.join(folder, source)
        for mode in ("tokens", "ast", "err", "fmt", "laws"):
            golden = path[:-2] + mode
            if mode != "laws" and not os.path.exists(golden):
                continue
            run += 1
            command = [tool, mode, path]
            got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
            want = b""
            if mode != "laws" and not bless:
                with open(golden, "rb") as f:
                    want = f.read()
            if bless and mode != "laws" and got.returncode == 0:
                with open(golden, "wb") as f:
                    f.write(got.stdout)
            elif got.returncode != 0 or got.stdout != want:
                failed += 1
                print("FAILED", " ".join(command))
                print(got.stdout.decode("utf-8", "replace"))
                print("--- expected:\n" + want.decode("utf-8", "replace"))
    print("%d passed, %d failed" % (run - failed, failed))
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
