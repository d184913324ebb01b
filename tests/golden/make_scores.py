"""Makes scores.json, distances of features by NumPy and SciPy:
python tests/golden/make_scores.py > tests/golden/scores.json (made with numpy 2.4.6 and scipy 1.17.1)"""
import json
import math
import numpy as np
from scipy.linalg import sqrtm

rng = np.random.default_rng(0)


def frechet(x, y):
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    between = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return between + np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real


def squared_mmd(x, y):
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3
    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    return ((xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
            - 2 * xy.mean())


def kid(x, y):
    n = max(math.ceil(min(len(x), len(y)) / 50), 4)

    def start(a, i):
        return math.floor(i * len(a) / n + 0.5)

    def part(a, i):
        return a[start(a, i):start(a, i + 1)]
    return np.mean([squared_mmd(part(x, i), part(y, i)) for i in range(n)])


def within(x, y, k):
    """The share of the rows of y in a ball around a row of x that reaches to its kth neighbour."""
    own = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(own, np.inf)
    radius = np.sort(own, axis=1)[:, k - 1]
    return (np.linalg.norm(x[:, None] - y[None], axis=2) <= radius[:, None]).any(0).mean()


def features(n, d, mean, mix):
    x = rng.normal(size=(n, d)) @ mix + mean
    return x.astype(np.float32).astype(np.float64)


CASES = {
    "alike": (230, 221, 6, 0.0, 1.0),
    "apart, of other spreads": (60, 90, 5, 2.0, 0.5),
    "far from zero": (40, 50, 4, 300.0, 1.0),
}
golden = []
for name, (n, m, d, shift, scale) in CASES.items():
    x = features(n, d, shift, rng.normal(size=(d, d)) / math.sqrt(d))
    y = features(m, d, shift + (0.3 if shift else 0), scale * rng.normal(size=(d, d)) / math.sqrt(d))
    golden.append({
        "name": name,
        "real": [list(x.shape), [float(f"{v:.9g}") for v in x.flatten()]],
        "samples": [list(y.shape), [float(f"{v:.9g}") for v in y.flatten()]],
        "mean": x.mean(0).tolist(),
        "covariance": np.cov(x, rowvar=False).flatten().tolist(),
        "fid": float(frechet(x, y)),
        "kid": float(kid(x, y)),
        "squaredMmd": float(squared_mmd(x, y)),
        "precision": float(within(x, y, 3)),
        "recall": float(within(y, x, 3)),
        "nearestPrecision": float(within(x, y, 1)),
    })
print(json.dumps(golden))
