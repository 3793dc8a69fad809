#!/usr/bin/env python3
"""Malformed input through the command: whatever it is given, it ends by itself, in time, with a status that
it documents.

    malformed.py MPC EXAMPLES SUBJECT [--runs N] [--seconds S] [--sanitizer]

SUBJECT is one of programs, mutations, arrays, graphs, libraries, cache, sizes, training, disk. EXAMPLES is a folder of layers.
Of each run is asked: an exit status of 0 to 3 and no signal, less than S seconds, a message where the status is
not 0, and no output file after a failure. Seconds are the processor's, so that a busy machine is no failure. Mutations are drawn from fixed seeds. --sanitizer: the command was
built with one, which wants all of the address space.
"""
import argparse
import glob
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

MEMORY = 8 << 30
PATIENCE = 60       # as many times the seconds may pass on the clock
GCN = """layer GCN(in, out) {
    node  x[in];
    edge  w;
    param W[in, out];

    message f = w * (src.x @ W);
    update  g = sum(f);
}
"""


class Trial:
    """Runs the command and counts what it should not do."""

    def __init__(self, options, folder):
        self.options, self.folder, self.runs, self.failures = options, folder, 0, 0
        reports = "exitcode=99:abort_on_error=0:intercept_tls_get_addr=0"
        self.env = dict(os.environ, MPC_CACHE_DIR="",
                ASAN_OPTIONS=reports + ":allocator_may_return_null=1:detect_leaks=1",
                        UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:exitcode=99", LSAN_OPTIONS="exitcode=99")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
        return self.path(name)

    def limits(self):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        seconds = int(self.options.seconds + 1)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        if not self.options.sanitizer:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def run(self, what, *args, want=(0, 1, 2, 3), output=None, env=None):
        """`output` is what must not be there after a failure. Returns the status."""
        self.runs += 1
        start = time.monotonic()
        try:
            p = subprocess.run([self.options.mpc, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                               timeout=self.options.seconds * PATIENCE, preexec_fn=self.limits, env=env or self.env, cwd=self.folder)
            status, err = p.returncode, p.stderr.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            status, err = None, ""
        seconds = time.monotonic() - start
        wrong = None
        if status is None:
            wrong = f"still running after {seconds:.1f} s"
        elif status < 0:
            wrong = "took too long" if -status == signal.SIGXCPU else f"ended by signal {-status}"
        elif status not in want:
            wrong = f"status {status}, wanted {want}"
        elif "runtime error:" in err or "Sanitizer" in err:
            wrong = "a sanitizer's report"
        elif status and not err.strip():
            wrong = f"status {status} without a message"
        elif status and output and os.path.exists(output):
            wrong = f"status {status}, and left {output}"
        elif status and any(".part" in n for n in os.listdir(self.folder)):
            wrong = "left a partial file"
        if wrong:
            self.failures += 1
            keep = tempfile.mkdtemp(prefix="mpc-malformed-")
            shutil.copytree(self.folder, keep, dirs_exist_ok=True)
            print(f"{what}: {wrong}\n    {' '.join([self.options.mpc, *args])}\n    (files kept in {keep})\n    " +
                  "\n    ".join(err.strip().splitlines()[:12]))
            for n in os.listdir(self.folder):
                if ".part" in n:
                    os.unlink(self.path(n))
        if output and os.path.exists(output):
            os.unlink(output)
        return status


def npy(shape, kind, values):
    """A file of NumPy's, version 1."""
    codes = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|u1": "B"}
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({''.join(f'{n}, ' for n in shape)}), }}"
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack(f"<{len(values)}{codes[kind]}", *values)


def npy_with(head, body=b"\0" * 64, version=b"\x01\x00"):
    size = struct.pack("<H" if version[0] == 1 else "<I", len(head))
    return b"\x93NUMPY" + version + size + head.encode() + body


def damaged(r, content):
    """Some bytes changed, dropped, doubled, or the end cut off."""
    b = bytearray(content)
    for _ in range(r.randrange(1, 4)):
        if not b:
            break
        at, what = r.randrange(len(b)), r.randrange(5)
        if what == 0:
            b[at] ^= 1 << r.randrange(8)
        elif what == 1:
            b[at] = r.randrange(256)
        elif what == 2:
            del b[at:at + r.randrange(1, 20)]
        elif what == 3:
            b[at:at] = b[at:at + r.randrange(1, 20)]
        else:
            del b[at:]
    return bytes(b)


# ---- programs ---------------------------------------------------------------------------------------------

