#!/usr/bin/env python3
"""Each block marked `mp` in the documents is a whole program: it compiles, as far as its IR, and is laid out as
`mpc fmt` would have it but for the columns of its comments.

    blocks.py MPC FILE.md ...
"""
import os
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```mp\n(.*?)^```$", re.M | re.S)


def blocks(path):
    """(line number, text) of each block."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for m in BLOCK.finditer(text):
        yield text.count("\n", 0, m.start(1)) + 1, m.group(1)


def without_layout_of_comments(text):
    return re.sub(r" +//", " //", text)


def run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def check(mpc, path, line, text, folder):
    """What is wrong with one block, or None."""
    program = os.path.join(folder, "block.mp")
    with open(program, "w", encoding="utf-8") as f:
        f.write("\n" * (line - 1) + text)   # messages then name the line of the document
    done = run([mpc, program, "--emit", "ir", "-o", "-"])
    if done.returncode:
        return done.stderr
    with open(program, "w", encoding="utf-8") as f:
        f.write(text)
    done = run([mpc, "fmt", program, "-o", "-"])
    if done.returncode:
        return done.stderr
    if without_layout_of_comments(done.stdout) != without_layout_of_comments(text):
        return "mpc fmt would write\n" + done.stdout
    return None


def main():
    mpc, files = sys.argv[1], sys.argv[2:]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            for line, text in blocks(path):
                wrong = check(mpc, path, line, text, folder)
                passed += wrong is None
                failed += wrong is not None
                if wrong is not None:
                    print(f"{path}:{line}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
