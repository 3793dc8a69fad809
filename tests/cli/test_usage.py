"""Wrong usage, and what a tired user types."""
from harness import GCN, Case, main


class Usage(Case):
    def test_help_names_every_command(self):
        out, _ = self.mpc("--help")
        for word in ("run", "bench", "check", "fmt", "explain", "--graph", "-D", "Exit status"):
            self.assertIn(word, out)

    def test_help_of_a_command_has_its_options_alone(self):
        out, _ = self.mpc("run", "--help")
        self.assertIn("--graph", out)
        self.assertNotIn("--header", out)

    def test_version(self):
        self.assertRegex(self.mpc("--version")[0], r"^mpc \d+\.\d+\.\d+\n")

    def test_no_file(self):
        self.assertIn("no file", self.mpc(status=2)[1])
        self.assertIn("no file", self.mpc("run", "--graph", "karate", status=2)[1])

    def test_misspelled_option_gets_a_proposal(self):
        self.assertIn("--graph", self.mpc("run", "a.mp", "--grph", "karate", status=2)[1])

    def test_option_of_another_command(self):
        self.assertIn("--graph", self.mpc("a.mp", "--graph", "karate", status=2)[1])
        self.assertIn("--header", self.mpc("run", "a.mp", "--header", status=2)[1])

    def test_command_in_the_wrong_place(self):
        self.assertIn("comes first", self.mpc("a.mp", "run", "--layer", "A", status=2)[1])

    def test_two_files(self):
        self.assertIn("one file", self.mpc("a.mp", "b.mp", status=2)[1])

    def test_values_that_are_none(self):
        for args in (["-O4"], ["-Ofast"], ["--real", "f8"], ["--target", "tpu"], ["-Weverything"], ["--emit", "elf"], ["--emit"],
                     ["--emit", "ir@after:"], ["--emit", "ast@after:hoist"], ["-D", "heads"], ["--color=pink"], ["--arch", "z80"]):
            self.mpc(*["a.mp"] + args, status=2)
        for args in (["--threads", "0"], ["--threads", "many"], ["--seed", "-1"], ["--in", "x.npy"], ["--in", "=x.npy"],
                     ["--in", "x="], ["--out", "g.npy"], ["--min-time", "1"]):
            self.mpc(*["run", "a.mp", "--graph", "karate"] + args, status=2)
        self.mpc("bench", "a.mp", "--graph", "karate", "--min-time", "soon", status=2)

    def test_run_without_a_graph(self):
        self.write("a.mp", GCN)
        self.assertIn("--graph", self.mpc("run", "a.mp", status=2)[1])

    def test_unknown_pass_lists_those_there_are(self):
        self.write("a.mp", GCN)
        self.assertIn("hoist", self.mpc("a.mp", "--emit", "ir@after:hoits", "-o", "-", status=2)[1])

    def test_joined_and_separate_values(self):
        self.write("a.mp", GCN)
        a = self.mpc("a.mp", "--emit=ir", "-Din=3", "-O1")[0]
        self.assertEqual(a, self.mpc("--emit", "ir", "-D", "in=3", "a.mp")[0])

    def test_double_dash_ends_options(self):
        self.write("-a.mp", GCN)
        self.mpc("--emit", "ast", "--", "-a.mp")

    def test_a_machine_without_cuda(self):
        self.write("a.mp", GCN)
        self.env = dict(self.env, MPC_LIBCUDA="/nowhere", MPC_NVRTC="/nowhere")
        self.assertIn("NVRTC", self.mpc("a.mp", "--target", "cuda", status=3)[1])
        self.assertIn("CUDA", self.mpc("run", "a.mp", "--target", "cuda", "--graph", "karate", status=3)[1])

    def test_cuda_kernels_are_printed_without_cuda(self):
        self.write("a.mp", GCN)
        self.assertIn("GCN", self.mpc("a.mp", "--emit", "cuda", "-o", "-")[0])
        self.assertIn("architecture", self.mpc("a.mp", "--emit", "cubin", "--arch", "znver4", status=3)[1])

    def test_nvrtc_may_be_missing(self):
        self.write("a.mp", GCN)
        self.env["MPC_NVRTC"] = "/nowhere.so"
        for kind in ("ptx", "cubin"):
            self.assertIn("NVRTC", self.mpc("a.mp", "--emit", kind, "-o", "-", status=3)[1])


main()
