#!/usr/bin/env python3
"""Layers on a GPU beside PyTorch Geometric, in one run: milliseconds of the forward and of forward + backward, peak memory, and
how near a layer comes to what the GPU's memory allows. One command on a machine with a GPU, an mpc and a python with torch and
torch_geometric:

    bench/gpu.py                                          # all layers, graphs, widths; bench/results/gpu-DATE.jsonl
    bench/gpu.py --graphs arxiv --dims 64 --layers gat,gcn --rounds 3

Both sides take turns, `--rounds` times, each in a process of its own; a figure is the median of the rounds' medians. Peers are
PyG as it comes (eager), under torch.compile, and where PyG has one its path over a sparse tensor; the best counts. float32,
TF32 off on both sides, gradients of x, edge features and all params. Peak memory is what a pass needs beyond its inputs and
the graph, results and gradients included: mpc's is counted by its runtime, with cuBLAS's workspace, PyTorch's by its allocator,
without it. mpc takes NVRTC and cuBLAS from where the machine has them (MPC_NVRTC, MPC_LIBCUBLAS), else those that came with torch.

`floor` is the time that the bytes take which no order of work can avoid, at the bandwidth of a copy measured in the same
run: each node's and edge's values and results once, indices once. `gathers` counts the source's row once an edge instead, as if no cache
held any. A layer's kernel cannot be faster than the first; on graphs beyond the cache it is near the second.
"""
import argparse, ctypes, datetime, json, os, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS = "gcn sage gin gat gatv2 rgcn gatedgcn pna edgeconv".split()
GRAPHS = {"arxiv": (169343, 1166243), "reddit": (1 << 18, 100_000_000), "products": (2449029, 123718280)}
PEERS = {"gcn": "eager compile sparse", "sage": "eager compile sparse", "gin": "eager compile sparse"}
HEADS, RELATIONS = 8, 8


# ---- graphs ------------------------------------------------------------------------------------------------------

def rmat(scale, n_edges, rng):
    """Edges of a recursive matrix with quadrants 0.57, 0.19, 0.19, 0.05."""
    import numpy as np
    src, dst = np.zeros(n_edges, np.int64), np.zeros(n_edges, np.int64)
    for _ in range(scale):
        u = rng.random(n_edges, dtype=np.float32)
        src = 2 * src + (u >= 0.76)
        dst = 2 * dst + (((u >= 0.57) & (u < 0.76)) | (u >= 0.95))
    return src, dst


def power_law(n, n_edges, rng):
    """Ends drawn in proportion to weights that fall with the rank, as degrees of citation and purchase graphs do."""
    import numpy as np
    cumulated = np.cumsum(np.arange(1, n + 1, dtype=np.float64) ** -0.6)
    place = rng.permutation(n)
    return [place[np.searchsorted(cumulated, rng.random(n_edges) * cumulated[-1]).clip(0, n - 1)] for _ in range(2)]


def make_graph(name, folder):
    import numpy as np
    path = os.path.join(folder, name)
    if os.path.exists(os.path.join(path, "done")):
        return path
    os.makedirs(path, exist_ok=True)
    rng, (n, e) = np.random.default_rng(1), GRAPHS[name]
    src, dst = rmat(18, e, rng) if name == "reddit" else power_law(n, e, rng)
    np.save(os.path.join(path, "edge_src.npy"), src.astype(np.int32))
    np.save(os.path.join(path, "edge_dst.npy"), dst.astype(np.int32))
    for what, text in (("num_nodes.txt", str(n)), ("done", "")):
        with open(os.path.join(path, what), "w") as f:
            f.write(text)
    return path


# ---- bytes -------------------------------------------------------------------------------------------------------

def traffic(layer, n, e, d):
    """Bytes of a forward: (each value once, source rows once an edge). Rows by node read and written besides, rows gathered."""
    nodes = {"gcn": 3, "sage": 2, "gin": 2, "gat": 3, "gatv2": 4, "rgcn": 2, "gatedgcn": 6, "pna": 3, "edgeconv": 3}[layer]
    gathered = {"gatedgcn": 2}.get(layer, 1)
    by_edge = {"gcn": 4, "rgcn": 4, "gatedgcn": 8 * d}.get(layer, 0)
    fixed = n * d * 4 * nodes + e * (4 + by_edge) + n * 8
    return fixed + n * d * 4 * gathered, fixed + e * d * 4 * gathered


