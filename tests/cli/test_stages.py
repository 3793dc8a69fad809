"""--emit, --header, warnings, explain."""
import os
import re
import shutil
import subprocess

from harness import GCN, Case, main

GAT = """layer GAT(in, heads = 8, out, slope: real = 0.2) {
    node  x[in];
    param W[in, heads, out], a_src[heads, out], a_dst[heads, out];
    node    z = x @ W;
    edge    s = leaky_relu(dot(src.z, a_src) + dot(dst.z, a_dst), slope);
    message f = softmax(s)[:, None] * src.z;
    update  g = sum(f);
}
"""
# names that C has its own use for; an output named as an input of another layer is
ODD = """layer Odd(int, double = int * 2) {
    node  x[int];
    edge  w;
    param float[int, double];
    message f = w * src.x;
    update  module = sum(f) @ float;
}
"""


class Stages(Case):
    def test_vectors_of_each_machine(self):
        """Products and walks become vectors as wide as the machine has them, masks where it has those."""
        self.write("a.mp", GAT)
        machines = {"x86-64-v2": (r"\bmulps\b", r"%[yz]mm"), "x86-64-v3": (r"vfmadd\w+ps.*%ymm", "%zmm"),
                    "x86-64-v4": (r"vfmadd\w+ps.*%zmm", None), "aarch64": (r"fmla\s+v\d+\.4s", r"%[xyz]mm")}
        for arch, (there, not_there) in machines.items():
            text = self.mpc("a.mp", "--arch", arch, "--grad", "none", "--emit", "asm", "-o", "-")[0]
            self.assertGreater(len(re.findall(there, text)), 20, arch)
            if not_there:
                self.assertIsNone(re.search(not_there, text), arch)
            if arch == "x86-64-v4":
                self.assertRegex(text, r"\{%k\d\}", arch)

    def test_each_stage(self):
        self.write("a.mp", GAT)
        has = {"tokens": "layer", "ast": "GAT", "ir": "layer GAT", "plan": "kernel", "llvm": "define", "asm": "mp_module_v1",
               "header": "GAT(", "dot": "digraph"}
        for kind, text in has.items():
            self.assertIn(text, self.mpc("a.mp", "--emit", kind, "-o", "-")[0], kind)
            self.mpc("a.mp", "--emit", kind, "-o", "a." + kind)
            self.assertIn("a." + kind, self.files())
        self.mpc("a.mp", "--emit", "obj", "-o", "a.o")
        with open(self.path("a.o"), "rb") as f:
            self.assertEqual(f.read(4), b"\x7fELF")
        self.mpc("a.mp", "--emit", "so", "-o", "a.so")
        self.mpc("a.mp", "--emit", "so", "-o", "-", status=2)

    def test_after_each_pass(self):
        self.write("a.mp", GAT)
        before = self.mpc("a.mp", "--emit=ir@after:lower")[0]
        self.assertIn("softmax", before)
        known = self.mpc("a.mp", "--emit=ir@after:?", status=2)[1].split("the passes are ")[1].strip().split(", ")
        self.assertIn("hoist", known)
        for name in known:
            self.assertIn("layer GAT", self.mpc("a.mp", f"--emit=ir@after:{name}", "--verify")[0])
        self.assertNotEqual(before, self.mpc("a.mp", "--emit=ir")[0])

    def test_stages_of_a_wrong_program(self):
        self.write("a.mp", GAT.replace("@ W", "@ V"))
        for kind in ("ir", "plan", "llvm", "obj", "header", "dot"):
            out, err = self.mpc("a.mp", "--emit", kind, "-o", "-", status=1)
            self.assertEqual(out, "")
            self.assertIn("a.mp:4:", err)
        self.mpc("a.mp", "--emit", "ast")       # the tree is right

    def test_levels_and_variants(self):
        self.write("a.mp", GCN)
        want = None
        for args in (["-O0"], ["-O1"], ["-O2"], ["-O3"], ["--arch", "native"]):
            self.mpc("a.mp", "-o", "a.so", *args)
            table = self.mpc("run", "a.so", "--graph", "karate", "-D", "in=3", "-D", "out=2")[0]
            want = want or table
            self.assertEqual(table, want)
        if os.uname().machine == "x86_64":
            self.mpc("a.mp", "-o", "a.so", "--arch", "x86-64-v2", "--arch", "x86-64-v3", "--arch", "x86-64-v4")
            _, err = self.mpc("run", "a.so", "--graph", "karate", "-D", "in=3", "-D", "out=2", "--verbose")
            self.assertRegex(err, r"variant \d of 3")
            self.assertIn("machine", self.mpc("a.mp", "-o", "b.so", "--arch", "x86-64-v2", "--arch", "aarch64", status=3)[1])
            self.assertNotIn("b.so", self.files())
            # whatever their order, the best that runs is taken
            self.mpc("a.mp", "-o", "a.so", "--arch", "native", "--arch", "x86-64-v2")
            self.assertNotIn("x86-64-v2,", self.mpc("run", "a.so", "--graph", "karate", "-D", "in=3", "-D", "out=2", "--verbose")[1])
            needs = lambda cpu: re.search(r'"(x86-64-v[^"]*?)(?:\\00)?"', self.mpc("a.mp", "--emit", "llvm", "--arch", cpu)[0])[1]
            self.assertEqual([needs(cpu) for cpu in ("sandybridge", "haswell", "znver3", "sapphirerapids")],
                             ["x86-64-v2,+avx", "x86-64-v3", "x86-64-v3", "x86-64-v4"])
            self.mpc("a.mp", "--arch", "neoverse-v1", "--emit", "obj", "-o", "a.o")
            self.assertIn("MPC_CC", self.mpc("a.mp", "--arch", "aarch64", "-o", "b.so", status=3)[1])
            self.assertNotIn("b.so", self.files())

    def test_lines_of_the_source(self):
        self.write("a.mp", GAT)
        lines = lambda *args: set(map(int, re.findall(r"!DILocation\(line: (\d+)", self.mpc("a.mp", "--emit", "llvm", "-o", "-", *args)[0])))
        self.assertEqual(lines(), set())
        for level in ("-O0", "-O3"):
            self.assertLessEqual({4, 5, 7}, lines("-g", level))         # z, s, g with what is fused into it
        self.mpc("a.mp", "-g", "-o", "a.so")
        with open(self.path("a.so"), "rb") as f:
            self.assertIn(b".debug_line", f.read())
        sizes = ["--graph", "karate", "-D", "in=3", "-D", "out=2"]
        self.assertEqual(self.mpc("run", "a.so", *sizes)[0], self.mpc("run", "a.mp", "-g", *sizes)[0])

    def test_header(self):
        self.write("a.mp", GAT + ODD)
        self.mpc("a.mp", "--emit", "header", "-o", "a.h")
        with open(self.path("a.h")) as f:
            text = f.read()
        self.assertIn("int64_t heads", text)
        self.assertIn("double slope", text)
        self.assertIn("GAT_DEFAULT_heads 8", text)
        self.write("use.c", '#include "a.h"\nint main(void) { return (int)sizeof(&GAT) + (int)sizeof(&Odd) == 0; }\n')
        include = os.environ.get("MP_INCLUDE")
        for tool, standard in ((os.environ.get("CC", "cc"), "-std=c11"), ("c++", "-std=c++11")):
            if include and shutil.which(tool):
                command = [tool, standard, "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-I", include, "-fsyntax-only"]
                if "++" in standard:
                    command += ["-x", "c++"]
                p = subprocess.run(command + ["use.c"], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                self.assertEqual(p.returncode, 0, p.stdout)
        self.mpc("a.mp", "--emit", "header", "-D", "heads=4", "-o", "b.h")
        with open(self.path("b.h")) as f:
            self.assertNotIn("int64_t heads", f.read())

    def test_warnings(self):
        self.write("a.mp", GCN.replace("    update", "    node    unused = x + 1;\n    update"))
        self.assertEqual(self.mpc("a.mp", "--emit", "ir")[1], "")
        self.assertIn("warning", self.mpc("a.mp", "--emit", "ir", "-Wall")[1])
        self.assertIn("error", self.mpc("a.mp", "-o", "a.so", "-Wall", "-Werror", status=1)[1])
        self.mpc("run", "a.mp", "--graph", "karate", "-D", "in=2", "-D", "out=2", "-Werror", status=1)
        self.assertEqual(self.files(), ["a.mp"])

    def test_color(self):
        self.write("a.mp", "layer A() { update g = y; }")
        self.assertIn("\033[", self.mpc("a.mp", "--color=always", status=1)[1])
        self.assertNotIn("\033[", self.mpc("a.mp", "--color=auto", status=1)[1])

    def test_several_errors_at_once(self):
        self.write("a.mp", "layer A(d) { node x[d]; update g = y; update h = z; }")
        _, err = self.mpc("a.mp", status=1)
        self.assertEqual(err.count("error[name]"), 2)

    def test_explain(self):
        self.write("a.mp", GAT)
        out, _ = self.mpc("explain", "a.mp")
        for text in ("layer GAT", "kernels", "incoming edges", "no array by edge", "heads*out"):
            self.assertIn(text, out)
        out, _ = self.mpc("explain", "a.mp", "--graph", "karate", "-D", "in=16", "-D", "out=4")
        self.assertIn("156 edges", out)
        self.assertRegex(out, r"all kernels: .*flop, .*B; the equations one operation at a time: .*B")
        self.assertNotIn("heads*out", out)
        self.mpc("explain", "a.mp", "-o", "report.txt")
        self.assertIn("report.txt", self.files())

    def test_time(self):
        self.write("a.mp", GCN)
        self.assertIn("ms", self.mpc("a.mp", "--emit", "ir", "--time")[1])


main()
