"""Makes torch.json, the reference numbers of PyTorch 1.13: /usr/bin/python3 tests/golden/make_torch.py > tests/golden/torch.json"""
import json
import torch

out = {}
p = torch.nn.Parameter(torch.zeros(1))
for name, make in {
    "adam": lambda: torch.optim.Adam([p], lr=1.0),
    "sgd": lambda: torch.optim.SGD([p], lr=1.0, momentum=0.9),
}.items():
    opt = make()
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=5e-3, total_steps=37)
    rows = []
    for i in range(37):
        g = opt.param_groups[0]
        rows.append([g["lr"], g["betas"][0] if "betas" in g else g["momentum"]])
        opt.step()
        sched.step()
    out["onecycle." + name] = rows

torch.manual_seed(0)
x0 = torch.randn(7, dtype=torch.float64)
a = torch.randn(7, dtype=torch.float64)
out["start"] = x0.tolist()
out["target"] = a.tolist()
for name, make in {
    "sgd": lambda q: torch.optim.SGD([q], lr=0.05),
    "sgd.momentum": lambda q: torch.optim.SGD([q], lr=0.05, momentum=0.9, weight_decay=0.01),
    "adam": lambda q: torch.optim.Adam([q], lr=0.02, eps=1e-5),
    "adam.l2": lambda q: torch.optim.Adam([q], lr=0.02, betas=(0.8, 0.99), weight_decay=0.1),
    "adamw": lambda q: torch.optim.AdamW([q], lr=0.02, weight_decay=0.1),
}.items():
    q = torch.nn.Parameter(x0.clone())
    opt = make(q)
    for i in range(12):
        opt.zero_grad()
        ((q - a) ** 2 * torch.arange(1, 8)).sum().backward()
        opt.step()
    out["opt." + name] = q.tolist()

image = torch.arange(28 * 28, dtype=torch.float32).reshape(1, 1, 28, 28) % 37
out["resize32"] = torch.nn.functional.interpolate(image, size=(32, 32), mode="bilinear").flatten().tolist()

torch.manual_seed(1)
x = torch.randn(4, 3, 5, 5)
bn = torch.nn.BatchNorm2d(3)
y = bn(x)
out["bn.x"] = x.permute(0, 2, 3, 1).flatten().tolist()
out["bn.train"] = y.permute(0, 2, 3, 1).flatten().tolist()
out["bn.mean"] = bn.running_mean.tolist()
out["bn.var"] = bn.running_var.tolist()
bn.eval()
out["bn.eval"] = bn(x).permute(0, 2, 3, 1).flatten().tolist()
print(json.dumps(out))
