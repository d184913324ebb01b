"""Makes layers.json, outputs and gradients of functions, steps of optimisers and rates of schedules by PyTorch, in our
layouts: python tests/golden/make_layers.py > tests/golden/layers.json (made with torch 2.15 and diffusers 0.42)"""
import json
import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding

torch.manual_seed(0)


def rounded(x):
    """[shape, numbers] of a tensor, to float32's digits."""
    return [list(x.shape), [float(f"{v:.7g}") for v in x.detach().flatten().tolist()]]


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def attention(q, k, v, heads, scale=None):
    b, t, c = q.shape
    q, k, v = (x.reshape(b, t, heads, c // heads).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2).reshape(b, t, c)


def conv(x, w, b, stride, padding):
    return nhwc(F.conv2d(nchw(x), w.permute(3, 2, 0, 1), b, stride, padding))


def batch_norm(x, g, b):
    y = F.batch_norm(x.movedim(-1, 1), None, None, g, b, training=True)
    return y.movedim(1, -1)


def group_norm(groups, silu, eps=1e-5):
    def f(x, g, b):
        y = F.group_norm(x.movedim(-1, 1), groups, g, b, eps).movedim(1, -1)
        return F.silu(y) if silu else y
    return f


FUNCTIONS = {
    "conv2d": (lambda x, w, b: conv(x, w, b, 1, 0), [[2, 5, 4, 3], [3, 3, 3, 2], [2]]),
    "conv2d stride 2, padding 1": (lambda x, w, b: conv(x, w, b, 2, 1), [[2, 6, 5, 3], [3, 3, 3, 4], [4]]),
    "conv2d 1x3, rows left over": (lambda x, w, b: conv(x, w, b, 3, 0), [[1, 6, 8, 2], [1, 3, 2, 2], [2]]),
    "linear": (F.linear, [[2, 3, 4], [5, 4], [5]]),
    "groupNorm": (group_norm(2, False), [[2, 3, 2, 6], [6], [6]]),
    "groupNorm with SiLU, eps 0.1": (group_norm(3, True, 0.1), [[2, 5, 6], [6], [6]]),
    "batchNorm [N,C]": (batch_norm, [[5, 3], [3], [3]]),
    "batchNorm [N,H,W,C]": (batch_norm, [[2, 3, 2, 3], [3], [3]]),
    "attention": (lambda q, k, v: attention(q, k, v, 2), [[2, 5, 6]] * 3),
    "attention scale 0.3": (lambda q, k, v: attention(q, k, v, 1, 0.3), [[1, 3, 4]] * 3),
    "silu": (F.silu, [[3, 5]]),
    "gelu": (F.gelu, [[3, 5]]),
    "relu": (F.relu, [[3, 5]]),
    "generalRelu": (lambda x: F.leaky_relu(x, 0.1) - 0.4, [[3, 5]]),
    "averagePool": (lambda x: nhwc(F.avg_pool2d(nchw(x), 2, ceil_mode=True)), [[2, 5, 4, 2]]),
    "averagePool 3": (lambda x: nhwc(F.avg_pool2d(nchw(x), 3, ceil_mode=True)), [[1, 7, 6, 2]]),
    "upsampleNearest": (lambda x: nhwc(F.interpolate(nchw(x), scale_factor=2)), [[1, 2, 3, 2]]),
    "mseLoss": (F.mse_loss, [[3, 4], [3, 4]]),
    "crossEntropy": (lambda x: F.cross_entropy(x, torch.tensor([2, 0, 4, 1])), [[4, 5]]),
    "Flatten": (lambda x: nchw(x).flatten(1), [[2, 3, 2, 2]]),
}

functions = {}
for name, (f, shapes) in FUNCTIONS.items():
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    y = f(*inputs)
    dy = torch.randn(y.shape)
    y.backward(dy)
    functions[name] = {
        "inputs": [rounded(x) for x in inputs],
        "y": rounded(y),
        "dy": rounded(dy),
        "grads": [rounded(x.grad) for x in inputs],
    }

OPTIMISERS = {
    "SGD": lambda ps, **o: torch.optim.SGD(ps, **o),
    "Adam": lambda ps, **o: torch.optim.Adam(ps, **o),
    "AdamW": lambda ps, **o: torch.optim.AdamW(ps, **o),
}
RUNS = [
    ["SGD", {"lr": 0.05}, None],
    ["SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1}, None],
    ["SGD", {"lr": 0.05}, {"max_lr": 0.1, "total_steps": 12}],
    ["Adam", {}, None],
    ["Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.2}, None],
    ["AdamW", {"lr": 0.1}, None],
    ["AdamW", {"lr": 0.1, "betas": (0.5, 0.9), "weight_decay": 0.3}, None],
    ["Adam", {"lr": 0.1}, {"max_lr": 0.3, "total_steps": 12, "pct_start": 0.5, "div_factor": 5, "final_div_factor": 10,
                           "base_momentum": 0.7, "max_momentum": 0.9}],
    ["AdamW", {"lr": 0.1}, {"max_lr": 0.3, "total_steps": 12, "cycle_momentum": False}],
]
start, target = torch.randn(5), torch.randn(5)
optimisers = []
for kind, options, cycle in RUNS:
    p = torch.nn.Parameter(start.clone())
    unused = torch.nn.Parameter(start.clone())
    opt = OPTIMISERS[kind]([p, unused], **options)
    schedule = cycle and torch.optim.lr_scheduler.OneCycleLR(opt, **cycle)
    rows = []
    for _ in range(12):
        opt.zero_grad()
        ((p - target) ** 4).sum().backward()
        opt.step()
        rows.append(rounded(p)[1])
        if schedule:
            schedule.step()
    assert torch.equal(unused, start)
    rate = opt.param_groups[0]["lr"]
    optimisers.append({"kind": kind, "options": options, "cycle": cycle, "steps": rows, "rate": rate})

bn = torch.nn.BatchNorm1d(3, eps=1e-3, momentum=0.3)
batches = [torch.randn(4, 3) * 2 + 1 for _ in range(3)]
outputs = [bn(x) for x in batches]
bn.eval()
running = {
    "batches": [rounded(x) for x in batches],
    "outputs": [rounded(y) for y in outputs],
    "mean": rounded(bn.running_mean),
    "variance": rounded(bn.running_var),
    "evaluated": rounded(bn(batches[0])),
}

embeddings = []
for dim, options in [
    (8, {}),
    (7, {"flip_sin_to_cos": True}),
    (8, {"downscale_freq_shift": 0, "flip_sin_to_cos": True, "max_period": 500}),
]:
    e = get_timestep_embedding(torch.tensor([0.0, 3.0, 517.5, 999.0]), dim, **options)
    embeddings.append({"dim": dim, "options": options, "y": rounded(e)})

image = torch.arange(13 * 9, dtype=torch.float32).reshape(1, 1, 13, 9) % 17
resized = rounded(nhwc(F.interpolate(image, size=(5, 5), mode="bilinear")))

print(json.dumps({
    "functions": functions,
    "start": rounded(start),
    "target": rounded(target),
    "optimisers": optimisers,
    "running": running,
    "embeddings": embeddings,
    "resized": resized,
}))
