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


def torch_module(torch, obs):
    """The network of `volley train minatar/breakout --algo ppo`, under the names of the export."""
    nn = torch.nn

    class Agent(nn.Module):
        def __init__(self):
            super().__init__()
            flat = s["trunk.fc.weight"].shape
            self.trunk = nn.Sequential()
            self.trunk.add_module("conv0", nn.Conv2d(obs[0], s["trunk.conv0.weight"].shape[0], 3))
            self.trunk.add_module("relu0", nn.ReLU())
            self.trunk.add_module("flat", nn.Flatten())
            self.trunk.add_module("fc", nn.Linear(flat[1], flat[0]))
            self.trunk.add_module("relu", nn.ReLU())
            self.policy, self.value = nn.Sequential(), nn.Sequential()
            self.policy.add_module("head", nn.Linear(flat[0], s["policy.head.weight"].shape[0]))
            self.value.add_module("head", nn.Linear(flat[0], 1))

        def forward(self, x):
            x = self.trunk(x)
            return self.policy(x), self.value(x).squeeze(-1)

    return Agent()


try:
    import torch
    from safetensors.torch import load_file as load_torch
    read = load_torch(sys.argv[1] + ".safetensors")
    for name, value in read.items():
        assert np.array_equal(value.numpy(), s[name]) and torch.equal(torch.from_numpy(a[name]), value)
    import onnxruntime
    session = onnxruntime.InferenceSession(sys.argv[1] + ".onnx", providers=["CPUExecutionProvider"])
    given = np.random.default_rng(1).integers(0, 2, (33, *session.get_inputs()[0].shape[1:]), dtype=np.uint8)
    agent = torch_module(torch, given.shape[1:])
    agent.load_state_dict(read, strict=True)
    with torch.no_grad():
        for got, want in zip(agent(torch.from_numpy(given).float()), session.run(["logits", "value"], {"obs": given})):
            off = np.abs(got.numpy() - want).max()
            assert got.shape == want.shape and off <= 1e-5 and np.abs(want).max() > 1e-4, off
    print("torch", torch.__version__, "and onnxruntime", onnxruntime.__version__, "give equal outputs;", end=" ")
except ImportError as missing:
    print("SKIPPED in part:", missing, end="; ")
print(len(s), "tensors")
