"""Every kernel of a program, of inference and of training, compiles to cubins by NVRTC, which needs no GPU; those of the standard
layers spill nothing.

    cubins.py MPC CUBIN_TOOL FOLDER PROGRAM [--all] [--module] [-v]

NVRTC is the one that CUBIN_TOOL finds, or one in FOLDER (scripts/nvrtc puts it there). Exit status 77 (skipped) without. Says which kernels
spill, and, with -v, the registers of each. With --all the second width, too, and the kernels for open dims: minutes a program.
With --module a library, too: the runtime's own kernels are in that.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

# Layers whose kernels must not spill, with two widths; dims of the others. Those that are not named stay open.
STANDARD = {"gcn": "in out", "sage": "in out", "gin": "in hid out", "pna": "in out", "gat": "in", "gatv2": "in", "rgcn": "in out",
            "edgeconv": "in hid out", "gatedgcn": "d", "appnp": "in hid out"}
WIDTHS = (64, 128)
OTHER = {"heads": 8, "k": 8, "R": 8, "K": 8, "T": 4, "ku": 16, "ki": 16, "ff": 128, "classes": 10, "atoms": 16, "bonds": 8, "species": 8}
ARCHS = ("sm_80", "sm_90")


def statics(program):
    """Names of the dims of the program's layers."""
    with open(program) as f:
        heads = re.findall(r"^layer \w+\(([^)]*)\)", f.read(), re.M)
    return sorted({s.split("=")[0].strip() for head in heads for s in head.split(",") if s.strip() and ":" not in s})


def sets_of(name, names, every):
    """(dims, architectures, must not spill)"""
    known = {n: OTHER.get(n, 64) for n in names if n != "users_and_items"}
    if name not in STANDARD:
        return [(known, ARCHS, False), ({}, ARCHS[:1], False)][:2 if every else 1]
    if "heads" in names:
        widths = [dict(known, out=w // 8, **({"in": w})) for w in WIDTHS]
    else:
        widths = [dict(known, **{n: w for n in STANDARD[name].split()}) for w in WIDTHS]
    return [(widths[0], ARCHS, True), (widths[1], ARCHS[1:], True), ({}, ARCHS[:1], False)][:3 if every else 1]


def nvrtc(folder):
    found = sorted(glob.glob(os.path.join(folder, "**", "libnvrtc.so.1[23]"), recursive=True))
    return {"MPC_NVRTC": found[-1]} if found and "MPC_NVRTC" not in os.environ else {}


def main():
    mpc, tool, folder, program, *flags = sys.argv[1:]
    verbose = "-v" in flags
    name, wrong, env = os.path.splitext(os.path.basename(program))[0], 0, dict(os.environ, **nvrtc(folder))
    for dims, archs, strict in sets_of(name, statics(program), "--all" in flags):
        text = [x for d, v in dims.items() for x in ("-D", f"{d}={v}")]
        p = subprocess.run([mpc, program, "--grad", "all" if dims else "none", "--emit", "cuda", "-o", "-", *text], stdout=subprocess.PIPE)
        if p.returncode:
            return 1
        for arch in archs:
            c = subprocess.run([tool, arch, program], input=p.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
            log = c.stdout.decode()
            if c.returncode == 77:
                print("skipped:", c.stderr.decode())
                return 77
            if c.returncode:
                print(f"{program} {' '.join(text)} {arch}: does not compile\n{log[:3000]}{c.stderr.decode()[:3000]}")
                wrong += 1
            kernels = re.findall(r"Function properties for (\S+)\n[^\n]*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
                                 r"(\d+) bytes spill loads\n[^\n]*Used (\d+) registers", log)
            for kernel, _, stores, loads, registers in kernels:
                if verbose:
                    print(f"  {kernel}: {registers} registers")
                if int(stores) or int(loads):
                    print(f"{program} {' '.join(text)} {arch}: {kernel}: {stores} bytes stored and {loads} loaded by spills")
                    wrong += strict
            print(f"{' '.join(text)} {arch}: {len(kernels)} kernels, at most {max((int(k[4]) for k in kernels), default=0)} registers")
    if "--module" in flags:
        with tempfile.TemporaryDirectory() as place:
            wrong += subprocess.run([mpc, program, "--target", "cuda", "--arch", "sm_80", "--arch", "sm_90", "-o", os.path.join(place, "l.so"), *text],
                                    env=env).returncode != 0
    return 1 if wrong else 0


sys.exit(main())