def odd_programs():
    body = "layer A(n) {{\n    node x[n];\n    update y = {};\n}}\n".format
    brackets = 100000
    yield "nothing", ""
    yield "a byte of 0", b"layer A(n) { node x[n]; \0 update y = x; }"
    yield "bytes", bytes(random.Random(1).randrange(256) for _ in range(20000))
    yield "an executable's beginning", b"\177ELF" + bytes(200)
    yield "wrong UTF-8", b"layer A(n) { node \xff\xfe[n]; update y = \xc0\x80; }"
    for left, right in ("()", "[]", "{}"):
        yield f"{left} 100000 times", left * brackets
        yield f"{right} 100000 times", right * brackets
        yield f"{left} in an expression", body(left * brackets + "x" + right * brackets)
    for op in ("-", "not ", "+"):
        yield f"{op!r} 100000 times", body(op * brackets + "x")
    yield "a sum of 200000 terms", body("x" + " + x" * 200000)
    yield "a power of 50000 powers", body("x" + " ** 2" * 50000)
    yield "calls 50000 deep", body("exp(" * 50000 + "x" + ")" * 50000)
    yield "subscripts 50000 deep", body("x" + "[:, None]" * 50000)
    yield "choices 50000 deep", body("where(x > 0, x, " * 50000 + "x" + ")" * 50000)
    yield "members 50000 deep", body("x" + ".x" * 50000)
    yield "one line of a megabyte", body("a" * 1000000)
    yield "a megabyte of digits", body("1" * 1000000)
    yield "a megabyte of spaces", " " * 1000000
    yield "a comment without end", "layer A(n) { // " + "x" * 1000000
    yield "a string without end", 'layer A(n) { "' + "x" * 1000000
    yield ("a list of 100000 names",
            "layer A(" + ", ".join(f"a{i}" for i in range(100000)) + ") { global g; update y = g; }")
    yield "300 layers", "".join(f"layer A{i}(n) {{ node x[n]; update y = x; }}\n" for i in range(300))
    yield ("20000 statements",
            "layer A(n) {\n    node x[n];\n" + "".join(f"    node a{i} = x;\n" for i in range(20000)) + "    update y = x;\n}\n")
    yield "a chain of 3000 statements", ("layer A(n) {\n    node x[n];\n    node a0 = x;\n" +
                                         "".join(f"    node a{i + 1} = tanh(a{i} + x);\n" for i in range(3000)) + "    update y = a3000;\n}\n")
    yield "doubling 60 times", ("layer A(n) {\n    node x[n];\n    node a0 = x;\n" +
                                "".join(f"    node a{i + 1} = a{i} * a{i};\n" for i in range(60)) + "    update y = a60;\n}\n")
    yield "instances that double 40 times", ("layer A0(n) { node x[n]; update y = x; }\n" + "".join(
        f"layer A{i + 1}(n) {{ node x[n]; use p = A{i}(n); use q = A{i}(n); update y = p(x = x) + q(x = x); }}\n" for i in range(10)))
    yield "a layer of itself", "layer A(n) { node x[n]; use a = A(n); update y = a(x = x); }"
    yield "wide concatenation", body("concat(" + ", ".join(["x"] * 5000) + ")")
    for size in ("nan", "inf", "1e30", "-1", "0", "0 / 0", "n / 0", "2147483647", "2147483648",
            "9223372036854775807", "9223372036854775808",
                 "99999999999999999999999999", "n * 9223372036854775807", "n ** 1000000", "n - 1000", "1.5",
                 "x", "n % 0", "n // 0"):
        yield f"size {size}", f"layer A(n) {{ node x[{size}]; update y = x; }}"
        yield f"shape of {size}", f"layer A(n) {{ node x[n]; param W[n, {size}]; update y = x @ W; }}"
    yield ("four large axes",
            "layer A(n) { node x[2147483647, 2147483647, 2147483647, 2147483647]; update y = x; }")
    yield "a large param", "layer A(n) { node x[n]; param W[n, 1000000000, 1000000000]; update y = x; }"
    yield "numbers out of range", body("x * 1e999 + 1e-999 + 0x + 1e + 1.2.3")
    yield ("rounds without number",
            "layer A(n) { node x[n]; iterate z = x for 99999999999999999999 { z = z; } update y = z; }")


def programs(t):
    out = t.path("out.so")
    for what, text in odd_programs():
        f = t.write("p.mp", text)
        t.run(what, f, "-o", out, output=out)
        t.run(f"{what} (run)", "run", f, "--graph", "karate", "-D", "n=3", "--out", f"y={t.path('y.npy')}",
                output=t.path("y.npy"))
        t.run(f"{what} (fmt)", "fmt", f, "-o", t.path("out.mp"), output=t.path("out.mp"))
    for example in sorted(glob.glob(os.path.join(t.options.examples, "*.mp")))[:8]:
        text = open(example, "rb").read()
        for part in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            t.run(f"{example}, cut at {part}", t.write("p.mp", text[:int(len(text) * part)]), "-o", out,
                    output=out)
    t.run("a folder", t.folder, "-o", out, want=(1, 2, 3), output=out)
    t.run("no file", t.path("none.mp"), "-o", out, want=(1, 2, 3), output=out)


