"""Graphs in every form, arrays of every origin, and data that is wrong."""
import os

from harness import COUNT, GCN, SPMM, Case, load, main, save

# an index, a graph's value, and an edge vector
MIXED = """layer Mixed(d, R) {
    edge  rel: index(R);
    edge  e[d];
    node  x[d];
    param E[R, d];
    message f = src.x * E[rel] + e;
    update  g = sum(f);
    update graph p = mean(x);
}
"""


class Graphs(Case):
    def count(self, spec, *args):
        self.write("count.mp", COUNT)
        self.mpc("run", "count.mp", "--graph", spec, "--out", "g=g.npy", *args)
        return load(self.path("g.npy"))[2]

    def test_formulas(self):
        self.assertEqual(sum(self.count("karate")), 156)
        self.assertEqual(self.count("complete:4"), [4] * 4)
        self.assertEqual(sum(self.count("er:50,300,1")), 300)
        self.assertEqual(sum(self.count("rmat:6,500,3")), 500)
        self.assertEqual(self.count("rmat:6,500,3"), self.count("rmat:6,500,3"))

    def test_formulas_that_are_none(self):
        self.write("count.mp", COUNT)
        for spec in ("complete:", "complete:-3", "complete:x", "rmat:6", "rmat:6,500", "rmat:99,5,1", "er:0,5,1", "er:5,-1,0",
                     "complete:99999999999999999999", "no/such/thing", ""):
            self.mpc("run", "count.mp", "--graph", spec, "--out", "g=g.npy", status=2 if not spec else 1)
        self.assertEqual(self.files(), ["count.mp"])

    def test_edge_list(self):
        self.write("g.txt", "# a comment\n0 1\n1 2\n\n2 0\n0 2\n")
        self.assertEqual(self.count("g.txt"), [1, 1, 2])
        self.write("bad.txt", "0 1\n1 two\n")
        self.assertIn("bad.txt:2", self.mpc("run", "count.mp", "--graph", "bad.txt", status=1)[1].replace("line ", ""))

    def test_weights_bind_to_the_only_scalar_edge_input(self):
        self.write("spmm.mp", SPMM)
        self.write("g.txt", "0 1 0.5\n1 0 2\n0 0 1\n")
        save(self.path("x.npy"), [2, 1], [1, 10])
        self.mpc("run", "spmm.mp", "--graph", "g.txt", "--in", "x=x.npy", "--out", "g=g.npy")
        self.assertEqual(load(self.path("g.npy"))[2], [21, 0.5])
        two = SPMM.replace("edge w;", "edge w, v;").replace("w * src.x", "(w + v) * src.x")
        self.write("two.mp", two)
        save(self.path("v.npy"), [3], [0, 0, 0])
        self.mpc("run", "two.mp", "--graph", "g.txt", "--in", "x=x.npy", "--in", "v=v.npy", "--out", "g=g.npy")
        self.assertEqual(load(self.path("g.npy"))[2], [21, 0.5])
        self.mpc("run", "two.mp", "--graph", "g.txt", "--in", "x=x.npy", "--in", "v=v.npy", "--weight", "w", "--out", "g=g.npy")
        self.assertIn("wieght", self.mpc("run", "two.mp", "--graph", "g.txt", "--weight", "wieght", status=1)[1])
        self.assertIn("edge", self.mpc("run", "two.mp", "--graph", "g.txt", "--weight", "x", status=1)[1])
        self.assertIn("weights", self.mpc("run", "two.mp", "--graph", "complete:3", "--weight", "w", "-D", "d=1", status=1)[1])

    def test_matrix_market(self):
        self.write("g.mtx", "%%MatrixMarket matrix coordinate real symmetric\n% note\n3 3 2\n2 1 0.5\n3 1 0\n")
        self.assertEqual(self.count("g.mtx"), [2, 1, 1])
        self.write("bad.mtx", "%%MatrixMarket matrix coordinate real general\n3 3 1\n4 1 1\n")
        self.mpc("run", "count.mp", "--graph", "bad.mtx", status=1)

    def test_dense_adjacency(self):
        os.mkdir(self.path("dense"))
        save(self.path("dense/A.npy"), [3, 3], [0, 2, 0, 0, 0, 3, 4, 0, 0])
        self.assertEqual(self.count("dense"), [1, 1, 1])
        self.write("spmm.mp", SPMM)
        save(self.path("dense/x.npy"), [3, 1], [1, 1, 1])
        self.mpc("run", "spmm.mp", "--graph", "dense", "--out", "g=g.npy")
        self.assertEqual(load(self.path("g.npy"))[2], [4, 2, 3])

    def test_isolated_nodes_by_rows_of_an_array(self):
        self.write("gcn.mp", GCN)
        self.graph("g", [0, 1], [1, 0], x=([4, 2], [1] * 8))
        self.assertEqual(self.json("run", "gcn.mp", "--graph", "g", "-D", "out=1")["nodes"], 4)
        # where the number is given, it holds
        self.write("g/num_nodes.txt", "3\n")
        self.assertIn("x", self.mpc("run", "gcn.mp", "--graph", "g", "-D", "out=1", status=1)[1])

    def test_compressed_rows(self):
        self.write("gcn.mp", GCN)
        self.graph("dense", [0, 1], [1, 0], 3, x=([3, 2], [0, 1, 2, 0, 0, 0]), W=([2, 1], [1, 1]), b=([1], [0]))
        self.graph("sparse", [0, 1], [1, 0], 3, W=([2, 1], [1, 1]), b=([1], [0]), x_indptr=([4], [0, 1, 2, 2], "i"),
                   x_indices=([2], [1, 0], "i"), x_data=([2], [1, 2]), x_shape=([2], [3, 2], "i"))
        for g in ("dense", "sparse"):
            self.mpc("run", "gcn.mp", "--graph", g, "--out", f"g={g}.npy")
        self.assertEqual(load(self.path("dense.npy")), load(self.path("sparse.npy")))
        save(self.path("sparse/x_indices.npy"), [2], [1, 9], "i")
        self.assertIn("x_indices", self.mpc("run", "gcn.mp", "--graph", "sparse", status=1)[1])

    def test_batches(self):
        self.write("m.mp", MIXED)
        self.graph("g", [0, 1, 2], [1, 0, 2], 4, graph_ptr=([4], [0, 2, 3, 4], "i"), x=([4, 1], [1, 3, 5, 7]))
        self.mpc("run", "m.mp", "--graph", "g", "-D", "R=2", "--out", "p=p.npy")
        self.assertEqual(load(self.path("p.npy"))[1:], ([3, 1], [2, 5, 7]))
        save(self.path("g/graph_ptr.npy"), [3], [0, 1, 4], "i")
        self.mpc("run", "m.mp", "--graph", "g", "-D", "R=2", status=1)      # an edge between two graphs

    def test_edge_values_come_back_in_the_order_of_the_list(self):
        self.write("e.mp", "layer E() { edge w; update edge y = w * 2; }")
        self.graph("g", [2, 0, 1, 0], [0, 2, 0, 1], 3, w=([4], [1, 2, 3, 4]))
        self.mpc("run", "e.mp", "--graph", "g", "--out", "y=y.npy")
        self.assertEqual(load(self.path("y.npy"))[2], [2, 4, 6, 8])


