#!/usr/bin/env python3
"""Writes scans.txt: what rlax (DeepMind's) gives for V-trace and GAE, in double precision.

    pip install rlax==0.1.9 "jax[cpu]" && python3 tests/golden/scans.py > tests/golden/scans.txt

rlax takes one sequence at a time: each column is cut into its episodes here, a termination is a discount of zero, and rows
whose action is ignored (RESET, FAILED) belong to none: their advantage is zero, their target the value. The layout of the
file is compute.txt's.
"""
import jax
import jax.numpy as jnp
import numpy as np
import rlax

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(20261121)
TERMINATED, TRUNCATED, RESET, FAILED = 1, 2, 4, 32


def put(name, a):
    a = np.asarray(a)
    print(name, *a.shape)
    print(*("%.9g" % v for v in a.reshape(-1)))


def f32(*shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def flags_of(T, N):
    """Random ends; the row after an end is a RESET, as environments write it."""
    f = np.zeros((T, N), np.uint8)
    for n in range(N):
        for t in range(T):
            if t and f[t - 1, n] & (TERMINATED | TRUNCATED):
                f[t, n] = RESET
            else:
                f[t, n] = rng.choice([0, TERMINATED, TRUNCATED, FAILED], p=[0.86, 0.06, 0.06, 0.02])
    f[0, 0] = RESET
    return f


def sequences(flags):
    """(column, first row, row after the last) of everything that is estimated together."""
    T, N = flags.shape
    for n in range(N):
        begin = 0
        for t in range(T):
            if flags[t, n] & (RESET | FAILED):
                if begin < t:
                    yield n, begin, t
                begin = t + 1
            elif flags[t, n] & (TERMINATED | TRUNCATED):
                yield n, begin, t + 1
                begin = t + 1
        if begin < T:
            yield n, begin, T


def discounts(flags, gamma):
    return np.where(flags & TERMINATED, 0.0, gamma)


def gae(T=31, N=6, gamma=0.97, lam=0.9):
    reward, value, flags = f32(T, N), f32(T + 1, N), flags_of(T, N)
    discount, advantage = discounts(flags, gamma), np.zeros((T, N))
    for n, a, b in sequences(flags):
        advantage[a:b, n] = rlax.truncated_generalized_advantage_estimation(
            jnp.array(reward[a:b, n], float), jnp.array(discount[a:b, n]), lam, jnp.array(value[a : b + 1, n], float))
    put("rlax_gae.hyper", [gamma, lam]); put("rlax_gae.reward", reward); put("rlax_gae.value", value)
    put("rlax_gae.flags", flags); put("rlax_gae.advantage", advantage); put("rlax_gae.target", advantage + value[:T])


def vtrace(name, lam, T=31, N=6, gamma=0.98, rho_bar=1.2):
    """rlax cuts c at 1. With lambda below 1 its advantage mixes values into the bootstrap, which the paper does not: then the
    targets alone are written."""
    reward, value, flags = f32(T, N), f32(T + 1, N), flags_of(T, N)
    mu, pi = f32(T, N, scale=0.6) - 1, f32(T, N, scale=0.6) - 1
    ratio, discount = np.exp(pi.astype(float) - mu.astype(float)), discounts(flags, gamma)
    target, advantage = value[:T].astype(float), np.zeros((T, N))
    for n, a, b in sequences(flags):
        v = jnp.array(value[a : b + 1, n], float)
        out = rlax.vtrace_td_error_and_advantage(
            v[:-1], v[1:], jnp.array(reward[a:b, n], float), jnp.array(discount[a:b, n]), jnp.array(ratio[a:b, n]), lambda_=lam,
            clip_rho_threshold=rho_bar, clip_pg_rho_threshold=rho_bar)
        target[a:b, n] += out.errors
        advantage[a:b, n] = out.pg_advantage
    put(name + ".hyper", [gamma, lam, rho_bar, 1]); put(name + ".reward", reward); put(name + ".value", value)
    put(name + ".flags", flags); put(name + ".mu", mu); put(name + ".pi", pi); put(name + ".target", target)
    if lam == 1.0:
        put(name + ".advantage", advantage)


gae()
vtrace("rlax_vtrace", 1.0)
vtrace("rlax_vtrace_lambda", 0.9)
