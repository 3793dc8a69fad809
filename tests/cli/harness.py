"""What the tests of the command share: running it in a folder of its own, and .npy without NumPy.

Each test_AREA.py is a unittest whose first argument is the command.
"""
import array
import ast
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

MPC = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "mpc"

GCN = """layer GCN(in, out) {
    node  x[in];
    param W[in, out], b[out];
    node    n = rsqrt(in_degree + 1);
    message f = src.n * src.x;
    update  g = (n * (sum(f) + n * x)) @ W + b;
}
"""
# one scalar an edge, nothing else to choose
SPMM = """layer SpMM(d) {
    edge w;
    node x[d];
    message f = w * src.x;
    update  g = sum(f);
}
"""
COUNT = """layer Count() {
    update g = in_degree;
}
"""

CODES = {"f": ("<f4", "f"), "d": ("<f8", "d"), "i": ("<i4", "i"), "q": ("<i8", "q")}


def save(path, shape, values, code="f"):
    descr, kind = CODES[code]
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        f.write(array.array(kind, values).tobytes())


def load(path):
    """(descr, shape, list of numbers)"""
    with open(path, "rb") as f:
        raw = f.read()
    n = struct.unpack("<H", raw[8:10])[0]
    head = ast.literal_eval(raw[10:10 + n].decode())
    kinds = {"<f4": "f", "<f8": "d", "<f2": "e", "<i4": "i", "<i8": "q", "|b1": "?", "|u1": "B"}
    data = raw[10 + n:]
    kind = kinds[head["descr"]]
    return head["descr"], list(head["shape"]), [v[0] for v in struct.iter_unpack("<" + kind, data)]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="mpc-cli-")
        self.env = dict(os.environ, MPC_CACHE_DIR="", LC_ALL="C")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb" if isinstance(text, bytes) else "w") as f:
            f.write(text)
        return name

    def mpc(self, *args, status=0, stdin=None):
        """Runs the command in the test's folder; (stdout, stderr)."""
        p = subprocess.run([MPC, *args], cwd=self.dir, env=self.env, input=stdin, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=600, **({} if stdin else {"stdin": subprocess.DEVNULL}))
        out, err = p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")
        self.assertEqual(p.returncode, status, f"mpc {' '.join(args)}\n{out}\n{err}")
        if status:
            self.assertTrue(err.strip(), "a failure says why")
        return out, err

    def json(self, *args):
        return json.loads(self.mpc(*args, "--json")[0])

    def files(self):
        return sorted(os.listdir(self.dir))

    def graph(self, folder, src, dst, nodes=None, **arrays):
        """A graph folder; arrays as (shape, values[, code])."""
        os.makedirs(self.path(folder), exist_ok=True)
        save(os.path.join(self.path(folder), "edge_src.npy"), [len(src)], src, "i")
        save(os.path.join(self.path(folder), "edge_dst.npy"), [len(dst)], dst, "i")
        if nodes is not None:
            self.write(folder + "/num_nodes.txt", f"{nodes}\n")
        for name, value in arrays.items():
            save(os.path.join(self.path(folder), name + ".npy"), *value)
        return folder


def main():
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