class Arrays(Case):
    def test_other_float_types_are_converted(self):
        self.write("spmm.mp", SPMM)
        self.graph("g", [0, 1], [1, 0], 2, x=([2, 1], [1, 2], "d"), w=([2], [1, 1], "d"))
        for real, descr in (("f32", "<f4"), ("f64", "<f8"), ("f16", "<f2"), ("bf16", "<f4")):
            self.mpc("run", "spmm.mp", "--graph", "g", "--real", real, "--out", "g=g.npy")
            self.assertEqual(load(self.path("g.npy")), (descr, [2, 1], [2, 1]))

    def test_folder_of_all_outputs(self):
        self.write("m.mp", MIXED)
        self.mpc("run", "m.mp", "--graph", "karate", "-D", "R=2", "-D", "d=3", "--out", "all/")
        self.assertEqual(sorted(os.listdir(self.path("all"))), ["g.npy", "p.npy"])

    def test_seed(self):
        self.write("m.mp", MIXED)
        got = []
        for args in (["--seed", "1"], ["--seed", "1", "--threads", "1"], ["--seed", "2"]):
            self.mpc("run", "m.mp", "--graph", "karate", "-D", "R=2", "-D", "d=3", "--out", "g=g.npy", *args)
            got.append(load(self.path("g.npy"))[2])
        self.assertEqual(got[0], got[1])
        self.assertNotEqual(got[0], got[2])

    def test_names(self):
        self.write("gcn.mp", GCN)
        base = ["run", "gcn.mp", "--graph", "karate", "-D", "in=2", "-D", "out=2"]
        save(self.path("x.npy"), [34, 2], [0] * 68)
        self.assertIn("xx", self.mpc(*base, "--in", "xx=x.npy", status=1)[1])
        self.assertIn("output", self.mpc(*base, "--in", "g=x.npy", status=1)[1])
        self.assertIn("no output", self.mpc(*base, "--out", "x=y.npy", status=1)[1])
        self.assertIn("h", self.mpc(*base, "--out", "h=y.npy", status=1)[1])
        self.assertIn("gone.npy", self.mpc(*base, "--in", "x=gone.npy", status=1)[1])
        self.assertEqual(self.files(), ["gcn.mp", "x.npy"])

    def test_shapes(self):
        self.write("gcn.mp", GCN)
        save(self.path("x.npy"), [34, 3], [0] * 102)
        save(self.path("W.npy"), [2, 2], [0] * 4)
        _, err = self.mpc("run", "gcn.mp", "--graph", "karate", "--in", "x=x.npy", "--in", "W=W.npy", status=1)
        self.assertIn("W", err)
        _, err = self.mpc("run", "gcn.mp", "--graph", "karate", "--in", "x=x.npy", "-D", "in=2", "-D", "out=2", status=1)
        self.assertIn("x", err)
        _, err = self.mpc("run", "gcn.mp", "--graph", "karate", "--in", "x=x.npy", status=1)
        self.assertIn("out", err)       # nothing tells it

    def test_static_arguments_of_a_library(self):
        self.write("gcn.mp", GCN)
        self.mpc("gcn.mp", "-o", "open.so")
        self.mpc("gcn.mp", "-o", "fixed.so", "-D", "out=2")
        dims = self.json("run", "open.so", "--graph", "karate", "-D", "in=3", "-D", "out=2")["dims"]
        self.assertEqual(dims, {"in": 3, "out": 2})
        self.mpc("run", "fixed.so", "--graph", "karate", "-D", "in=3", "-D", "out=2")
        self.assertIn("2", self.mpc("run", "fixed.so", "--graph", "karate", "-D", "in=3", "-D", "out=4", status=1)[1])
        for define in ("out=0", "out=-1", "out=x", "out=1.5", "out=99999999999999999999", "width=3"):
            for file in ("open.so", "gcn.mp"):
                self.mpc("run", file, "--graph", "karate", "-D", "in=3", "-D", define, status=1)

    def test_index_arrays(self):
        self.write("m.mp", MIXED)
        base = ["run", "m.mp", "--graph", "g", "-D", "R=2", "-D", "d=1"]
        self.graph("g", [0, 1], [1, 0], 2, rel=([2], [0, 1], "q"))
        self.mpc(*base)
        for values, code in (([0, 2], "i"), ([0, -1], "i"), ([0, 1], "f")):
            save(self.path("g/rel.npy"), [2], values, code)
            self.assertIn("rel", self.mpc(*base, status=1)[1])


main()
