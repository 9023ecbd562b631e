#!/usr/bin/env python3
"""Writes compute.txt: what the operations of common/base/compute.h must give, by PyTorch and NumPy.

    python3 tests/golden/compute.py > tests/golden/compute.txt      # torch 2.x, numpy

Scans are written from the papers' sums rather than as recursions. One array a pair of lines:
`name number...-of-each-dimension`, then its values.
"""
import sys
import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(20261120)
torch.manual_seed(1)
TERMINATED, TRUNCATED, RESET, FAILED = 1, 2, 4, 32


def put(name, a):
    a = np.asarray(a.detach() if torch.is_tensor(a) else a)
    print(name, *a.shape)
    print(*("%.9g" % v for v in a.reshape(-1)))


def f32(*shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def flags_of(T, N):
    """Random ends; the row after an end is a RESET, as the environments do it."""
    f = np.zeros((T, N), np.uint8)
    for n in range(N):
        for t in range(T):
            if t and f[t - 1, n] & 3:
                f[t, n] = RESET
            elif rng.random() < 0.2:
                f[t, n] = TERMINATED if rng.random() < 0.5 else TRUNCATED
                if rng.random() < 0.1:
                    f[t, n] = TERMINATED | TRUNCATED
            elif rng.random() < 0.03:
                f[t, n] = FAILED
    f[0, 0] = RESET
    return f


def gae(T=23, N=5, gamma=0.97, lam=0.9, scale=0.5):
    reward, value, flags = f32(T, N), f32(T + 1, N), flags_of(T, N)
    r, v = scale * reward.astype(float), value.astype(float)
    adv = np.zeros((T, N))
    for n in range(N):
        for t in range(T):
            if flags[t, n] & (RESET | FAILED):
                continue
            weight = 1.0
            for u in range(t, T):  # sum over u of (gamma lambda)^(u - t) delta_u
                if flags[u, n] & (RESET | FAILED):
                    break
                after = 0.0 if flags[u, n] & TERMINATED else v[u + 1, n]
                adv[t, n] += weight * (r[u, n] + gamma * after - v[u, n])
                weight *= gamma * lam
                if flags[u, n] & 3:
                    break
    put("gae.hyper", [gamma, lam, scale]); put("gae.reward", reward); put("gae.value", value)
    put("gae.flags", flags); put("gae.advantage", adv); put("gae.target", adv + v[:T])


def vtrace(T=19, N=4, gamma=0.98, lam=0.95, rho_bar=1.2, c_bar=0.9):
    reward, value, flags = f32(T, N), f32(T + 1, N), flags_of(T, N)
    mu, pi = f32(T, N, scale=0.6) - 1, f32(T, N, scale=0.6) - 1
    v = value.astype(float)
    ratio = np.exp(pi.astype(float) - mu.astype(float))
    rho, c = np.minimum(rho_bar, ratio), lam * np.minimum(c_bar, ratio)
    bad = (flags & (RESET | FAILED)) != 0
    vs = v.copy()
    for n in range(N):
        for t in range(T):
            if bad[t, n]:
                continue
            weight = 1.0  # product of gamma c
            for u in range(t, T):
                if bad[u, n]:
                    break
                after = 0.0 if flags[u, n] & TERMINATED else v[u + 1, n]
                vs[t, n] += weight * rho[u, n] * (reward[u, n] + gamma * after - v[u, n])
                weight *= gamma * c[u, n]
                if flags[u, n] & 3:
                    break
    adv = np.zeros((T, N))
    for n in range(N):
        for t in range(T):
            if bad[t, n]:
                continue
            after = 0.0 if flags[t, n] & TERMINATED else (v if flags[t, n] & TRUNCATED else vs)[t + 1, n]
            adv[t, n] = rho[t, n] * (reward[t, n] + gamma * after - v[t, n])
    put("vtrace.hyper", [gamma, lam, rho_bar, c_bar]); put("vtrace.reward", reward); put("vtrace.value", value)
    put("vtrace.flags", flags); put("vtrace.mu", mu); put("vtrace.pi", pi)
    put("vtrace.target", vs[:T]); put("vtrace.advantage", adv); put("vtrace.rho", [rho[~bad].sum()])


def policy(name, n=37, A=5, plain=False, total=False, normalize=True, value_clip=0.0, logp=True):
    rows = 64
    row = rng.permutation(rows)[:n].astype(np.int32)
    z, value = f32(n, A), f32(n)
    action = rng.integers(0, A, rows)
    mask = (rng.random(rows) < 0.8).astype(np.float32)
    advantage, target, value_old = f32(rows, scale=2), f32(rows), f32(rows)
    clip, cv, ce = 0.2, 0.6, 0.02
    tz, tv = torch.tensor(z, dtype=torch.float64, requires_grad=True), torch.tensor(value, dtype=torch.float64, requires_grad=True)
    a, ad, tg, vo, m = (torch.tensor(x[row]) for x in (action, advantage, target, value_old, mask))
    keep = m > 0
    dist = torch.distributions.Categorical(logits=tz)
    lp = dist.log_prob(a)
    logp_old = np.zeros(rows, np.float32)
    logp_old[row] = lp.detach().numpy() + 0.3 * rng.standard_normal(n)
    lo = torch.tensor(logp_old[row], dtype=torch.float64)
    ad = ad.double()
    mean, std = ad[keep].mean(), ad[keep].std()
    if normalize:
        ad = (ad - mean) / (std + 1e-8)
    ratio = (lp - lo).exp()
    pg = -lp * ad if plain else torch.max(-ad * ratio, -ad * ratio.clamp(1 - clip, 1 + clip))
    vl = (tv - tg) ** 2
    if value_clip and not plain:
        vl = torch.max(vl, (vo + (tv - vo).clamp(-value_clip, value_clip) - tg) ** 2)
    H = dist.entropy()
    loss = ((pg - ce * H + cv * 0.5 * vl) * m).sum()
    if not total:
        loss = loss / m.sum()
    loss.backward()
    put(name + ".setup", [n, A, plain, total, normalize, logp, clip, value_clip, cv, ce])
    put(name + ".row", row); put(name + ".logits", z); put(name + ".value", value); put(name + ".action", action)
    put(name + ".mask", mask); put(name + ".advantage", advantage); put(name + ".target", target)
    put(name + ".value_old", value_old); put(name + ".logp_old", logp_old)
    put(name + ".moments", [mean.item(), std.item(), m.sum().item()])
    put(name + ".dlogits", tz.grad); put(name + ".dvalue", tv.grad)
    k = m.double()
    outside = ((ratio < 1 - clip) | (ratio > 1 + clip)).double() * (0 if plain else 1)
    kl = (ratio - 1) - (ratio.log()) if logp else torch.zeros(n)
    put(name + ".stats", [k.sum().item(), (pg * k).sum().item(), (0.5 * vl * k).sum().item(), (H * k).sum().item(),
                          (kl * k).sum().item(), (outside * k).sum().item()])


def dqn(name, n=29, A=4, double=True, weights=True, delta=1.0):
    q, qn, qo = f32(n, A, scale=2), f32(n, A, scale=2), f32(n, A, scale=2)
    action = rng.integers(0, A, n)
    ret, w = f32(n), (rng.random(n).astype(np.float32) if weights else np.ones(n, np.float32))
    disc = np.where(rng.random(n) < 0.3, 0, 0.99 ** rng.integers(1, 4, n)).astype(np.float32)
    tq = torch.tensor(q, dtype=torch.float64, requires_grad=True)
    tn = torch.tensor(qn).double()
    best = (torch.tensor(qo).double() if double else tn).argmax(1, keepdim=True)
    goal = torch.tensor(ret) + torch.tensor(disc) * tn.gather(1, best)[:, 0]
    sel = tq.gather(1, torch.tensor(action)[:, None])[:, 0]
    each = F.huber_loss(sel, goal, reduction="none", delta=delta) if delta else 0.5 * (sel - goal) ** 2
    loss = (torch.tensor(w) * each).mean()
    loss.backward()
    put(name + ".setup", [n, A, double, weights, delta])
    for k, v in dict(q=q, q_next=qn, q_online=qo, action=action, n_return=ret, discount=disc, weight=w).items():
        put(name + "." + k, v)
    put(name + ".dq", tq.grad); put(name + ".td", (sel - goal).abs())
    put(name + ".stats", [n, (torch.tensor(w) * each).sum().item(), (sel - goal).abs().sum().item(), sel.sum().item(), w.sum()])


def nstep(T=11, N=3, n=40, steps=3, gamma=0.95, scale=2.0):
    reward, action, flags = f32(T, N), rng.integers(0, 6, (T, N)), flags_of(T, N)
    row = rng.integers(0, T * N, n)
    acts, ret, disc, boot = [], [], [], []
    for r in row:
        t, a = divmod(int(r), N)
        g, k = 0.0, 0
        if flags[t, a] & (RESET | FAILED):
            acts.append(-1); ret.append(0); disc.append(0); boot.append(r); continue
        d, ended = None, False
        while k < steps:
            f = flags[(t + k) % T, a]
            if f & (RESET | FAILED):
                break
            g += gamma ** k * scale * float(reward[(t + k) % T, a])
            k += 1
            if f & TERMINATED:
                d = 0.0
                k -= 1  # the bootstrap row is not used
                break
            if f & TRUNCATED:
                break
        acts.append(action[t, a]); ret.append(g); disc.append(gamma ** k if d is None else d)
        boot.append(((t + k) % T) * N + a)
    put("nstep.setup", [T, N, n, steps, gamma, scale]); put("nstep.reward", reward); put("nstep.rows_action", action)
    put("nstep.flags", flags); put("nstep.row", row); put("nstep.action", acts); put("nstep.n_return", ret)
    put("nstep.discount", disc); put("nstep.bootstrap", boot)


def optimizer(name, kind, lr, b1, b2, eps, momentum, clip, n=21, steps=6):
    w0 = f32(n)
    grads = f32(steps, n, scale=0.7)
    w = torch.tensor(w0, dtype=torch.float64, requires_grad=True)
    opt = {"sgd": lambda: torch.optim.SGD([w], lr, momentum=momentum),
           "adam": lambda: torch.optim.Adam([w], lr, betas=(b1, b2), eps=eps),
           "rmsprop": lambda: torch.optim.RMSprop([w], lr, alpha=b2, eps=eps, momentum=momentum)}.get(kind, lambda: None)()
    out, mean, sq, mom, norms = [], np.zeros(n), np.ones(n), np.zeros(n), 0.0
    if kind == "centered":
        sq = np.zeros(n)
    for g in grads:
        w.grad = torch.tensor(g, dtype=torch.float64)
        norms += w.grad.norm().item()
        if clip and w.grad.norm() > clip:
            w.grad *= clip / w.grad.norm()
        if opt:
            opt.step()
        else:  # TensorFlow's RMSProp (eps inside the root, accumulator from 1) and Graves' centred one
            d = w.grad.numpy()
            sq = b2 * sq + (1 - b2) * d * d
            if kind == "centered":
                mean = b2 * mean + (1 - b2) * d
                step = d / np.sqrt(sq - mean * mean + eps)
            else:
                mom = momentum * mom + d / np.sqrt(sq + eps)
                step = mom
            w = torch.tensor(w.detach().numpy() - lr * step, requires_grad=True)
        out.append(w.detach().numpy().copy())
    put(name + ".setup", [["sgd", "adam", "rmsprop", "tf", "centered"].index(kind), lr, b1, b2, eps, momentum, clip, norms])
    put(name + ".w0", w0); put(name + ".grads", grads); put(name + ".w", np.array(out))


def layer(name, kind, n, h, w, c, out, k, s, p, act):
    x, W, b = f32(n, h, w, c), f32(out, k, k, c, scale=0.3), f32(out, scale=0.3)
    tx, tw, tb = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, W, b))
    nchw = tx.permute(0, 3, 1, 2)
    y = F.max_pool2d(nchw, k, s, p) if kind == 2 else F.conv2d(nchw, tw.permute(0, 3, 1, 2), tb, s, p)
    y = [lambda v: v, torch.relu, torch.tanh][act](y).permute(0, 2, 3, 1)
    dy = f32(*y.shape)
    (y * torch.tensor(dy)).sum().backward()
    put(name + ".setup", [kind, n, h, w, c, out, k, s, p, act])
    put(name + ".x", x)
    if kind != 2:
        put(name + ".w", np.concatenate([W.reshape(-1), b]))
        put(name + ".dw", torch.cat([tw.grad.reshape(-1), tb.grad]))
    put(name + ".y", y); put(name + ".dy", dy); put(name + ".dx", tx.grad)


