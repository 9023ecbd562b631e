#!/usr/bin/env python3
"""An exported agent plays in Gymnasium: pip install gymnasium onnxruntime.

    build/volley export runs/a --format onnx --out agent.onnx
    python3 examples/play_onnx.py agent.onnx CartPole-v1 --episodes 10

Takes the likeliest action, by what the model's metadata says of its outputs (`volley export --help`). For vectors and
MinAtar's images; an LSTM's state goes from step to step.
"""
import argparse
import gymnasium
import numpy as np
import onnxruntime

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("env")
parser.add_argument("--episodes", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
inputs = {i.name: i for i in session.get_inputs()}
kind = np.uint8 if inputs["obs"].type == "tensor(uint8)" else np.float32
notes = session.get_modelmeta().custom_metadata_map


def numbers(name, of=np.float32):
    return np.array([of(one) for one in notes[name].split(",")])


def action_of(out):
    row = next(out[name] for name in ("logits", "q", "action") if name in out)[0]
    if notes["action"] == "box":
        low, high = numbers("low"), numbers("high")
        mean = row[:len(low)]
        if notes["squash"] == "tanh":
            mean = np.tanh(mean)
        return np.clip(mean if notes["squash"] == "clip" else low + (mean + 1) / 2 * (high - low), low, high)
    choices = [int(np.argmax(part)) for part in np.split(row, np.cumsum(numbers("choices", int))[:-1])]
    return choices[0] if notes["action"] == "discrete" else np.array(choices)


env = gymnasium.make(args.env)
returns = []
for episode in range(args.episodes):
    obs, _ = env.reset(seed=args.seed + episode)
    state = {name: np.zeros((1, inputs[name].shape[1]), np.float32) for name in ("h", "c") if name in inputs}
    total, over = 0.0, False
    while not over:
        out = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"obs": np.asarray(obs, kind)[None], **state})))
        state = {name: out[name + "_next"] for name in state}
        obs, reward, terminated, truncated, _ = env.step(action_of(out))
        total, over = total + float(reward), terminated or truncated
    returns.append(total)
print(f"{args.episodes} episodes of {args.env}: mean return {np.mean(returns):.6g}")
