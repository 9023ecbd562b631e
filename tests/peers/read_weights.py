"""Reads the exports A.npz, A.safetensors, A.onnx (torch layout) and N.npz (native layout) with the real packages; fails
unless they hold the same numbers in the documented order.   read_weights.py A N"""
import sys
import numpy as np
from safetensors.numpy import load_file

a, n = np.load(sys.argv[1] + ".npz"), np.load(sys.argv[2] + ".npz")
s = load_file(sys.argv[1] + ".safetensors")
assert set(a.files) == set(s) == set(n.files) and a.files, (a.files, list(s), n.files)
channels = 0
for name in n.files:
    native, torch = n[name], a[name]
    assert native.dtype == np.float32 and np.array_equal(torch, s[name]), name
    if native.ndim == 4:
        native, channels = native.transpose(0, 3, 1, 2), native.shape[0]
    elif native.ndim == 2 and channels:
        out = native.shape[0]
        native, channels = native.reshape(out, -1, channels).transpose(0, 2, 1).reshape(out, -1), 0
    assert np.array_equal(native, torch), name
    assert np.isfinite(native).all() and (native != 0).any() or name.endswith("bias"), name
try:
    import onnx
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(sys.argv[1] + ".onnx").graph.initializer}
    assert all(np.array_equal(weights[name], s[name]) for name in s), list(weights)
    print("onnx", onnx.__version__, end=" ")
except ImportError:
    print("SKIPPED in part: no onnx here;", end=" ")
try:
    import torch
    from safetensors.torch import load_file as load_torch
    for name, value in load_torch(sys.argv[1] + ".safetensors").items():
        assert np.array_equal(value.numpy(), s[name])
    print("torch", torch.__version__, end=" ")
except ImportError:
    print("SKIPPED in part: no torch here;", end=" ")
print(len(s), "tensors")
