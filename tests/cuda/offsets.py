#!/usr/bin/env python3
"""Offsets of rows are 64 bits in every kernel of every program, with dims known and open, forward and backward: in the text that the
CUDA printer writes, pointers to rows multiply as mp_i64, and no number of a row, a member, a tile or a piece becomes an int. (What such
code does beyond 2^32 elements, device.c tries on an array that large.)

    offsets.py MPC PROGRAM...
"""
import re
import subprocess
import sys

NUMBERS = r"\b(row|member|at|tile0|tile1|block0|block1|block_row|block_last|piece|first\d*|end\d*|lo|hi)\b"
# What holds such a number, or what is computed of one, in 32 bits or less.
NARROW = re.compile(r"\b(?:int|unsigned|mp_u32|short|mp_u16) (\w+) = ([^;]*)")
ROW_POINTER = re.compile(r"\*const p\d+ = ([^;]*);")


def check(program, text, options):
    wrong, narrow = [], set()
    for line in text.splitlines():
        if line.startswith("#line") or line.startswith("static") or line.startswith("#define"):
            continue
        pointer = ROW_POINTER.search(line)
        if pointer and not re.fullmatch(r"\w+ \+ \(mp_i64\)\(.*\) \* \w+", pointer.group(1)):
            wrong.append(line)
        for name, value in NARROW.findall(line):
            narrow.add(name)
            # how many rows a tile has is few; a place among a tile's rows or a block's members, too
            value = re.sub(r"\(int\)\((?:tile1 - tile0|block1 - block0)\)", "", value)
            if re.search(NUMBERS, value):
                wrong.append(line)
    for line in wrong[:5]:
        print(f"{program} {' '.join(options)}: {line}")
    return not wrong


def kernels(text):
    """The kernels alone: what is in front of them is written by hand."""
    at = re.search(r"MP_KERNEL\(\d+\) k0_", text)
    return text[at.start():] if at else ""


def main():
    mpc, *programs = sys.argv[1:]
    ok, seen = True, 0
    for program in programs:
        with open(program) as f:
            dims = sorted({s.split("=")[0].strip() for head in re.findall(r"^layer \w+\(([^)]*)\)", f.read(), re.M)
                           for s in head.split(",") if s.strip() and ":" not in s})
        for options in ([], [x for d in dims for x in ("-D", f"{d}=8")]):
            p = subprocess.run([mpc, program, "--emit", "cuda", "-o", "-", "--grad", "all", *options], capture_output=True, text=True)
            if p.returncode:
                print(program, p.stderr)
                return 1
            text = kernels(p.stdout)
            seen += len(ROW_POINTER.findall(text))
            ok &= check(program, text, options)
    print(f"{seen} pointers to rows")
    # a planted one is found
    planted = "float *const p1 = b1 + row * 8;\nconst int t2 = member * 4;\n"
    return 0 if ok and seen > 100 and not check("planted", planted, []) else 1


sys.exit(main())
