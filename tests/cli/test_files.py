"""Files that are not there or not right, and that nothing is left behind after a failure."""
import os
import unittest

from harness import GCN, Case, main

TWO = GCN + GCN.replace("GCN", "Second")


class Files(Case):
    def test_missing_folder_empty(self):
        self.assertIn("gone.mp", self.mpc("gone.mp", status=1)[1])
        os.mkdir(self.path("folder.mp"))
        self.assertIn("folder.mp", self.mpc("folder.mp", status=1)[1])
        self.write("empty.mp", "")
        self.assertIn("no layer", self.mpc("empty.mp", status=1)[1])
        self.assertEqual(self.files(), ["empty.mp", "folder.mp"])

    def test_bytes_that_are_no_text(self):
        self.write("a.mp", bytes(range(256)))
        self.assertIn("error[syntax]", self.mpc("a.mp", "-o", "a.so", status=1)[1])
        self.assertEqual(self.files(), ["a.mp"])

    @unittest.skipIf(os.geteuid() == 0, "root reads everything")
    def test_unreadable(self):
        self.write("a.mp", GCN)
        os.chmod(self.path("a.mp"), 0)
        self.assertIn("a.mp", self.mpc("a.mp", status=1)[1])

    def test_standard_input(self):
        self.assertIn("GCN", self.mpc("-", "--emit", "ast", stdin=GCN.encode())[0])

    def test_default_name_of_the_library(self):
        os.mkdir(self.path("sub"))
        self.write("sub/gcn.mp", GCN)
        self.mpc("sub/gcn.mp")
        self.assertEqual(self.files(), ["gcn.so", "sub"])

    def test_side_files(self):
        self.write("my gcn.mp", GCN)
        self.mpc("my gcn.mp", "-o", "out.so", "--header", "-MD")
        self.assertEqual(self.files(), ["my gcn.mp", "out.d", "out.h", "out.so"])
        with open(self.path("out.d")) as f:
            self.assertEqual(f.read(), "out.so: my\\ gcn.mp\n")
        self.mpc("my gcn.mp", "-o", "other.so", "--header=named.h")
        self.assertIn("named.h", self.files())

    def test_a_wrong_program_leaves_nothing(self):
        self.write("a.mp", GCN.replace("@ W", "@ V"))
        _, err = self.mpc("a.mp", "-o", "a.so", "--header", "-MD", status=1)
        self.assertRegex(err, r"a\.mp:6:\d+: error\[name\]")
        self.assertEqual(self.files(), ["a.mp"])

    def test_a_failure_keeps_what_was_there(self):
        self.write("a.mp", "nonsense")
        self.write("a.so", "before")
        self.mpc("a.mp", "-o", "a.so", status=1)
        with open(self.path("a.so")) as f:
            self.assertEqual(f.read(), "before")

    def test_no_such_folder_for_the_output(self):
        self.write("a.mp", GCN)
        for extra in ([], ["--header"], ["--emit", "ir"]):
            self.assertIn("no/such", self.mpc("a.mp", "-o", "no/such/a.so", *extra, status=3)[1])
        self.assertEqual(self.files(), ["a.mp"])

    def test_one_of_several_outputs_cannot_be_written(self):
        self.write("a.mp", GCN)
        self.mpc("a.mp", "-o", "a.so", "--header=no/such/a.h", status=3)
        self.assertEqual(self.files(), ["a.mp"])
        self.mpc("run", "a.mp", "--graph", "karate", "-D", "in=3", "-D", "out=2", "--out", "g=g.npy", "--out", "g=no/g.npy", status=3)
        self.assertEqual(self.files(), ["a.mp"])

    def test_a_folder_in_the_way(self):
        self.write("a.mp", GCN)
        os.mkdir(self.path("g.npy"))
        self.mpc("run", "a.mp", "--graph", "karate", "-D", "in=3", "-D", "out=2", "--out", "g=g.npy", status=3)
        self.assertEqual(self.files(), ["a.mp", "g.npy"])

    def test_without_a_linker(self):
        self.write("a.mp", GCN)
        self.env["PATH"] = self.dir
        self.assertIn("linker", self.mpc("a.mp", "-o", "a.so", status=3)[1])
        self.assertEqual(self.files(), ["a.mp"])
        # to run needs none
        self.mpc("run", "a.mp", "--graph", "karate", "-D", "in=3", "-D", "out=2")

    def test_libraries_that_are_none(self):
        self.write("a.so", b"\x7fELF" + b"\0" * 60)
        self.assertIn("a.so", self.mpc("run", "a.so", "--graph", "karate", status=1)[1])

    def test_format(self):
        ragged = GCN.replace("    ", "  ").replace(" = ", "=")
        self.write("a.mp", ragged)
        out, _ = self.mpc("fmt", "a.mp")
        self.mpc("fmt", "--check", "a.mp", status=1)
        with open(self.path("a.mp")) as f:
            self.assertEqual(f.read(), ragged)
        self.mpc("fmt", "-i", "a.mp")
        with open(self.path("a.mp")) as f:
            self.assertEqual(f.read(), out)
        self.mpc("fmt", "--check", "a.mp")
        self.mpc("fmt", "a.mp", "-o", "b.mp")
        self.write("bad.mp", "layer A {{")
        self.mpc("fmt", "-i", "bad.mp", status=1)
        with open(self.path("bad.mp")) as f:
            self.assertEqual(f.read(), "layer A {{")
        self.assertEqual(self.files(), ["a.mp", "b.mp", "bad.mp"])

    def test_layers(self):
        self.write("a.mp", TWO)
        self.mpc("a.mp", "-o", "a.so")
        for name in ("GCN", "Second"):
            run = self.json("run", "a.so", "--graph", "karate", "-D", "in=3", "-D", "out=2", "--layer", name)
            self.assertEqual(run["layer"], name)
        self.assertEqual(self.json("run", "a.mp", "--graph", "karate", "-D", "in=3", "-D", "out=2")["layer"], "Second")
        for file in ("a.mp", "a.so"):
            self.assertIn("Secnd", self.mpc("run", file, "--graph", "karate", "--layer", "Secnd", status=1)[1])


main()
