"""
PyTorch's side of the benchmark: reads one JSON request a line, writes one JSON answer a line.

{"info": true} tells versions; {"check": PATH} compares the U-Net with Diffusers' reference tensors;
{"case": {...}, "threads": n, "ms": m} times a case of bench/cases.ts for at least m milliseconds;
a case of data is read by as many workers as there are threads;
{"memory": {...}, "threads": n} tells the peak resident MiB of three steps of a case.
"""
import json
import math
import resource
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from resnet import get_model
from unet import UNet2DModel


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    meta = header.pop("__metadata__", {})
    types = {"F32": "<f4", "I64": "<i8", "I32": "<i4"}

    def tensor(v):
        a, b = (8 + n + o for o in v["data_offsets"])
        return torch.from_numpy(np.frombuffer(data[a:b], dtype=types[v["dtype"]]).copy().reshape(v["shape"]))

    return {k: tensor(v) for k, v in header.items()}, meta


def check(path):
    """The largest relative error of the tiny U-Net's output, loss and gradients."""
    t, meta = read_safetensors(path)
    model = UNet2DModel(json.loads(meta["config"]))
    model.load_state_dict({k[6:]: v for k, v in t.items() if k.startswith("param.")})
    y = model(t["x"], t["t"])
    loss = F.mse_loss(y, t["target"])
    loss.backward()
    largest = max(v.abs().max() for k, v in t.items() if k.startswith("grad."))
    errors = [(y - t["y"]).abs().max() / t["y"].abs().max(), (loss - t["loss"]).abs().max() / t["loss"].max()]
    errors += [(p.grad - t["grad." + k]).abs().max() / largest for k, p in model.named_parameters()]
    return max(e.item() for e in errors)


def both(f, inputs):
    """A function, and one that runs its backward pass alone."""
    inputs = [x.requires_grad_() for x in inputs]
    y = f(*inputs)
    dy = torch.randn_like(y)
    return lambda: f(*inputs), lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def no_grad(f):
    def run():
        with torch.no_grad():
            f()

    return run


