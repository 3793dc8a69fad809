#!/usr/bin/env python3
"""Runs a program under valgrind: exit status 1 for errors and for memory that is definitely lost, 77
without valgrind.

    valgrind.py PROGRAM ARGUMENT...

What LLVM keeps until the process ends can still be reached and is no loss. Layers are compiled for the CPU;
valgrind knows AVX2 and no more, so the program is asked to compile for that (MPC_TEST_ARCH).
"""
import os
import shutil
import subprocess
import sys

valgrind = shutil.which("valgrind")
if not valgrind:
    print("valgrind is not installed")
    sys.exit(77)
here = os.path.dirname(os.path.abspath(__file__))
command = [valgrind, "--quiet", "--leak-check=full", "--show-leak-kinds=definite",
           "--errors-for-leak-kinds=definite", "--error-exitcode=1", "--num-callers=25",
           "--suppressions=" + os.path.join(here, "valgrind.supp"), *sys.argv[1:]]
sys.exit(1 if subprocess.run(command, env=dict(os.environ, MPC_TEST_ARCH="x86-64-v3")).returncode else 0)
