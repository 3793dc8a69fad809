"""Curves of loss beside PyTorch's, step by step: the same weights, no dropout, SGD with momentum.

    curves.py STEPS_PROGRAM CURVES.mp [GCN GAT RGCN PNA]

The models are written out in PyTorch's own operations. Where this Python has no PyTorch, that of the environment's
MPC_TORCH_PYTHON is tried; without either it ends with 77, which CTest calls skipped.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as missing:
    other = os.environ.pop("MPC_TORCH_PYTHON", "")
    if os.access(other, os.X_OK):
        os.execv(other, [other] + sys.argv)
    print(f"skipped: {sys.executable} has no PyTorch ({missing}). Give one that has by the environment's MPC_TORCH_PYTHON, "
          "or by -DMPC_TORCH_PYTHON= to CMake")
    sys.exit(77)

N, EDGES, IN, HIDDEN, CLASSES, HEADS, RELATIONS = 300, 1500, 12, 8, 4, 4, 3
STEPS, MOMENTUM = 50, 0.9
RATE = {"GCN": 0.2, "GAT": 0.05, "RGCN": 0.05, "PNA": 0.002}
TOLERANCE = {"f32": 1e-3, "f64": 1e-9}


def make_data(rng):
    """A graph without repeated edges; one node without incoming edges, one without any."""
    edges = rng.choice((N - 1) * (N - 2), size=EDGES, replace=False)
    src, dst = edges // (N - 2), edges % (N - 2)
    return {"edge_src": src.astype(np.int32), "edge_dst": dst.astype(np.int32), "x": rng.normal(size=(N, IN)),
            "rel": rng.integers(0, RELATIONS, size=EDGES).astype(np.int32),
            "y": rng.integers(0, CLASSES, size=N).astype(np.int32), "mask": (rng.random(N) < 0.5).astype(np.float64)}


def make_params(rng, model):
    def w(*shape):
        return rng.normal(size=shape) / np.sqrt(shape[-2] if len(shape) > 1 else shape[0])

    def conv(i, o, heads):
        if model == "GCN":
            return {"W": w(i, o), "b": w(o)}
        if model == "GAT":
            return {"W": w(i, heads * o).reshape(i, heads, o), "a_src": w(heads, o), "a_dst": w(heads, o), "b": w(heads, o)}
        if model == "RGCN":
            return {"W": w(RELATIONS, i, o), "W0": w(i, o), "b": w(o)}
        return {"P": w(2 * i, i), "p": w(i), "U": w(13 * i, o), "u": w(o)}

    wide = HIDDEN * HEADS if model == "GAT" else HIDDEN
    out = {"first." + k: v for k, v in conv(IN, HIDDEN, HEADS).items()}
    out.update({"last." + k: v for k, v in conv(wide, CLASSES, 1).items()})
    return out


def total(values, index, n):
    return torch.zeros((n,) + values.shape[1:], dtype=values.dtype).index_add(0, index, values)


def extreme(values, index, how):
    """Largest or smallest of each node's messages, 0 where there are none."""
    out = torch.zeros((N,) + values.shape[1:], dtype=values.dtype)
    where = index[:, None].expand_as(values)
    return out.scatter_reduce(0, where, values, how, include_self=False)


def gcn(x, w, d):
    n = (d["degree"] + 1).rsqrt()[:, None]
    z = n * x
    return (n * (total(z[d["src"]], d["dst"], N) + z)) @ w["W"] + w["b"]


def gat(x, w, d):
    z = torch.einsum("ni,iho->nho", x, w["W"])
    s = torch.nn.functional.leaky_relu((z * w["a_src"]).sum(-1)[d["src"]] + (z * w["a_dst"]).sum(-1)[d["dst"]], 0.2)
    e = (s - extreme(s, d["dst"], "amax").detach()[d["dst"]]).exp()
    a = e / total(e, d["dst"], N)[d["dst"]]
    return total(a[..., None] * z[d["src"]], d["dst"], N) + w["b"]