def prepare(c):
    kind, part = c["kind"], c.get("part")
    r = torch.randn
    if kind == "conv":
        n, h, ci, co, k, s = (c[x] for x in ("n", "h", "ci", "co", "k", "stride"))
        x, w = r(n, ci, h, h), r(co, ci, k, k)
        y = F.conv2d(x, w, stride=s, padding=k // 2)
        dy = torch.randn_like(y)
        if part == "forward":
            return no_grad(lambda: F.conv2d(x, w, stride=s, padding=k // 2))
        mask = [part == "dx", part == "dw", False]
        p = [k // 2, k // 2]
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [s, s], p, [1, 1], False, [0, 0], 1, mask
        )
    if kind == "matmul":
        m, k, n = c["m"], c["k"], c["n"]
        a = r(k, m).T if c["ta"] else r(m, k)
        b = r(n, k).T if c["tb"] else r(k, n)
        return lambda: a @ b
    if kind == "attention":
        b, t, heads, d = c["b"], c["t"], c["heads"], c["d"]

        def attend(q, k, v):
            split = lambda x: x.reshape(b, t, heads, d).permute(0, 2, 1, 3).reshape(b * heads, t, d)
            q, k, v = split(q), split(k), split(v)
            s = torch.baddbmm(torch.empty(b * heads, t, t), q, k.transpose(-1, -2), beta=0, alpha=1 / math.sqrt(d))
            y = torch.bmm(s.softmax(-1), v)
            return y.reshape(b, heads, t, d).permute(0, 2, 1, 3).reshape(b, t, heads * d)

        forward, backward = both(attend, [r(b, t, heads * d) for _ in range(3)])
    elif kind == "groupnorm":
        g, b = r(c["c"]), r(c["c"])
        norm = lambda x, g, b: F.silu(F.group_norm(x, c["groups"], g, b))
        forward, backward = both(norm, [r(c["n"], c["c"], c["h"], c["h"]), g, b])
    elif kind == "batchnorm":
        g, b = r(c["c"]), r(c["c"])
        norm = lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True)
        forward, backward = both(norm, [r(c["n"], c["c"], c["h"], c["h"]), g, b])
    elif kind == "silu":
        forward, backward = both(F.silu, [r(c["size"])])
    elif kind == "gelu":
        forward, backward = both(F.gelu, [r(c["size"])])
    elif kind == "softmax":
        forward, backward = both(lambda x: x.softmax(-1), [r(c["rows"], c["columns"])])
    elif kind == "mse":
        forward, backward = both(F.mse_loss, [r(c["size"]), r(c["size"])])
    elif kind == "crossentropy":
        labels = torch.randint(0, c["columns"], (c["rows"],))
        forward, backward = both(lambda x: F.cross_entropy(x, labels), [r(c["rows"], c["columns"])])
    elif kind == "upsample":
        up = lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest")
        forward, backward = both(up, [r(c["n"], c["c"], c["h"], c["h"])])
    elif kind == "add":
        a, b = r(c["size"]), r(c["size"])
        return lambda: a + b
    elif kind == "concat":
        a, b = (r(c["n"], c["c"], c["h"], c["h"]) for _ in range(2))
        return lambda: torch.cat([a, b], 1)
    elif kind == "sum":
        x = r(c["n"], c["c"], c["h"], c["h"])
        return lambda: x.sum((0, 2, 3))
    elif kind == "normal":
        return lambda: torch.randn(c["size"])
    elif kind == "adam":
        params = [torch.nn.Parameter(r(c["size"] // 300)) for _ in range(300)]
        for p in params:
            p.grad = torch.randn_like(p)
        return torch.optim.Adam(params, lr=1e-3).step
    elif kind == "unet":
        return unet(c, part)
    elif kind == "resnet":
        return resnet(c)
    elif kind == "data":
        return folder(c)
    else:
        raise KeyError(kind)
    return no_grad(forward) if part == "forward" else backward


def load(model, c, forward):
    """Our weights in a model, which must then give our output."""
    state, _ = read_safetensors(c["weights"])
    x, y = state.pop("check.x"), state.pop("check.y")
    before = {k: v.clone() for k, v in state.items()}
    model.load_state_dict(state, strict=False)
    side = math.isqrt(x.numel() // 4)
    with torch.no_grad():
        error = (forward(model, x.reshape(4, 1, side, side)).flatten() - y).abs().max() / y.abs().max()
    if not error < 1e-3:
        raise ValueError(f"its output is not ours: relative error {error:.1e}")
    model.load_state_dict(before, strict=False)
    return model


def unet(c, part):
    model = load(UNet2DModel(c["config"]), c, lambda m, x: m(x, torch.full((4,), 321)))
    n, size = c["n"], c["config"]["sample_size"]
    if part == "sample":
        x = torch.randn(n, 1, size, size)

        @torch.no_grad()
        def step():
            e = model(x, torch.full((n,), 500))
            x0 = ((x - 0.7 * e) / 0.7).clamp(-1, 1)
            return 0.1 * x0 + 0.9 * x + 0.1 * torch.randn_like(x)

        return step
    x0 = torch.rand(n, 1, size, size)
    opt = torch.optim.Adam(model.parameters(), lr=1e-4, eps=1e-5)
    alphabar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)

    def train():
        t, e = torch.randint(0, 1000, (n,)), torch.randn_like(x0)
        a = alphabar[t].reshape(-1, 1, 1, 1)
        loss = F.mse_loss(model(a.sqrt() * x0 + (1 - a).sqrt() * e, t), e)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.item()

    return train


def resnet(c):
    model = load(get_model(), c, lambda m, x: m(x))
    x, y = torch.randn(c["n"], 1, 28, 28), torch.randint(0, 10, (c["n"],))
    opt = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def train():
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.item()

    return train


def folder(c):
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    change = transforms.Compose([
        transforms.Resize(c["side"], transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(c["side"]),
        transforms.ToTensor(),
        transforms.Normalize(0.5, 0.5),
    ])
    files = datasets.ImageFolder(c["dir"], change)
    loaders = {}

    def run():
        workers = torch.get_num_threads()
        if workers not in loaders:
            loaders[workers] = DataLoader(
                files, batch_size=c["batch"], shuffle=True, num_workers=workers, persistent_workers=True
            )
        for _ in loaders[workers]:
            pass

    return run


def measure(run, ms):
    run()
    times, until = [], time.perf_counter() + ms / 1000
    while time.perf_counter() < until or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[len(times) // 2]


def answer(request, prepared):
    if "info" in request:
        return {"name": "PyTorch " + torch.__version__.split("a")[0]}
    if "memory" in request:
        # three steps in this process, which is asked nothing else
        case = request["memory"]
        torch.set_num_threads(request["threads"])
        run = unet(case, case["part"])
        for _ in range(3):
            run()
        return {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    if "check" in request:
        return {"error": check(request["check"])}
    torch.set_num_threads(request["threads"])
    key = json.dumps(request["case"])
    if key not in prepared:
        prepared.clear()
        torch.manual_seed(1)
        prepared[key] = prepare(request["case"])
    return {"ms": measure(prepared[key], request["ms"])}


def main():
    prepared = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), prepared)
        except KeyError as missing:
            reply = {"missing": f"no {missing}"}
        except Exception as error:  # a case that fails must not end the others
            reply = {"missing": str(error).split("\n")[0]}
        print(json.dumps(reply), flush=True)


main()
