#!/usr/bin/env python3
"""Writes actions.txt: what the operations of common/base/actions.h must give, by PyTorch.

    python3 tests/golden/actions.py > tests/golden/actions.txt      # torch 2.x, numpy

One array a pair of lines: `name number...-of-each-dimension`, then its values.
"""
import numpy as np
import torch
import torch.nn.functional as F
from statistics import NormalDist
from torch.distributions import Categorical, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

rng = np.random.default_rng(20261121)
torch.set_default_dtype(torch.float64)


def put(name, a):
    if isinstance(a, list):
        a = [v.item() if torch.is_tensor(v) else v for v in a]
    a = np.asarray(a.detach() if torch.is_tensor(a) else a)
    print(name, *a.shape)
    print(*("%.9g" % v for v in a.reshape(-1)))


def f32(*shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def leaf(a):
    return torch.tensor(np.asarray(a, dtype=np.float64), requires_grad=True)


def normal():
    p = np.array([1e-7, 1e-5, 1e-3, 0.02, 0.0749, 0.075, 0.3, 0.5, 0.7, 0.925, 0.9251, 0.99, 0.99999], np.float32)
    put("normal.p", p); put("normal.x", [NormalDist().inv_cdf(float(v)) for v in p])


def logp_entropy(kind, z, raw, sizes):
    """log-probability and entropy of each row, by PyTorch's distributions."""
    if kind == 0:
        parts = [Categorical(logits=part) for part in z.split(sizes, 1)]
        return (sum(d.log_prob(raw[:, k]) for k, d in enumerate(parts)), sum(d.entropy() for d in parts))
    mean, log_std = z.chunk(2, 1)
    base = Normal(mean, log_std.exp())
    if kind == 1:
        return base.log_prob(raw).sum(1), base.entropy().sum(1)
    squashed = TransformedDistribution(base, [TanhTransform(cache_size=1)])
    action = squashed.transforms[0](raw)
    return squashed.log_prob(action).sum(1), base.entropy().sum(1)


def dist(name, kind, sizes=(3, 2, 4), parts=3, n=23, plain=False, clip=0.2):
    rows, ce, cv = 40, 0.02, 0.6
    width = sum(sizes) if kind == 0 else 2 * parts
    z0, value = f32(n, width, scale=0.5), f32(n)
    raw0 = np.stack([rng.integers(0, s, rows) for s in sizes], 1) if kind == 0 else f32(rows, parts)
    row = rng.permutation(rows)[:n]
    mask = (rng.random(rows) < 0.8).astype(np.float32)
    advantage, target = f32(rows, scale=2), f32(rows)
    z, v = leaf(z0), leaf(value)
    raw = torch.tensor(raw0[row] if kind == 0 else raw0[row].astype(np.float64))
    lp, H = logp_entropy(kind, z, raw, list(sizes))
    old = np.zeros(rows, np.float32)
    old[row] = lp.detach().numpy() + 0.2 * rng.standard_normal(n)
    ratio = (lp - torch.tensor(old[row], dtype=torch.float64)).exp()
    ad, tg, m = (torch.tensor(x[row], dtype=torch.float64) for x in (advantage, target, mask))
    pg = -lp * ad if plain else torch.max(-ad * ratio, -ad * ratio.clamp(1 - clip, 1 + clip))
    vl = 0.5 * (v - tg) ** 2
    (((pg - ce * H + cv * vl) * m).sum() / m.sum()).backward()
    put(name + ".setup", [kind, n, len(sizes) if kind == 0 else parts, width, plain, clip, cv, ce])
    put(name + ".sizes", sizes); put(name + ".row", row); put(name + ".z", z0); put(name + ".value", value)
    put(name + ".raw", raw0); put(name + ".mask", mask); put(name + ".advantage", advantage)
    put(name + ".target", target); put(name + ".logp_old", old); put(name + ".logp", lp)
    put(name + ".dz", z.grad); put(name + ".dvalue", v.grad)
    put(name + ".stats", [m.sum(), (pg * m).sum(), (vl * m).sum(), (H * m).sum()])


def soft(n=11, parts=3, log_alpha=-0.4, target_entropy=-3.0):
    """One policy step of soft actor-critic; the critics are quadratic functions of the action."""
    z0, eps, w1, w2 = f32(n, 2 * parts, scale=0.6), f32(n, parts), f32(n, parts), f32(n, parts)
    z, la = leaf(z0), leaf(log_alpha)
    mean, log_std = z.chunk(2, 1)
    u = mean + log_std.exp() * torch.tensor(eps, dtype=torch.float64)
    a = torch.tanh(u)
    lp = (Normal(mean, log_std.exp()).log_prob(u) - 2 * (np.log(2) - u - F.softplus(-2 * u))).sum(1)
    q1 = -((a - torch.tensor(w1)) ** 2).sum(1)
    q2 = -((a - torch.tensor(w2)) ** 2).sum(1)
    least = torch.min(q1, q2)
    a.retain_grad()
    (-least.mean()).backward(retain_graph=True)
    daction = a.grad.clone()
    z.grad = None
    loss = (la.detach().exp() * lp - least).mean()
    loss.backward()
    (-la.exp() * (lp.detach() + target_entropy)).mean().backward()
    put("soft.setup", [n, parts, log_alpha, target_entropy]); put("soft.z", z0); put("soft.raw", u); put("soft.logp", lp)
    put("soft.q1", q1); put("soft.q2", q2); put("soft.daction", daction); put("soft.dz", z.grad)
    put("soft.dlog_alpha", [la.grad]); put("soft.stats", [n, loss.item() * n, -lp.sum()])
    value, disc, ret = f32(n), np.where(rng.random(n) < 0.3, 0, 0.99).astype(np.float32), f32(n)
    t1, t2 = leaf(f32(n).astype(np.float64)), leaf(f32(n).astype(np.float64))
    y = torch.tensor(ret + disc * value, dtype=torch.float64)
    twin = 0.5 * F.mse_loss(t1, y) + 0.5 * F.mse_loss(t2, y)
    twin.backward()
    put("twin.value", value); put("twin.discount", disc); put("twin.n_return", ret); put("twin.q1", t1); put("twin.q2", t2)
    put("twin.dq1", t1.grad); put("twin.dq2", t2.grad)
    put("twin.stats", [n, twin.item() * n, (0.5 * ((t1 - y).abs() + (t2 - y).abs())).sum(), (0.5 * (t1 + t2)).sum()])
    put("twin.soft_value", torch.min(t1, t2) - np.exp(log_alpha) * lp)


def soft_choice(n=9, A=4, log_alpha=0.2, target_entropy=1.1):
    z0, q1, q2 = f32(n, A), f32(n, A), f32(n, A)
    z, la = leaf(z0), leaf(log_alpha)
    d = Categorical(logits=z)
    least = torch.min(torch.tensor(q1), torch.tensor(q2)).double()
    lp = torch.log_softmax(z, 1)
    loss = (d.probs * (la.detach().exp() * lp - least)).sum(1).mean()
    loss.backward()
    (d.probs.detach() * (-la.exp() * (lp.detach() + target_entropy))).sum(1).mean().backward()
    put("choice.setup", [n, A, log_alpha, target_entropy]); put("choice.z", z0); put("choice.q1", q1); put("choice.q2", q2)
    put("choice.dz", z.grad); put("choice.dlog_alpha", [la.grad])
    put("choice.value", (d.probs * (least - np.exp(log_alpha) * lp)).sum(1))
    put("choice.stats", [n, loss.item() * n, d.entropy().sum()])


def running(n=50, width=4):
    x = (f32(n, width) * np.array([1, 10, 0.1, 3]) + np.array([0, 100, -2, 5])).astype(np.float32)
    put("running.setup", [n, width]); put("running.x", x)
    put("running.mean", x.astype(np.float64).mean(0)); put("running.scale", 1 / np.sqrt(x.astype(np.float64).var(0) + 1e-8))


normal()
dist("choices", 0); dist("choices_plain", 0, plain=True); dist("one_choice", 0, sizes=(5,))
dist("normal_ppo", 1); dist("normal_plain", 1, plain=True, parts=1); dist("squashed", 2); dist("squashed_plain", 2, plain=True)
soft(); soft_choice(); running()
