"""Golden data of tests/record/test_aggregate.c: NumPy and SciPy for the numbers and, given the same draws, for the intervals;
rliable (Agarwal et al. 2021) for the intervals by draws of its own.   python tests/golden/aggregate.py > tests/golden/aggregate.txt
Needs numpy, scipy, rliable, arch."""
import arch.bootstrap
import numpy as np
from rliable import library, metrics
from scipy.stats import trim_mean

BOOTSTRAP, RESAMPLES, SEED = 7, 2000, 99


_create = arch.bootstrap.IIDBootstrap.__init__
arch.bootstrap.IIDBootstrap.__init__ = lambda self, *a, random_state=None, **k: _create(self, *a, **k)  # renamed in arch 6; rliable draws from np.random


def philox(seed, stream, step, lane):
    """Philox4x32-10, the first number."""
    k0, k1 = seed & 0xffffffff, seed >> 32
    c = [step & 0xffffffff, step >> 32, lane, stream]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & 0xffffffff, (p0 >> 32) ^ c[3] ^ k1, p0 & 0xffffffff]
        k0, k1 = (k0 + 0x9E3779B9) & 0xffffffff, (k1 + 0xBB67AE85) & 0xffffffff
    return c[0]


KINDS = {
    "iqm": lambda tasks: trim_mean(np.concatenate(tasks), 0.25),
    "mean": lambda tasks: np.mean([t.mean() for t in tasks]),
    "median": lambda tasks: np.median([t.mean() for t in tasks]),
    "gap": lambda tasks: np.mean(1 - np.minimum(np.concatenate(tasks), 1)),
}
RLIABLE = {"iqm": metrics.aggregate_iqm, "mean": metrics.aggregate_mean, "median": metrics.aggregate_median, "gap": metrics.aggregate_optimality_gap}


def show(name, values):
    print(name, len(values), *(f"\n{v:.17g}" for v in values), sep=" ")


def case(name, tasks):
    show(f"{name}.sizes", [len(t) for t in tasks])
    show(f"{name}.scores", np.concatenate(tasks))
    draws = []
    for r in range(RESAMPLES):
        at, sample = 0, []
        for t in tasks:
            sample.append(np.array([t[philox(SEED, BOOTSTRAP, r, at + i) * len(t) >> 32] for i in range(len(t))]))
            at += len(t)
        draws.append(sample)
    same = len({len(t) for t in tasks}) == 1
    for kind, f in KINDS.items():
        values = [f(s) for s in draws]
        show(f"{name}.{kind}", [f(tasks), np.percentile(values, 2.5), np.percentile(values, 97.5)])
        if same and len(tasks) > 1:
            matrix = np.stack(tasks, axis=1)  # (runs, tasks)
            assert abs(RLIABLE[kind](matrix) - f(tasks)) < 1e-12
            np.random.seed(1)
            _, ci = library.get_interval_estimates({"x": matrix}, lambda x: np.array([RLIABLE[kind](x)]), reps=20000)
            show(f"{name}.{kind}_rliable", ci["x"].reshape(-1))


rng = np.random.default_rng(20261121)
case("one", [rng.normal(size=5)])
case("even", [rng.normal(loc, 0.3, size=5) for loc in (0.2, 0.9, 1.4, 3.0)])
case("odd", [rng.exponential(loc, size=n) for loc, n in ((1, 3), (2, 8), (0.5, 1), (4, 7))])