WORDS = re.compile(rb"\d+\.?\d*|\w+|[^\w\s]|\s+")


# Words that can stand for each other: what comes of it often runs.
ALIKE = [[b"sum", b"max", b"min", b"mean", b"prod", b"std", b"var"], [b"exp", b"tanh", b"relu", b"sigmoid", b"rsqrt", b"log1p", b"abs", b"square", b"silu"],
         [b"+", b"-", b"*", b"/"], [b"src", b"dst"], [b"0", b"1", b"2", b"0.2", b"3"]]


def mutated_program(r, text, other):
    """Words dropped, doubled, exchanged, or taken from another program. Numbers get no longer: rounds stay few."""
    words, spare = WORDS.findall(text), WORDS.findall(other)
    for _ in range(r.choice([1, 1, 1, 2, 4])):
        at, what = r.randrange(len(words)), r.randrange(9)
        alike = [(k, sort) for k, w in enumerate(words) for sort in ALIKE if w in sort]
        if what > 5 and alike:
            at, sort = r.choice(alike)
            words[at] = r.choice(sort)
            continue
        if what == 0 and len(words) > 2:
            del words[at]
        elif what == 1:
            words.insert(at, b" " + words[at] + b" ")
        elif what == 2:
            k = r.randrange(len(words))
            words[at], words[k] = words[k], words[at]
        elif what == 3:
            words[at] = r.choice(spare)
        elif what == 4:
            words[at] = r.choice([b"0", b"1", b"-", b"*", b"(", b")", b"[", b"]", b"src.", b"dst.", b"sum",
                    b"max", b"@", b"x", b";", b"None"])
        else:
            words[at] = r.choice([w for w in spare if w.strip().isalpha()] or [b"x"])
    return b"".join(words)


def mutations(t):
    r = random.Random(20)
    texts = [open(f, "rb").read() for f in sorted(glob.glob(os.path.join(t.options.examples, "*.mp")))]
    sizes = {"in": 5, "out": 4, "hid": 3, "heads": 2, "K": 2}
    good = 0
    for i in range(t.options.runs):
        text = r.choice(texts)
        arguments = re.findall(rb"layer\s+\w+\s*\(([^)]*)\)", text)[-1].decode()
        names = [a.split("=")[0].split()[-1] for a in arguments.split(",") if a.strip() and "=" not in a]
        static = [s for n in names for s in ("-D", f"{n}={sizes.get(n, 3)}")]
        f = t.write("p.mp", mutated_program(r, text, r.choice(texts)))
        out = t.path("results")
        shutil.rmtree(out, ignore_errors=True)
        good += t.run(f"mutation {i}", "run", f, "--graph", "karate", "--threads", "2", *static, "--out", out + "/") == 0
    print(f"{good} of {t.options.runs} mutations ran")


# ---- data -------------------------------------------------------------------------------------------------

