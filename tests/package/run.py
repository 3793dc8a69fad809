#!/usr/bin/env python3
"""Installs the build into a temporary prefix, then builds and runs what an outside user would write.

    run.py BUILD OUTSIDE HERE CC

OUTSIDE is a CMake project (find_package, mpc_add_layer); jit.c of HERE is built by pkg-config's flags alone. What the
libraries show to the linker is what mp.symbols and mpc.symbols list.
"""
import os
import subprocess
import sys
import tempfile


def run(*command, env=None):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    if p.returncode:
        sys.exit(f"FAILED ({p.returncode}): {' '.join(command)}\n{p.stdout}")
    return p.stdout


def main():
    build, outside, here, cc = sys.argv[1:5]
    with tempfile.TemporaryDirectory(prefix="mpc-package-") as tmp:
        prefix, project = os.path.join(tmp, "prefix"), os.path.join(tmp, "build")
        env = dict(os.environ, MPC_CACHE_DIR="")
        run("cmake", "--install", build, "--prefix", prefix)
        lib = next(d for d, _, names in os.walk(prefix) if "libmp.so" in names)
        for wanted in ("bin/mpc", "include/mp.h", "include/mpc.h"):
            if not os.path.exists(os.path.join(prefix, wanted)):
                sys.exit(f"{wanted} is not installed")

        for name in ("mp", "mpc"):
            shown = run("nm", "-D", "--defined-only", "--format=posix", os.path.join(lib, f"lib{name}.so"))
            shown = sorted(line.split()[0] for line in shown.splitlines())
            with open(os.path.join(here, name + ".symbols")) as f:
                wanted = f.read().split()
            if shown != wanted:
                sys.exit(f"lib{name} shows other symbols than {name}.symbols says: {sorted(set(shown) ^ set(wanted))}")

        run("cmake", "-S", outside, "-B", project, f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={cc}", env=env)
        run("cmake", "--build", project, env=env)
        print(run(os.path.join(project, "outside"), os.path.join(project, "sage.so"), env=env))

        flags = "pkg-config is not there"
        try:
            flags = run("pkg-config", "--cflags", "--libs", "mpc", "mp",
                        env=dict(env, PKG_CONFIG_PATH=os.path.join(lib, "pkgconfig"))).split()
        except FileNotFoundError:
            flags = [f"-I{prefix}/include", f"-L{lib}", "-lmpc", "-lmp"]
        # the prefix in the .pc files is the one of configuration: the installed tree was moved
        flags = [f"-I{prefix}/include", f"-L{lib}"] + [f for f in flags if f.startswith("-l")]
        program = os.path.join(tmp, "jit")
        run(cc, "-std=c11", "-Wall", "-Werror", os.path.join(here, "jit.c"), "-o", program, *flags)
        print(run(program, env=dict(env, LD_LIBRARY_PATH=lib)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