# ---- mpc ---------------------------------------------------------------------------------------------------------

def results(layer, n, e, d):
    """Bytes of outputs and gradients, which PyTorch's figure holds."""
    return 4 * d * (2 * n + (2 * e if layer == "gatedgcn" else 0))


def run_mpc(a, layer, graph, dim):
    command = [a.mpc, "bench", os.path.join(HERE, "layers", layer + ".mp"), "--target", "cuda", "--graph", graph, "-D", f"d={dim}",
               "--min-time", str(a.min_time), "--backward", "--json"] + (["--grad", "x,W,b"] if layer == "gcn" else [])    # norms are given
    p = subprocess.run(command, capture_output=True, text=True, env=a.env)
    if p.returncode:
        return {"error": (p.stderr.strip() or f"status {p.returncode}").splitlines()[0]}
    r = json.loads(p.stdout)
    return {"forward_ms": r["forward_ms"]["median"], "train_ms": r["forward_train_ms"]["median"] + r["backward_ms"]["median"],
            "peak_bytes": r["workspace_bytes"] + r["saved_bytes"] + results(layer, r["nodes"], r["edges"], dim),
            "device_bytes": r["peak_device_bytes"]}


# ---- PyTorch -----------------------------------------------------------------------------------------------------

def peer_model(layer, d, torch, pyg):
    nn = torch.nn
    conv = pyg.nn

    class GatedGCN(nn.Module):
        def __init__(self):
            super().__init__()
            self.A, self.B, self.C, self.D, self.E = (nn.Linear(d, d) for _ in range(5))

        def forward(self, x, edges, e):
            src, dst = edges
            e2 = self.C(e) + self.D(x)[dst] + self.E(x)[src]
            eta = torch.sigmoid(e2)
            total = lambda v: torch.zeros_like(x).index_add(0, dst, v)
            return self.A(x) + total(eta * self.B(x)[src]) / (total(eta) + 1e-6), e2

    if layer == "gcn":
        return conv.GCNConv(d, d, normalize=False, add_self_loops=False)
    if layer == "sage":
        return conv.SAGEConv(d, d)
    if layer == "gin":
        return conv.GINConv(nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d)))
    if layer == "gat":
        return conv.GATConv(d, d // HEADS, heads=HEADS, add_self_loops=False)
    if layer == "gatv2":
        return conv.GATv2Conv(d, d // HEADS, heads=HEADS, add_self_loops=False)
    if layer == "rgcn":
        return conv.RGCNConv(d, d, RELATIONS, aggr="sum", bias=False)
    if layer == "pna":
        return conv.PNAConv(d, d, ["mean", "max", "min", "std"], ["identity", "amplification", "attenuation"],
                            deg=torch.tensor([0, 5, 10, 5, 1]), towers=1, pre_layers=1, post_layers=1)
    if layer == "edgeconv":
        return conv.EdgeConv(nn.Sequential(nn.Linear(2 * d, d), nn.ReLU()), aggr="max")
    return GatedGCN()


def time_calls(call, torch, seconds):
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    ms, end = [], time.monotonic() + seconds
    while len(ms) < 5 or time.monotonic() < end:
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        stop.synchronize()
        ms.append(start.elapsed_time(stop))
    return statistics.median(ms)


def peak(call, torch):
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def peer(a):
    """One layer of PyG in this process: a line of JSON."""
    import numpy as np, torch, torch_geometric as pyg
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(1)
    d, gpu = a.dim, torch.device("cuda")
    src, dst = (torch.from_numpy(np.load(os.path.join(a.graph, f"edge_{s}.npy")).astype(np.int64)).to(gpu) for s in ("src", "dst"))
    n, e = int(open(os.path.join(a.graph, "num_nodes.txt")).read()), len(src)
    edges = torch.stack([src, dst])
    model = peer_model(a.layer, d, torch, pyg).to(gpu)
    x = torch.randn(n, d, device=gpu, requires_grad=True)
    more = {"gcn": lambda: (torch.rand(e, device=gpu),), "rgcn": lambda: (torch.randint(0, RELATIONS, (e,), device=gpu),),
            "gatedgcn": lambda: (torch.randn(e, d, device=gpu, requires_grad=True),)}.get(a.layer, lambda: ())()
    if a.way == "sparse":               # rows are destinations
        order = torch.argsort(dst, stable=True)
        ptr = torch.zeros(n + 1, dtype=torch.int64, device=gpu)
        ptr[1:] = torch.bincount(dst, minlength=n).cumsum(0)
        value = more[0][order] if a.layer == "gcn" else torch.ones(e, device=gpu)
        edges, more = torch.sparse_csr_tensor(ptr, src[order], value, (n, n)), ()
    f = torch.compile(model) if a.way == "compile" else model
    first = lambda y: y[0] if isinstance(y, tuple) else y
    cotangent = torch.randn(n, d, device=gpu)
    wanted = [x] + [t for t in more if t.requires_grad] + list(model.parameters())

    def forward():
        with torch.no_grad():
            f(x, edges, *more)

    def train():
        torch.autograd.grad(first(f(x, edges, *more)), wanted, cotangent, allow_unused=True)

    r = {"forward_ms": time_calls(forward, torch, a.min_time), "train_ms": time_calls(train, torch, a.min_time),
         "peak_bytes": peak(train, torch), "forward_peak_bytes": peak(forward, torch)}
    print(json.dumps(r))


def run_peer(a, layer, graph, dim, way):
    command = [a.python, os.path.abspath(__file__), "--peer", "--layer", layer, "--graph", graph, "--dim", str(dim), "--way", way,
               "--min-time", str(a.min_time)]
    p = subprocess.run(command, capture_output=True, text=True)
    lines = p.stdout.strip().splitlines()
    if p.returncode or not lines:
        return {"error": (p.stderr.strip() or f"status {p.returncode}").splitlines()[-1][:200]}
    return json.loads(lines[-1])


COPY = """
import torch, json
a = torch.empty(1 << 29, device='cuda'); b = torch.empty_like(a)
ms = []
for i in range(20):
    s, t = (torch.cuda.Event(enable_timing=True) for _ in range(2)); s.record(); b.copy_(a); t.record(); t.synchronize(); ms.append(s.elapsed_time(t))
import torch_geometric, glob, os
near = os.path.dirname(os.path.dirname(torch.__file__))
find = lambda name: sorted(glob.glob(os.path.join(near, 'nvidia', '**', name + '.so.*[0-9]'), recursive=True))[-1:]
libraries = {'MPC_NVRTC': find('libnvrtc'), 'MPC_LIBCUBLAS': find('libcublas')}
print(json.dumps({'gpu': torch.cuda.get_device_name(), 'bandwidth': 2 * 4 * (1 << 29) / (sorted(ms)[10] * 1e-3), 'torch': torch.__version__,
                  'cuda': torch.version.cuda, 'pyg': torch_geometric.__version__, 'libraries': {k: v[0] for k, v in libraries.items() if v}}))
"""


def loads(name):
    try:
        ctypes.CDLL(name)
        return True
    except OSError:
        return False


def environment(found):
    """The machine's own libraries come first; those of torch stand in for what it lacks."""
    has = {"MPC_NVRTC": any(loads(f"libnvrtc.so{v}") for v in (".13", ".12", "")), "MPC_LIBCUBLAS": any(loads(f"libcublas.so{v}") for v in (".13", ".12", ""))}
    return dict({k: v for k, v in found.items() if not has[k]}, **os.environ)


# ---- both --------------------------------------------------------------------------------------------------------

def median_of(rounds):
    good = [r for r in rounds if "error" not in r]
    if not good:
        return rounds[-1]
    return {k: statistics.median(r[k] for r in good) for k in good[0]}


def measure(a, layer, name, dim, machine, out):
    graph, (n, e) = make_graph(name, a.data), GRAPHS[name]
    ways = PEERS.get(layer, "eager compile").split()
    rounds = {w: [] for w in ["mpc"] + ways}
    for _ in range(a.rounds):
        for way in rounds:
            if rounds[way] and "error" in rounds[way][-1]:
                continue                        # out of memory once is out of memory again
            rounds[way].append(run_mpc(a, layer, graph, dim) if way == "mpc" else run_peer(a, layer, graph, dim, way))
    sides = {w: median_of(r) for w, r in rounds.items()}
    floor, gathers = (1e3 * b / machine["bandwidth"] for b in traffic(layer, n, e, dim))
    row = {"layer": layer, "graph": name, "nodes": n, "edges": e, "dim": dim, "sides": sides, "floor_ms": floor, "gathers_ms": gathers,
           "rounds": rounds}
    mpc, good = sides["mpc"], [s for w, s in sides.items() if w != "mpc" and "error" not in s]
    text = f"{layer:<9} {name:<9} {dim:>4}"
    if "error" in mpc:
        text += "  mpc: " + mpc["error"]
    else:
        for what in ("forward_ms", "train_ms"):
            best = min((s[what] for s in good), default=None)
            row["times_" + what] = best and best / mpc[what]
            text += f" {mpc[what]:>10.3f}" + (f" {best:>10.3f} {best / mpc[what]:>6.1f}x" if best else f" {'none ran':>18}")
        least = min((s["peak_bytes"] for s in good), default=None)
        row["times_memory"] = least and least / max(mpc["peak_bytes"], 1)
        text += f" {100 * floor / mpc['forward_ms']:>6.0f}% {100 * gathers / mpc['forward_ms']:>7.0f}%"
        text += f" {mpc['peak_bytes'] / 1e6:>9.0f}" + (f" {least / 1e6:>9.0f}" if least else "")
    print(text, flush=True)
    out.write(json.dumps(row) + "\n")
    out.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--mpc", default=os.path.join(HERE, "..", "build", "release", "mpc"))
    p.add_argument("--python", default=sys.executable, help="a python with torch and torch_geometric")
    p.add_argument("--layers", default=",".join(LAYERS))
    p.add_argument("--graphs", default=",".join(GRAPHS))
    p.add_argument("--dims", default="64,128")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--min-time", type=float, default=1)
    p.add_argument("--data", default=os.path.join(tempfile.gettempdir(), "mpc-gpu-graphs"), help="where graphs are kept")
    p.add_argument("--out", help="default: bench/results/gpu-DATE.jsonl")
    for name in ("layer", "graph", "way"):
        p.add_argument("--" + name, help=argparse.SUPPRESS)
    p.add_argument("--dim", type=int, help=argparse.SUPPRESS)
    p.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.peer:
        return peer(a)
    probe = subprocess.run([a.python, "-c", COPY], capture_output=True, text=True)
    if probe.returncode:
        sys.exit("no measurement: " + (probe.stderr.strip() or "?").splitlines()[-1])
    machine = dict(json.loads(probe.stdout), date=datetime.datetime.now().isoformat(timespec="seconds"), command=" ".join(sys.argv))
    a.env = environment(machine["libraries"])
    machine["used"] = {k: a.env.get(k, "the machine's own") for k in machine["libraries"]}
    path = a.out or os.path.join(HERE, "results", f"gpu-{datetime.date.today()}.jsonl")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    print(f"{machine['gpu']}, {machine['bandwidth'] / 1e9:.0f} GB/s, torch {machine['torch']}, PyG {machine['pyg']}")
    print(f"{'layer':<9} {'graph':<9} {'dim':>4} {'mpc fwd':>10} {'best':>10} {'':>7} {'mpc train':>10} {'best':>10} {'':>7} {'floor':>7} {'gathers':>8} "
          f"{'mpc MB':>9} {'best MB':>9}")
    with open(path, "w") as out:
        out.write(json.dumps(machine) + "\n")
        for name in a.graphs.split(","):
            for layer in a.layers.split(","):
                for dim in (int(d) for d in a.dims.split(",")):
                    measure(a, layer, name, dim, machine, out)
    print("written:", path)


if __name__ == "__main__":
    sys.exit(main())