def lstm(T=7, n=3, I=4, H=5):
    cell = torch.nn.LSTMCell(I, H).double()
    with torch.no_grad():
        for q in cell.parameters():
            q.copy_(q.float().double())
    x = torch.tensor(f32(T, n, I), dtype=torch.float64)
    h, c = torch.tensor(f32(n, H)).double(), torch.tensor(f32(n, H)).double()
    reset = (rng.random((T, n)) < 0.25).astype(np.uint8) * RESET
    h0, c0 = h, c
    gx = (x @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh).float().double().detach().requires_grad_()
    outs, cs = [], []
    for t in range(T):
        keep = torch.tensor((reset[t] == 0).astype(float))[:, None]
        h, c = h * keep, c * keep
        g = gx[t] + h @ cell.weight_hh.T
        i, f, z, o = g.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * z.tanh()
        h = o.sigmoid() * c.tanh()
        outs.append(h); cs.append(c)
        hh, _ = cell(x[t], (h0 * keep, c0 * keep))  # the hand-written step is PyTorch's
        if t == 0:
            assert torch.allclose(hh, h, atol=1e-6)
    y = torch.stack(outs)
    dh = f32(T, n, H)
    (y * torch.tensor(dh)).sum().backward()
    put("lstm.setup", [T, n, H]); put("lstm.w_h", cell.weight_hh); put("lstm.reset", reset)
    put("lstm.h0", h0); put("lstm.c0", c0); put("lstm.gates", gx); put("lstm.h", y); put("lstm.c", torch.stack(cs))
    put("lstm.dh", dh); put("lstm.dgates", gx.grad); put("lstm.dw_h", cell.weight_hh.grad)


