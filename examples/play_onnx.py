#!/usr/bin/env python3
"""An exported agent plays in Gymnasium: pip install gymnasium onnxruntime.

    build/volley export runs/a --format onnx --out agent.onnx
    python3 examples/play_onnx.py agent.onnx CartPole-v1 --episodes 10

Takes the likeliest action. For vectors and MinAtar's images; an LSTM's state goes from step to step.
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
env = gymnasium.make(args.env)
returns = []
for episode in range(args.episodes):
    obs, _ = env.reset(seed=args.seed + episode)
    state = {name: np.zeros((1, inputs[name].shape[1]), np.float32) for name in ("h", "c") if name in inputs}
    total, over = 0.0, False
    while not over:
        out = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"obs": np.asarray(obs, kind)[None], **state})))
        state = {name: out[name + "_next"] for name in state}
        obs, reward, terminated, truncated, _ = env.step(int(np.argmax(out.get("logits", out.get("q"))[0])))
        total, over = total + float(reward), terminated or truncated
    returns.append(total)
print(f"{args.episodes} episodes of {args.env}: mean return {np.mean(returns):.6g}")
