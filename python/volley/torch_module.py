"""A policy's network as a torch.nn.Module, equal to it but for rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._library import Unsupported

if TYPE_CHECKING:
    from .policy import Policy

STRIDES = {"nature": (4, 2, 1), "a3c": (4, 2), "minatar": (1,)}
NORMAL_LIMIT = 10.0


def _is_stacked(policy: Policy, convolutions: list[tuple[int, ...]]) -> bool:
    """Whether the first axis of images is a stack of frames, and not their height."""
    shape: tuple[int, ...] = policy.shape
    if len(shape) != 3:
        return len(shape) == 4
    if convolutions:
        return convolutions[0][3] != shape[2]
    return shape[0] < shape[2] and policy.scale < 1  # pixels


def make_module(policy: Policy) -> Any:
    """Observations as the environment gives them, in batches: (n, 4) numbers, (n, stack, h, w) or (n, h, w, c) bytes."""
    import torch
    import torch.nn.functional as F

    if policy.network not in ("mlp", "impala", *STRIDES):
        raise Unsupported(f"a {policy.network} is not a network: weights() has its numbers")
    weights = {name: torch.from_numpy(array) for name, array in policy.weights().items()}
    stacked = _is_stacked(policy, [tuple(w.shape) for w in weights.values() if w.ndim == 4])

    class VolleyModule(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        tail: Any  # a parameter, or None
        hidden: Any

        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleDict()
            for name in sorted({n.rsplit(".", 1)[0] for n in weights if n.endswith(".bias")}):
                self.parts[name.replace(".", "_")] = self._layer(name)
            for name, kept in (("input.mean", "mean"), ("input.scale", "scale")):
                self.register_buffer(kept, weights.get(name))
            for name, kept in (("policy.tail", "tail"), ("lstm.hidden.weight", "hidden")):
                self.register_parameter(kept, torch.nn.Parameter(weights[name].clone()) if name in weights else None)
            self.shared = any(name.startswith("trunk") for name in self.parts)

        @staticmethod
        def _layer(name: str) -> Any:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            if weight.ndim == 4:
                whole = policy.network == "impala"  # 3 x 3 with a border
                stride = 1 if whole else STRIDES[policy.network][int(name[-1])]
                layer: Any = torch.nn.Conv2d(weight.shape[3], weight.shape[0], (weight.shape[1], weight.shape[2]), stride, padding=int(whole))
                weight = weight.permute(0, 3, 1, 2)
            else:
                layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
            return layer

        def _input(self, observation: Any) -> Any:
            x = observation.to(torch.float32) * policy.scale
            if stacked:  # the network reads (y, x, frame)
                x = x.movedim(1, 3).flatten(3)
            if policy.network == "mlp":
                x = x.flatten(1)
                return x if self.mean is None else ((x - self.mean) * self.scale).clamp(-NORMAL_LIMIT, NORMAL_LIMIT)
            return x.permute(0, 3, 1, 2)

        def _residual(self, name: str, x: Any) -> Any:
            inner = self.parts[f"{name}_conv0"](torch.relu(x))
            return x + self.parts[f"{name}_conv1"](torch.relu(inner))

        def _images(self, x: Any) -> Any:
            i = 0
            while f"trunk_conv{i}" in self.parts:
                x = torch.relu(self.parts[f"trunk_conv{i}"](x))
                i += 1
            while f"trunk_{i}_conv" in self.parts:
                x = F.max_pool2d(self.parts[f"trunk_{i}_conv"](x), 3, 2, 1)
                x = self._residual(f"trunk_{i}_residual1", self._residual(f"trunk_{i}_residual0", x))
                i += 1
            # The layer after convolutions reads (y, x, channel).
            return torch.relu(self.parts["trunk_fc"](torch.relu(x).permute(0, 2, 3, 1).flatten(1)))

        def _vectors(self, prefix: str, x: Any) -> Any:
            activation, i = torch.relu if policy.activation == "relu" else torch.tanh, 0
            while f"{prefix}_{i}" in self.parts:
                x = activation(self.parts[f"{prefix}_{i}"](x))
                i += 1
            return x

        def _step(self, x: Any, state: Any) -> tuple[Any, Any]:
            """One step of the LSTM; state (n, 2, units): the output, then the cell."""
            if state is None:
                state = x.new_zeros(x.shape[0], 2, policy.recurrent)
            into, forget, new, out = (self.parts["lstm_input"](x) + state[:, 0] @ self.hidden.T).chunk(4, 1)
            cell = torch.sigmoid(forget) * state[:, 1] + torch.sigmoid(into) * torch.tanh(new)
            h = torch.sigmoid(out) * torch.tanh(cell)
            return h, torch.stack((h, cell), 1)

        def _logits(self, x: Any, value_x: Any) -> Any:
            if "q_value" in self.parts:
                advantage = self.parts["q_advantage"](x)
                return self.parts["q_value"](value_x) + advantage - advantage.mean(1, keepdim=True)
            if "q_head" in self.parts:
                return self.parts["q_head"](x)
            logits = self.parts["policy_head"](x)
            if policy.deterministic:
                return torch.tanh(logits)
            return logits if self.tail is None else torch.cat((logits, self.tail.expand(x.shape[0], -1)), 1)

        def forward(self, observation: Any, state: Any = None) -> Any:
            x = self._input(observation)
            if policy.network != "mlp":
                policy_x = value_x = self._images(x)
            else:
                policy_x = self._vectors("trunk" if self.shared else "policy", x)
                value_x = policy_x if self.shared else self._vectors("value", x)
            if self.hidden is not None:
                policy_x, state = self._step(policy_x, state)
                value_x = policy_x
            value = self.parts["value_head"](value_x)[:, 0] if "value_head" in self.parts else None
            logits = self._logits(policy_x, value_x)
            return (logits, value) if self.hidden is None else (logits, value, state)

    return VolleyModule().eval()


__all__ = ["make_module"]