gae(); vtrace(); nstep()
policy("ppo"); policy("ppo_clip", value_clip=0.2, normalize=False); policy("a2c", plain=True, normalize=False)
policy("impala", plain=True, total=True, normalize=False, logp=False, A=18); policy("ppo2", A=2, n=16)
dqn("dqn", double=False, weights=False); dqn("double"); dqn("squared", delta=0.0, A=18, n=7)
optimizer("sgd", "sgd", 0.1, 0, 0, 0, 0.0, 0.5); optimizer("momentum", "sgd", 0.1, 0, 0, 0, 0.9, 0)
optimizer("adam", "adam", 1e-2, 0.9, 0.999, 1e-5, 0, 0.5); optimizer("adam_free", "adam", 1e-3, 0.8, 0.99, 1e-8, 0, 0)
optimizer("rmsprop", "rmsprop", 7e-3, 0, 0.99, 1e-5, 0, 0.5); optimizer("rmsprop_momentum", "rmsprop", 7e-3, 0, 0.9, 1e-2, 0.6, 40)
optimizer("tf", "tf", 7e-3, 0, 0.99, 0.1, 0, 0.5); optimizer("tf_momentum", "tf", 7e-3, 0, 0.9, 0.01, 0.5, 0)
optimizer("centered", "centered", 2.5e-3, 0, 0.95, 1e-2, 0, 0)
layer("linear", 0, 5, 1, 1, 7, 6, 1, 1, 0, 2); layer("linear_relu", 0, 9, 1, 1, 33, 18, 1, 1, 0, 1)
layer("conv", 1, 3, 9, 7, 3, 5, 3, 2, 0, 1); layer("conv_pad", 1, 2, 6, 5, 4, 3, 3, 1, 1, 2)
layer("conv_stride4", 1, 2, 12, 16, 4, 17, 8, 4, 0, 1); layer("conv_even", 1, 2, 8, 8, 2, 4, 4, 2, 1, 0)
layer("pool", 2, 2, 7, 9, 3, 3, 3, 2, 1, 0)
lstm()
