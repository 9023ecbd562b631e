#!/usr/bin/env python3
"""Computes the ziggurat under the normal density whose strips NumPy's standard_normal draws from.

    python3 tests/golden/ziggurat.py                  # rewrites envs/numpy_ziggurat.def
    python3 tests/golden/ziggurat.py --check          # with numpy: are these the tables in its library?

Marsaglia & Tsang, "The Ziggurat Method for Generating Random Variables" (2000), with 256 strips: from the last one, of width R, down,
each of area V: x[i] = f^-1(V / x[i+1] + f(x[i+1])), f(x) = exp(-x^2 / 2). Row i of the table is k (how many of 2^52 mantissas
lie under the next strip), w = x[i] / 2^52 and f(x[i]). All in double precision, as the table that NumPy has was computed; there
one exponential was rounded the other way, and what follows from it with it.
"""
import argparse
import glob
import math
import os
import struct
import sys

R, V, MANTISSAS = 3.654152885361009, 0.004928673233974652, 2.0**52
OTHER_WAY = 38  # the strip whose f is one unit in the last place more than the nearest double


def tables():
    k, w, f = [0] * 256, [0.0] * 256, [0.0] * 256
    x = R
    w[255], f[255] = x / MANTISSAS, math.exp(-0.5 * x * x)
    k[0], w[0], f[0] = round(x * f[255] / V * MANTISSAS), V / f[255] / MANTISSAS, 1.0
    for i in range(254, 0, -1):
        inner = math.sqrt(-2 * math.log(V / x + f[i + 1]))
        k[i + 1] = round(inner / x * MANTISSAS)
        x = inner
        w[i], f[i] = x / MANTISSAS, math.exp(-0.5 * x * x)
        if i == OTHER_WAY:
            f[i] = math.nextafter(f[i], 1)
    return k, w, f


def check(k, w, f):
    """The tables are constants of NumPy's compiled generator."""
    import numpy

    with open(glob.glob(os.path.join(os.path.dirname(numpy.__file__), "random", "_generator*.so"))[0], "rb") as library:
        data = library.read()
    for name, form, table in (("k", "<256Q", k), ("w", "<256d", w), ("f", "<256d", f)):
        if struct.pack(form, *table) not in data:
            sys.exit(f"{name} is not in NumPy {numpy.__version__}")
    print(f"equal to NumPy {numpy.__version__}'s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    k, w, f = tables()
    if args.check:
        return check(k, w, f)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "envs", "numpy_ziggurat.def"), "w") as out:
        out.write("/* Written by tests/golden/ziggurat.py: STRIP(k, w, f), strip by strip. */\n/* clang-format off */\n")
        for row in zip(k, w, f):
            out.write("STRIP({:#x}, {}, {})\n".format(row[0], row[1].hex(), row[2].hex()))


if __name__ == "__main__":
    main()
