"""Running, timing and checking: what they print, and the same bits everywhere."""
from harness import GCN, Case, load, main

LOOP = """// PageRank as message passing, to convergence.
layer PageRank(damping: real = 0.85) {
    node    share = where(out_degree > 0, 1 / out_degree, 0);
    global  n = num_nodes;
    iterate r = 1 / n for 200 until change < 1e-9 {
        message f = src.share * src.r;
        global  lost = sum(where(out_degree > 0, 0, r));
        next r = (1 - damping) / n + damping * (sum(f) + lost / n);
    }
    update rank = r;
}
"""


class Run(Case):
    ARGS = ["--graph", "karate", "-D", "in=5", "-D", "out=3"]

    def setUp(self):
        super().setUp()
        self.write("gcn.mp", GCN)

    def test_table(self):
        out, _ = self.mpc("run", "gcn.mp", *self.ARGS)
        self.assertRegex(out, r"(?m)^g\s+\[34, 3\]\s+float32\s+\S+\s+\S+\s+\S+$")

    def test_json_of_run(self):
        j = self.json("run", "gcn.mp", *self.ARGS)
        self.assertEqual((j["layer"], j["target"], j["nodes"], j["edges"]), ("GCN", "cpu", 34, 156))
        self.assertEqual(j["dims"], {"in": 5, "out": 3})
        self.assertEqual(j["outputs"], [{"name": "g", "shape": [34, 3], "type": "float32"}])
        for key in ("compile_ms", "prepare_ms", "forward_ms", "workspace_bytes", "threads", "iterate"):
            self.assertIn(key, j)

    def test_json_of_bench(self):
        j = self.json("bench", "gcn.mp", *self.ARGS, "--min-time", "0.05", "--threads", "1")
        for key in ("layer", "target", "nodes", "edges", "dims", "compile_ms", "workspace_bytes", "saved_bytes", "peak_rss_bytes"):
            self.assertIn(key, j)
        f = j["forward_ms"]
        self.assertTrue(0 < f["min"] <= f["median"] <= f["max"])
        self.assertGreaterEqual(f["runs"], 3)
        self.assertEqual(j["threads"], 1)
        self.assertIn("GCN", self.mpc("bench", "gcn.mp", *self.ARGS, "--min-time", "0")[0])

    def test_iterations_are_reported(self):
        self.write("rank.mp", LOOP)
        it = self.json("run", "rank.mp", "--graph", "karate")["iterate"]
        self.assertEqual([i["name"] for i in it], ["r"])
        self.assertTrue(1 < it[0]["steps"] <= 100)
        self.assertLess(it[0]["change"], 1e-6)

    def test_same_bits(self):
        self.mpc("gcn.mp", "-o", "gcn.so")
        self.mpc("gcn.mp", "-o", "fixed.so", "-D", "in=5", "-D", "out=3")
        for files in (["gcn.mp", "fixed.so"], ["gcn.so"]):      # code for open dims may work in another order
            got = set()
            for file in files:
                for threads in ("1", "2", "5"):
                    self.mpc("run", file, *self.ARGS, "--threads", threads, "--out", "g=g.npy")
                    got.add(tuple(load(self.path("g.npy"))[2]))
            self.assertEqual(len(got), 1, files)

    def test_check(self):
        self.assertIn("right", self.mpc("check", "gcn.mp", *self.ARGS)[0])
        for real in ("f64", "f16", "bf16"):
            j = self.json("check", "gcn.mp", *self.ARGS, "--real", real)
            self.assertEqual([(o["name"], o["right"]) for o in j["outputs"]], [("g", True)])
        self.mpc("check", "gcn.mp", "--graph", "complete:6000", "-D", "in=500", "-D", "out=500", status=1)

    def test_check_on_graphs_made_up(self):
        out = self.mpc("check", "gcn.mp")[0]
        for words in ("hub", "no edges", "block", "derivatives", "all right"):
            self.assertIn(words, out)
        j = self.json("check", "gcn.mp", "--seed", "3")
        self.assertTrue(j["right"])
        self.assertEqual([d["name"] for d in j["derivatives"]], ["x", "W", "b"])
        self.assertTrue(all(d["right"] and d["directions"] for d in j["derivatives"] if d["name"] != "none"))
        self.assertEqual(self.json("check", "gcn.mp", "--grad", "none")["derivatives"], [])

    def test_check_has_dropout_on_a_graph_that_is_given(self):
        self.write("drop.mp", "layer Drop(d) { node x[d]; update g = dropout(sum(src.x), 0.5); }")
        self.mpc("check", "drop.mp", "--graph", "karate", "-D", "d=3")

    def test_check_knows_kinks_and_what_is_held(self):
        # relu at 0, a function with steps, stop_gradient, two sides, a dim that divides
        self.write("kinks.mp", """layer Kinks(d, heads) {
    node  x[d];
    param W[d / heads, heads], s;
    node  h = x.reshape(d / heads, heads) * W;
    update g = relu(h) + mean(src.h) * floor(3 * s) + stop_gradient(h) * h;
}
""")
        j = self.json("check", "kinks.mp")
        self.assertTrue(j["right"], j)
        self.write("sides.mp", """layer Sides(a, b) {
    src   u[a];
    dst   v[b];
    param W[a, b];
    message f = src.u @ W;
    update  g = mean(f) * v;
}
""")
        self.assertIn("two sides", self.mpc("check", "sides.mp")[0])

    def test_no_edges_and_no_nodes(self):
        self.graph("none", [], [], 3)
        self.graph("nothing", [], [], 0)
        for g, n in (("none", 3), ("nothing", 0)):
            self.assertEqual(self.json("run", "gcn.mp", "--graph", g, "-D", "in=2", "-D", "out=2")["outputs"][0]["shape"], [n, 2])
            self.mpc("bench", "gcn.mp", "--graph", g, "-D", "in=2", "-D", "out=2", "--min-time", "0")

    def test_names_of_derivatives(self):
        for args in (["--grad-out", "nosuch=x.npy"], ["--cotangent", "nosuch=g.npy"]):
            self.assertIn("nosuch", self.mpc("run", "gcn.mp", *self.ARGS, *args, status=1)[1])
        self.assertIn("output", self.mpc("run", "gcn.mp", *self.ARGS, "--grad-out", "g=g.npy", status=1)[1])
        self.assertIn("only outputs", self.mpc("run", "gcn.mp", *self.ARGS, "--cotangent", "x=g.npy", status=1)[1])
        self.assertIn("without derivatives", self.mpc("run", "gcn.mp", *self.ARGS, "--grad", "none", "--grad-out", "x=x.npy", status=1)[1])
        self.assertIn("'nosuch'", self.mpc("run", "gcn.mp", *self.ARGS, "--grad", "nosuch", status=1)[1])
        self.assertEqual(self.files(), ["gcn.mp"])

    def test_same_graph_larger_dims(self):
        # one library for all widths
        self.mpc("gcn.mp", "-o", "gcn.so")
        for d in (1, 3, 16, 17, 63, 64):
            args = ["--graph", "karate", "-D", f"in={d}", "-D", "out=7"]
            for file in ("gcn.so", "gcn.mp"):
                self.mpc("run", file, *args, "--out", f"g={file}.npy")
            a, b = load(self.path("gcn.so.npy"))[2], load(self.path("gcn.mp.npy"))[2]
            self.assertTrue(all(abs(x - y) <= 1e-4 for x, y in zip(a, b)))


main()