def odd_arrays():
    good = npy((34, 3), "<f4", [0.5] * 102)
    for n in (0, 1, 5, 6, 7, 8, 9, 10, 11, 40, 63, 64, 127, 128, 129, len(good) - 1):
        yield f"{n} bytes of a file", good[:n]
    yield "something behind", good + b"\0" * 100
    yield "text", b"1 2 3\n" * 100
    head = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}\n".format
    for shape in ("(34, 3)", "(34,", "34", "()", "(34, -3)", "(-34, -3)", "(9223372036854775807, 3)",
            "(9223372036854775808,)",
                  "(4294967296, 4294967296)", "(99999999999999999999999, 1)", "(0, 9223372036854775807)",
                  "(1e9, 3)", "(nan, 3)",
                  "(" + "1, " * 64 + ")", "(" + "1, " * 20000 + ")", "(" * 5000, "(34 3)", "('34', 3)",
                  "(None,)"):
        yield f"shape {shape[:40]}", npy_with(head("<f4", False, shape), b"\0" * 408)
    for kind in ("", "<f3", "<f4294967300", ">f4", "|O", "<U99", "[('a', '<f4')]", "<c16",
            "<i9223372036854775807", "\\", "'", "<f4<f4"):
        yield f"type {kind}", npy_with(head(kind, False, "(34, 3)"), b"\0" * 408)
    yield "order 7", npy_with(head("<f4", 7, "(34, 3)"), b"\0" * 408)
    yield "keys twice", npy_with(head("<f4", False, "(34, 3)") + head("<f8", True, "(3, 34)"), b"\0" * 408)
    yield "no keys", npy_with("{}\n")
    yield "no head", npy_with("")
    yield "version 9", npy_with(head("<f4", False, "(34, 3)"), b"\0" * 408, b"\x09\x00")
    yield "version 2 of 4 GiB", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{" * 100


def arrays(t):
    r, out = random.Random(30), t.path("g.npy")
    program = t.write("gcn.mp", GCN)
    common = ["--graph", "karate", "-D", "out=2", "--out", f"g={out}"]
    for what, content in odd_arrays():
        t.run(what, "run", program, *common, "--in", f"x={t.write('x.npy', content)}", output=out)
    good = npy((34, 3), "<f4", [i / 7 for i in range(102)])
    for i in range(t.options.runs // 4):
        t.run(f"array {i}", "run", program, *common, "--in",
                f"x={t.write('x.npy', damaged(r, good[:160]) + good[160:])}", output=out)
    t.run("a folder as array", "run", program, *common, "--in", f"x={t.folder}", want=(1, 3), output=out)
    t.run("no array", "run", program, *common, "--in", "x=none.npy", want=(1, 3), output=out)


# ---- graphs -----------------------------------------------------------------------------------------------

MARKET = "%%MatrixMarket matrix coordinate real general\n% a comment\n4 4 5\n1 2 0.5\n2 3 1.5\n3 4 -1\n4 1 2e3\n1 1 1\n"
EDGES = "# a comment\n0 1 0.5\n1 2 1.5\n2 3 -1\n3 0 2e3\n0 0 1\n"


def odd_graph_files():
    head = "%%MatrixMarket matrix coordinate real general\n"
    yield "nothing", ""
    yield "binary", bytes(random.Random(2).randrange(256) for _ in range(5000))
    yield "one long line", "1 " * 500000
    yield "one long word", "1" * 1000000
    yield "head alone", head
    yield "head without end", head * 20000
    for size in ("4 4", "4 4 5", "4 4 -5", "-4 4 1", "4 4 9223372036854775807", "9223372036854775807 4 1",
            "2147483648 2147483648 1",
                 "2147483647 2147483647 1", "99999999999999999999 1 1", "nan nan nan", "4 4 1000000000",
                 "0 0 0", "4 5 1", "1e9 1e9 1"):
        yield f"sizes {size}", f"{head}{size}\n1 2 0.5\n"
    for kind in ("array real general", "coordinate complex general", "coordinate pattern symmetric",
            "coordinate real hermitian",
                 "coordinate integer skew-symmetric", "coordinate", "", "coordinate real general extra",
                 "coordinate quaternion general"):
        yield f"kind {kind}", f"%%MatrixMarket matrix {kind}\n4 4 2\n1 2 0.5\n2 3 1\n"
    for line in ("0 1 1", "5 1 1", "1 1", "1 1 x", "1 1 1 1", "1 1 nan", "1 1 1e999", "-1 1 1", "1.5 2 1",
            "1"):
        yield f"entry {line}", f"{head}4 4 1\n{line}\n"
    for line in ("-1 0", "0 2147483647", "0 2147483648", "0 99999999999999999999", "0", "0 1 2 3", "0 x",
            "x 0", "0 1 nan", "0 1 1e999", "0,1", "\0", "0 1\n0 1 0.5"):
        yield f"edge {line!r}", line + "\n"


def folder_of(t, **files):
    folder = t.path("graph")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    content = {"edge_src.npy": npy((4,), "<i4", [0, 1, 2, 3]), "edge_dst.npy": npy((4,), "<i4", [1, 2, 3, 0]), "num_nodes.txt": "4\n"}
    content.update({k.replace("__", "."): v for k, v in files.items()})
    for name, c in content.items():
        if c is not None:
            t.write(os.path.join("graph", name), c)
    return folder


def odd_folders(t):
    for text in ("", " ", "x", "-1", "4 4 4", "99999999999999999999", "2147483647", "2147483648", "1e9",
            "nan", "4.0", "0", "3", "4 3", "3 4", "4\n4", "4\0",
                 "4" * 1000000, b"\xff\xfe\x00"):
        yield f"num_nodes {text[:20]!r}", dict(num_nodes__txt=text)
    for ptr in ([], [0], [4], [0, 4], [0, 2, 4], [0, 5], [1, 4], [0, 3, 2, 4], [0, -1, 4], [0,
            9223372036854775807], [-9223372036854775808, 4], [0, 4, 4, 4]):
        yield f"graph_ptr {ptr}", dict(graph_ptr__npy=npy((len(ptr),), "<i8", ptr))
    yield "graph_ptr of reals", dict(graph_ptr__npy=npy((2,), "<f4", [0, 4]))
    yield "graph_ptr of rank 2", dict(graph_ptr__npy=npy((1, 2), "<i4", [0, 4]))
    for src in ([0, 1, 2, 4], [0, 1, 2, -1], [0, 1, 2, 2147483647], [0, 1, 2], []):
        yield f"sources {src}", dict(edge_src__npy=npy((len(src),), "<i4", src))
        yield (f"sources {src}, nodes unknown", dict(edge_src__npy=npy((len(src),), "<i4", src),
                num_nodes__txt=None))
    yield "sources of 64 bits", dict(edge_src__npy=npy((4,), "<i8", [0, 1, 2, 9223372036854775807]))
    yield "sources of reals", dict(edge_src__npy=npy((4,), "<f4", [0, 1, 2, 3]))
    yield "sources of rank 2", dict(edge_src__npy=npy((2, 2), "<i4", [0, 1, 2, 3]))
    yield "no sources", dict(edge_src__npy=None)
    yield "no edges at all", dict(edge_src__npy=None, edge_dst__npy=None)
    lists = dict(edge_src__npy=None, edge_dst__npy=None)
    yield "a matrix", dict(lists, A__npy=npy((4, 4), "<f4", [1] * 16))
    yield "a matrix of other nodes", dict(lists, A__npy=npy((3, 3), "<f4", [1] * 9))
    yield "a matrix that is no square", dict(lists, A__npy=npy((2, 8), "<f4", [1] * 16))
    yield "a matrix without rows", dict(lists, A__npy=npy((0, 0), "<f4", []), num_nodes__txt=None)
    csr = dict(x_shape__npy=npy((2,), "<i8", [4, 3]), x_indptr__npy=npy((5,), "<i8", [0, 1, 1, 2, 3]), x_indices__npy=npy((3,), "<i4", [0, 1, 2]),
               x_data__npy=npy((3,), "<f4", [1, 2, 3]))
    yield "compressed rows", csr
    for ptr in ([0, 1, 1, 2, 4], [0, 9, 1, 2, 3], [0, -1, 1, 2, 3], [1, 1, 1, 2, 3], [0, 3], []):
        yield f"compressed rows with {ptr}", dict(csr, x_indptr__npy=npy((len(ptr),), "<i8", ptr))
    for index in ([0, 1, 3], [0, 1, -1], [0, 1], []):
        yield (f"compressed rows with columns {index}", dict(csr, x_indices__npy=npy((len(index),), "<i4",
                index)))
    for shape in ([4, 9223372036854775807], [-4, 3], [4], [4, 3, 1], [3037000500, 3037000500], [4,
            1000000000000]):
        yield f"compressed rows of {shape}", dict(csr, x_shape__npy=npy((len(shape),), "<i8", shape))


def graphs(t):
    r, out = random.Random(40), t.path("g.npy")
    program = t.write("gcn.mp", GCN)

    def run(what, graph):
        t.run(what, "run", program, "--graph", graph, "-D", "in=3", "-D", "out=2", "--out", f"g={out}",
                output=out)

    for what, content in odd_graph_files():
        run(what, t.write("graph.txt", content))
    for what, files in odd_folders(t):
        run(what, folder_of(t, **files))
    for spec in ("complete:", "complete:-1", "complete:x", "complete:2147483647",
            "complete:99999999999999999999", "complete:0", "rmat:", "rmat:1", "rmat:99,1,1",
                 "rmat:10,-1,1", "rmat:31,10,1", "rmat:4,9223372036854775807,1", "rmat:10,10,x", "er:",
                 "er:0,1,1", "er:10,-1,1", "er:2147483648,1,1",
                 "er:10,9223372036854775807,1", "er:1,1,1,1", "karate:", "", "-", "none", "x" * 100000):
        run(f"graph {spec[:40]}", spec)
    for i in range(t.options.runs // 4):
        run(f"MatrixMarket {i}", t.write("graph.txt", damaged(r, MARKET.encode())))
        run(f"edge list {i}", t.write("graph.txt", damaged(r, EDGES.encode())))
        name, content = r.choice([("edge_src__npy", npy((4,), "<i4", [0, 1, 2, 3])), ("graph_ptr__npy", npy((3,), "<i8", [0, 2, 4])), ("num_nodes__txt", b"4 4\n")])
        run(f"folder {i}", folder_of(t, **{name: damaged(r, content)}))


# ---- compiled code ----------------------------------------------------------------------------------------

def libraries(t):
    r, out = random.Random(50), t.path("g.npy")
    program, library = t.write("gcn.mp", GCN), t.path("gcn.so")
    common = ["--graph", "karate", "-D", "in=3", "-D", "out=2", "--out", f"g={out}"]
    t.run("a library is made", program, "-o", library, want=(0,))
    good = open(library, "rb").read()
    t.run("as it is", "run", library, *common, want=(0,), output=out)
    bad = t.path("bad.so")

    def run(what, content, want):
        t.write("bad.so", content)
        t.run(what, "run", bad, *common, want=want, output=out)

    ends = [0, 1, 4, 16, 63, 64, 65, 100, 500, 1000, 4095, 4096, 4097, 8192, len(good) // 2]
    ends += [r.randrange(len(good)) for _ in range(t.options.runs // 4)]
    for n in ends:
        if n < len(good):
            run(f"{n} of {len(good)} bytes", good[:n], (0, 1, 2, 3))    # 0: what is gone was not needed
    run("another file of that kind", open(shutil.which("true") or "/bin/true", "rb").read(), (1, 3))
    # The description lies in the library as it is and begins with these four letters.
    at = good.find(b"mpsD")
    for i in range(t.options.runs // 2):
        b = bytearray(good)
        k = at + r.randrange(600)
        b[k] ^= 1 << r.randrange(8)
        run(f"bit of byte {k} turned over", bytes(b), (1, 3))
    for k in range(16, 64):                                         # the head of the file
        b = bytearray(good)
        b[k] ^= 0xff
        run(f"head, byte {k}", bytes(b), (0, 1, 2, 3))


def cache(t):
    r, out = random.Random(60), t.path("g.npy")
    program, folder = t.write("gcn.mp", GCN), t.path("cache")
    env = dict(t.env, MPC_CACHE_DIR=folder)
    common = ["run", program, "--graph", "karate", "-D", "in=3", "-D", "out=2", "--out", f"g={out}"]
    t.run("an entry is made", *common, want=(0,), output=out, env=env)
    entries = glob.glob(os.path.join(folder, "*.mpo"))
    if len(entries) != 1:
        print(f"the cache has {len(entries)} entries after one run")
        t.failures += 1
        return
    good = open(entries[0], "rb").read()
    for i in range(t.options.runs // 4 + 10):
        content = good[:r.randrange(len(good))] if i < 10 else damaged(r, good)
        with open(entries[0], "wb") as f:
            f.write(content)
        t.run(f"entry {i}", *common, want=(0,), output=out, env=env)
    os.unlink(entries[0])
    os.mkdir(entries[0])
    t.run("a folder as entry", *common, want=(0,), output=out, env=env)
    t.run("a file as folder", *common, want=(0,), output=out, env=dict(t.env, MPC_CACHE_DIR=program))


# ---- sizes ------------------------------------------------------------------------------------------------

def sizes(t):
    program, out = t.write("gcn.mp", GCN), t.path("g.npy")
    gat = os.path.join(t.options.examples, "gat.mp")
    huge = ("1000000000", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "-1", "0", "99999999999999999999", "1e9", "nan", "", "x")
    for n in huge:
        want = (0, 1, 2, 3) if n == "0" else (1, 2, 3)
        t.run(f"in={n}", "run", program, "--graph", "karate", "-D", f"in={n}", "-D", "out=2", "--out",
                f"g={out}", want=want, output=out)
        t.run(f"out={n}", "run", program, "--graph", "karate", "-D", "in=2", "-D", f"out={n}", "--out",
                f"g={out}", want=want, output=out)
        t.run(f"both {n}", "run", program, "--graph", "karate", "-D", f"in={n}", "-D", f"out={n}", "--out",
                f"g={out}", want=want, output=out)
        t.run(f"heads={n}", "run", gat, "--graph", "karate", "-D", "in=3", "-D", f"heads={n}", "-D",
                "out=4294967296", "--out", f"g={out}", want=want, output=out)
        t.run(f"compiled for {n}", gat, "-D", f"heads={n}", "-D", f"out={n}", "-o", t.path("gat.so"),
                output=t.path("gat.so"))
        for command in ("check", "bench"):
            t.run(f"{command}, out={n}", command, program, "--graph", "karate", "-D", "in=2", "-D",
                    f"out={n}", *(["--min-time", "0.01"] if command == "bench" else []))
    library = t.path("gat.so")
    t.run("a library is made", gat, "-o", library, want=(0,))
    for n in huge:
        want = (0, 1, 2, 3) if n == "0" else (1, 2, 3)
        t.run(f"library, heads={n}", "run", library, "--graph", "karate", "-D", "in=3", "-D", f"heads={n}",
                "-D", "out=4294967296", "--out", f"g={out}", want=want, output=out)
        t.run(f"library, in={n}", "run", library, "--graph", "karate", "-D", f"in={n}", "-D", "heads=2",
                "-D", "out=2", "--out", f"g={out}", want=want, output=out)
    for example in sorted(glob.glob(os.path.join(t.options.examples, "*.mp"))):
        text = open(example).read()
        arguments = re.findall(r"layer\s+\w+\s*\(([^)]*)\)", text)[-1]
        names = [a.split("=")[0].split()[-1] for a in arguments.split(",") if a.strip()]
        for n in ("0", "1000000000"):
            t.run(f"{os.path.basename(example)}, all {n}", "run", example, "--graph", "karate",
                    *[s for k in names for s in ("-D", f"{k}={n}")])
    for option in (["--threads", "-1"], ["--threads", "99999999"], ["--seed", "-1"], ["--seed", "x"], ["-O",
            "9"], ["--real", "f8"], ["--arch", "x"], ["-D"], ["-D", "="], ["-D", "in"],
                   ["--in", "x"], ["--in", "=x"], ["--out", "g"], ["--out", "none=o.npy"], ["--graph"],
                   ["--layer", "x" * 100000], ["--" + "x" * 100000]):
        t.run(f"option {' '.join(option)[:40]}", "run", program, "--graph", "karate", "-D", "in=2", "-D",
                "out=2", *option)


# ---- training ---------------------------------------------------------------------------------------------

LEARNT = """layer Learnt(in, out) {
    node  x[in];
    edge  w;
    node  c: index(out);
    param W[in, out];

    message f = w * (src.x @ W);
    update  g = dropout(sum(f), 0.5);
    update  l = -g.log_softmax(-1)[c];
    update  k = in_degree > 2;
}
"""


def training(t):
    r, out = random.Random(70), t.path("W.npy")
    program, good = t.write("learnt.mp", LEARNT), npy((34, 2), "<f4", [0.5] * 68)
    dims = ["--graph", "karate", "-D", "in=3", "-D", "out=2"]
    common = [*dims, "--grad-out", f"W={out}"]
    t.run("as it is", "run", program, *common, "--cotangent", f"g={t.write('g.npy', good)}", want=(0,), output=out)
    wrong = [("rank", npy((34,), "<f4", [1] * 34)), ("columns", npy((34, 3), "<f4", [1] * 102)), ("rows", npy((33, 2), "<f4", [1] * 66)),
             ("a number", npy((), "<f4", [1])), ("integers", npy((34, 2), "<i4", [1] * 68)), ("nothing", b"")]
    for what, content in wrong:
        t.run(f"cotangent, {what}", "run", program, *common, "--cotangent", f"g={t.write('g.npy', content)}", want=(1,), output=out)
    t.run("cotangent of NaN", "run", program, *common, "--cotangent", f"g={t.write('g.npy', npy((34, 2), '<f4', [float('nan')] * 68))}",
          want=(0,), output=out)
    for what, content in odd_arrays():
        t.run(f"cotangent, {what}", "run", program, *common, "--cotangent", f"g={t.write('g.npy', content)}", output=out)
    for i in range(t.options.runs // 10):
        t.run(f"cotangent {i}", "run", program, *common, "--cotangent", f"g={t.write('g.npy', damaged(r, good))}", output=out)
    t.write("g.npy", good)
    for name in ("k", "W", "c", "x", "none", "", "g=g", "x" * 10000):
        t.run(f"cotangent of {name[:20]}", "run", program, *common, "--cotangent", f"{name}={t.path('g.npy')}", want=(1, 2), output=out)
    for name in ("k", "g", "c", "none", "", "x" * 10000):
        t.run(f"gradient of {name[:20]}", "run", program, *dims, "--grad-out", f"{name}={out}", want=(1, 2), output=out)
    for kind in ("x", "none"):
        t.run(f"gradient without it, {kind}", "run", program, *common, "--grad", kind, want=(1,), output=out)
    for kind in ("c", "g", "k", "nosuch", ",", "W,c", "all,params", "x" * 10000, ""):
        t.run(f"--grad {kind[:20]}", program, "--grad", kind, "-o", t.path("l.so"), want=(1, 2), output=t.path("l.so"))
    library = t.path("l.so")
    for kind, want in (("none", 1), ("x", 1), ("W", 0), ("params", 0), ("all", 0)):
        t.run("a library is made", program, "-o", library, "--grad", kind, want=(0,))
        t.run(f"a library of {kind}", "run", library, *common, want=(want,), output=out)
        t.run(f"bench, a library of {kind}", "bench", library, *dims, "--backward", "--min-time", "0",
              want=(1 if kind == "none" else 0,))
    blob = open(library, "rb").read()
    at = blob.find(b"mpsD")
    for i in range(t.options.runs // 2):        # the programs of training lie behind the forward's
        b = bytearray(blob)
        b[at + r.randrange(6000)] ^= 1 << r.randrange(8)
        t.run(f"library {i}", "run", t.write("bad.so", bytes(b)), *common, want=(0, 1, 3), output=out)
    for option in (["--train", "--grad", "none"], ["--out", f"g={out}", "--grad-out", f"W={out}"]):
        t.run(" ".join(option), "run", program, *dims, *option, want=(1, 2), output=out)
    for spec in ("karate", "complete:1", "er:3,0,1"):
        t.run(f"check on {spec}", "check", program, "--graph", spec, "-D", "in=3", "-D", "out=2", want=(0,))
    for option in (["-D", "out=0"], ["-D", "nosuch=3"], ["--layer", "No"], ["--graph", "none"], ["--seed", "x"], ["--grad", "nosuch"]):
        t.run(f"check {' '.join(option)}", "check", program, *option, want=(1, 2))
    deep = "layer A(n) {\n    node x[n];\n    node y0 = dot(x, x);\n" + "".join(
        f"    node y{i + 1} = grad(y{i}, x)[0] * x[0];\n" for i in range(40)) + "    update y = y10;\n}\n"
    t.run("derivatives ten times over", t.write("p.mp", deep), "-o", t.path("p.so"), output=t.path("p.so"))
    mixed = "layer A(n) {\n    node x[n];\n    node y0 = (tanh(x) * x).sum(-1);\n" + "".join(
        f"    node z{i} = grad(y{i}, x);\n    node y{i + 1} = (sum(src.z{i}) * z{i}).sum(-1);\n" for i in range(4)) + "    update y = y4;\n}\n"
    t.run("derivatives that grow", t.write("p.mp", mixed), "-o", t.path("p.so"), output=t.path("p.so"))


# ---- places that cannot be written ------------------------------------------------------------------------

def disk(t):
    program, results = t.write("gcn.mp", GCN), t.path("g.npy")
    common = ["run", program, "--graph", "karate", "-D", "in=3", "-D", "out=2"]
    for option in ("--out", "--grad-out"):
        name = "g" if option == "--out" else "W"
        for place in ("/dev/full", "/nowhere/at/all.npy", program + "/x.npy", t.folder, "/proc/none.npy"):
            t.run(f"{option} {place}", *common, option, f"{name}={place}", want=(2, 3))
        t.run(f"{option}, a file as folder", *common, option, program + "/", want=(3,))
        t.run(f"{option}, a folder below nothing", *common, option, t.path("no/such/folder/"), want=(3,))
    for emit in ("so", "obj", "asm", "llvm", "ir", "plan", "header", "cuda", "dot", "tokens", "ast"):
        t.run(f"--emit {emit} to a full disk", program, "--emit", emit, "-o", "/dev/full", want=(3,))
        t.run(f"--emit {emit} to no folder", program, "--emit", emit, "-o", "/nowhere/at/all", want=(3,))
        t.run(f"--emit {emit} to a folder", program, "--emit", emit, "-o", t.folder, want=(1, 3))
    t.run("a header beside nothing", program, "-o", t.path("a.so"), "--header=/nowhere/a.h", want=(3,), output=t.path("a.so"))
    t.run("fmt to a full disk", "fmt", program, "-o", "/dev/full", want=(3,))
    with open("/dev/full", "w") as full:
        for args in (common + ["--json"], common, ["explain", program], ["fmt", program], [program, "--emit", "ir", "-o", "-"], ["--help"]):
            p = subprocess.run([t.options.mpc, *args], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=t.env, cwd=t.folder)
            t.runs += 1
            if p.returncode != 3:
                t.failures += 1
                print(f"standard output on a full disk: {' '.join(args)}: status {p.returncode}")
    # killed at any time, a file of that name is whole or not there
    good = None
    for delay in [None] + [0.002 * k for k in range(t.options.runs // 8)]:
        if os.path.exists(results):
            os.unlink(results)
        p = subprocess.Popen([t.options.mpc, *common, "--out", f"g={results}"], env=t.env, cwd=t.folder, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        t.runs += 1
        if delay is not None:
            time.sleep(delay)
            p.kill()
        p.wait()
        content = open(results, "rb").read() if os.path.exists(results) else None
        good = good or content
        if content not in (None, good):
            t.failures += 1
            print(f"killed after {delay} s: {len(content)} of {len(good)} bytes are there")
    for n in os.listdir(t.folder):
        if ".part" in n:
            os.unlink(t.path(n))


def main():
    subjects = {f.__name__: f for f in (programs, mutations, arrays, graphs, libraries, cache, sizes, training, disk)}
    p = argparse.ArgumentParser()
    p.add_argument("mpc")
    p.add_argument("examples")
    p.add_argument("subject", choices=subjects)
    p.add_argument("--runs", type=int, default=200)
    p.add_argument("--seconds", type=float, default=5)
    p.add_argument("--sanitizer", action="store_true")
    options = p.parse_args()
    options.mpc, options.examples = os.path.abspath(options.mpc), os.path.abspath(options.examples)
    with tempfile.TemporaryDirectory(prefix="mpc-malformed-run-") as folder:
        t = Trial(options, folder)
        subjects[options.subject](t)
    print(f"{t.runs} runs, {t.failures} failures")
    return t.failures != 0


if __name__ == "__main__":
    sys.exit(main())
