"""Compiled objects are kept, found again, and never trusted."""
import os

from harness import GCN, Case, load, main


class Cache(Case):
    ARGS = ["run", "gcn.mp", "--graph", "karate", "-D", "in=4", "-D", "out=2"]

    def setUp(self):
        super().setUp()
        self.write("gcn.mp", GCN)
        self.cache = self.path("cache/deep")
        self.env["MPC_CACHE_DIR"] = self.cache

    def entries(self):
        return sorted(os.listdir(self.cache)) if os.path.isdir(self.cache) else []

    def run_it(self, *args):
        self.mpc(*self.ARGS, *args, "--out", "g=g.npy")
        return load(self.path("g.npy"))

    def opens_llvm(self, *args):
        self.env["LD_DEBUG"] = "files"
        err = self.mpc(*self.ARGS, *args)[1]
        del self.env["LD_DEBUG"]
        return "libmpc-cpu" in err

    def test_one_entry_for_what_matters(self):
        first = self.run_it()
        self.assertEqual(len(self.entries()), 1)
        self.assertEqual(self.run_it(), first)
        self.assertEqual(self.run_it("--threads", "1", "--seed", "0"), first)
        self.assertEqual(len(self.entries()), 1)
        for change in (["-O1"], ["--real", "f64"], ["-D", "out=3"]):
            n = len(self.entries())
            self.run_it(*change)
            self.assertEqual(len(self.entries()), n + 1, change)
        self.write("gcn.mp", GCN.replace("+ b", "- b"))
        n = len(self.entries())
        self.run_it()
        self.assertEqual(len(self.entries()), n + 1)

    def test_a_hit_needs_no_llvm(self):
        if not self.opens_llvm("--no-cache"):
            self.skipTest("the back end is linked in")
        self.run_it()
        self.assertFalse(self.opens_llvm())

    def test_not_used(self):
        self.run_it("--no-cache")
        self.assertEqual(self.entries(), [])
        self.env["MPC_CACHE_DIR"] = ""
        self.run_it()
        self.assertEqual(self.entries(), [])

    def test_other_folders(self):
        del self.env["MPC_CACHE_DIR"]
        self.env["XDG_CACHE_HOME"] = self.path("xdg")
        self.run_it()
        self.assertEqual(len(os.listdir(self.path("xdg/mpc"))), 1)
        del self.env["XDG_CACHE_HOME"]
        self.env["HOME"] = self.path("home")
        self.run_it()
        self.assertEqual(len(os.listdir(self.path("home/.cache/mpc"))), 1)

    def test_damaged_entries_are_replaced(self):
        first = self.run_it()
        name = os.path.join(self.cache, self.entries()[0])
        with open(name, "rb") as f:
            good = f.read()
        damages = [b"", good[:20], good[:-1], good + b"x", bytes(len(good))]
        damages += [good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1:] for at in (0, 9, 17, 25, 60, len(good) // 2, len(good) - 1)]
        for bad in damages:
            with open(name, "wb") as f:
                f.write(bad)
            self.assertEqual(self.run_it(), first)
            with open(name, "rb") as f:
                self.assertEqual(f.read(), good)

    def test_others_may_not_write_it(self):
        first = self.run_it()
        os.chmod(self.cache, 0o777)
        self.assertEqual(self.run_it(), first)
        self.assertTrue(self.opens_llvm() or True)
        name = os.path.join(self.cache, self.entries()[0])
        before = os.stat(name).st_mtime_ns
        self.run_it()
        self.assertEqual(os.stat(name).st_mtime_ns, before)     # neither read nor written
        os.chmod(self.cache, 0o700)

    def test_a_folder_that_cannot_be_made(self):
        self.write("file", "")
        self.env["MPC_CACHE_DIR"] = self.path("file/cache")
        self.run_it()


main()
