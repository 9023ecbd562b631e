"""A policy's network as a torch.nn.Module, equal to it but for rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


from ._library import Unsupported

if TYPE_CHECKING:
    from .policy import Policy

STRIDES = {"nature": (4, 2, 1), "a3c": (4, 2), "minatar": (1,)}


def make_module(policy: Policy) -> Any:
    """Observations as the environment gives them, in batches: (n, 4) numbers, (n, stack, h, w) or (n, h, w, c) bytes."""
    import torch

    weights = {name: torch.from_numpy(array) for name, array in policy.weights().items()}
    if policy.recurrent:
        raise Unsupported("recurrent networks are not offered as torch modules: `volley export --format onnx` writes them")
    if any(name.rsplit(".", 1)[1] not in ("weight", "bias") for name in weights):
        raise Unsupported("networks that normalise their input are not offered as torch modules: `volley export --format onnx` writes them")
    if policy.network not in ("mlp", *STRIDES):
        raise Unsupported(f"networks of the kind {policy.network} are not offered as torch modules: `volley export --format onnx` writes them")

    class VolleyModule(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleDict()
            for name in sorted({n.rsplit(".", 1)[0] for n in weights}):
                self.parts[name.replace(".", "_")] = self._layer(name)

        @staticmethod
        def _layer(name: str) -> Any:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            if weight.ndim == 4:
                strides = STRIDES[policy.network]
                layer: Any = torch.nn.Conv2d(weight.shape[3], weight.shape[0], tuple(weight.shape[1:3]), strides[int(name[-1])])
                weight = weight.permute(0, 3, 1, 2)
            else:
                layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
            return layer

        def _input(self, observation: Any) -> Any:
            x = observation.to(torch.float32) * policy.scale
            if policy.network == "mlp":
                return x.flatten(1)
            stacked = len(policy.shape) == 3 and policy.shape[1] == policy.shape[2]
            return x if stacked else x.permute(0, 3, 1, 2)

        def _hidden(self, prefix: str, x: Any) -> Any:
            i = 0
            while f"{prefix}_conv{i}" in self.parts:
                x = torch.relu(self.parts[f"{prefix}_conv{i}"](x))
                i += 1
            if i:  # the layer after convolutions reads (y, x, channel)
                return torch.relu(self.parts[f"{prefix}_fc"](x.permute(0, 2, 3, 1).flatten(1)))
            activation = torch.relu if policy.activation == "relu" else torch.tanh
            while f"{prefix}_{i}" in self.parts:
                x = activation(self.parts[f"{prefix}_{i}"](x))
                i += 1
            return x

        def forward(self, observation: Any) -> tuple[Any, Any]:
            x = self._input(observation)
            shared = any(name.startswith("trunk") for name in self.parts)
            policy_x = self._hidden("trunk" if shared else "policy", x)
            value_x = policy_x if shared else self._hidden("value", x)
            if "q_value" in self.parts:
                advantage = self.parts["q_advantage"](policy_x)
                return self.parts["q_value"](value_x) + advantage - advantage.mean(1, keepdim=True), None
            if "q_head" in self.parts:
                return self.parts["q_head"](policy_x), None
            value = self.parts["value_head"](value_x)[:, 0] if "value_head" in self.parts else None
            return self.parts["policy_head"](policy_x), value

    return VolleyModule().eval()


__all__ = ["make_module"]