def rgcn(x, w, d):
    out = x @ w["W0"] + w["b"]
    for r in range(RELATIONS):
        of = d["rel"] == r
        count = total(of.to(x.dtype), d["dst"], N)
        mean = total(x[d["src"][of]], d["dst"][of], N) / count.clamp(min=1)[:, None]
        out = out + mean @ w["W"][r]
    return out


def pna(x, w, d):
    f = torch.cat([x[d["src"]], x[d["dst"]]], -1) @ w["P"] + w["p"]
    n = d["degree"].clamp(min=1)[:, None]
    mean = total(f, d["dst"], N) / n
    var = total((f - mean[d["dst"]]) ** 2, d["dst"], N) / n
    a = torch.cat([mean, extreme(f, d["dst"], "amax"), extreme(f, d["dst"], "amin"), (var + 1e-5).sqrt()], -1)
    s = (d["degree"] + 1).log()[:, None]
    return torch.cat([x, a, a * s, a * torch.where(s > 0, 1 / s, torch.zeros_like(s))], -1) @ w["U"] + w["u"]


CONV = {"GCN": gcn, "GAT": gat, "RGCN": rgcn, "PNA": pna}


def torch_curve(model, data, params, dtype):
    d = {"src": torch.tensor(data["edge_src"]).long(), "dst": torch.tensor(data["edge_dst"]).long(),
         "rel": torch.tensor(data["rel"])}
    d["degree"] = torch.bincount(d["dst"], minlength=N).to(dtype)
    x, y, mask = torch.tensor(data["x"], dtype=dtype), torch.tensor(data["y"]).long(), torch.tensor(data["mask"], dtype=dtype)
    w = {k: torch.tensor(v, dtype=dtype, requires_grad=True) for k, v in params.items()}
    first, last = ({k.split(".")[1]: v for k, v in w.items() if k.startswith(part)} for part in ("first.", "last."))
    sgd, losses = torch.optim.SGD(w.values(), lr=RATE[model], momentum=MOMENTUM), []
    for _ in range(STEPS):
        h = CONV[model](x, first, d)
        h = torch.nn.functional.elu(h).reshape(N, -1) if model == "GAT" else torch.relu(h)
        logits = CONV[model](h, last, d).reshape(N, CLASSES)
        loss = -(mask * logits.log_softmax(-1).gather(1, y[:, None])[:, 0]).sum() / mask.sum()
        losses.append(loss.item())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    return np.array(losses)


def mpc_curve(program, layers, model, data, params, real, folder):
    kind = np.float64 if real == "f64" else np.float32
    for name, value in data.items():
        np.save(os.path.join(folder, name + ".npy"), value.astype(kind) if value.dtype == np.float64 else value)
    np.savez(os.path.join(folder, "params.npz"), **{k: v.astype(kind) for k, v in params.items()})
    with open(os.path.join(folder, "num_nodes.txt"), "w") as f:
        f.write(str(N))
    out = subprocess.run([program, layers, model, folder, real, str(STEPS), str(RATE[model]), str(MOMENTUM)],
                         capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"{model}: {out.stderr}")
    return np.array([float(line) for line in out.stdout.split()])


def main():
    program, layers, models = sys.argv[1], sys.argv[2], sys.argv[3:] or list(CONV)
    torch.set_num_threads(1)
    wrong = False
    for model in models:
        for real, dtype in (("f32", torch.float32), ("f64", torch.float64)):
            rng = np.random.default_rng(7)
            data, params = make_data(rng), make_params(rng, model)
            theirs = torch_curve(model, data, params, dtype)
            with tempfile.TemporaryDirectory() as folder:
                ours = mpc_curve(program, layers, model, data, params, real, folder)
            off = np.max(np.abs(ours - theirs) / np.abs(theirs))
            good = len(ours) == STEPS and off <= TOLERANCE[real] and theirs[-1] < theirs[0]
            wrong |= not good
            print(f"{model:5} {real}: loss {theirs[0]:.4f} to {theirs[-1]:.4f} in {STEPS} steps, "
                  f"largest relative difference {off:.2g} {'' if good else 'WRONG'}")
    sys.exit(1 if wrong else 0)


main()
