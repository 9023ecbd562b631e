#!/usr/bin/env python3
"""Volley's learner beside PyTorch's, alternating in one run, with the same threads, batch and precision.

    python3 benchmarks/vs_pytorch.py [--bench build/volley-bench] [--rounds 5] [--out benchmarks/results/learner.json] [FILTER]
    python3 benchmarks/vs_pytorch.py --device cuda --out benchmarks/results/learner_gpu.json

Each round measures one after the other: NET/forward/TYPE/BATCH (uint8 frames in, logits and values out) and
NET/update/TYPE/BATCH (forward, PPO loss, backward, gradient norm and clipping, Adam). PyTorch runs NCHW float or bf16
weights under autocast with float master weights, channels_last, whichever of eager layouts is faster; oneDNN inside.
Prints the ratio of medians. Needs torch.

On a GPU PyTorch gets what makes it fast: torch.compile, bf16 autocast (f32 with tf32 products), channels_last, a fused
capturable Adam, and the whole pass or update in one CUDA graph that is replayed; ours runs as `bench learner` on the same device.
"""
import argparse, json, os, statistics, subprocess, sys, time
import measured

parser = argparse.ArgumentParser()
parser.add_argument("filter", nargs="?", default="")
parser.add_argument("--bench", default="build/volley-bench")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--out")
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ["VLY_BENCH_DEVICE"] = args.device
import torch
from torch import nn

torch.set_num_threads(args.threads)
GPU = args.device == "cuda"
if GPU and not torch.cuda.is_available():
    sys.exit("vs_pytorch: this PyTorch finds no CUDA device")
if GPU:
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def conv(i, o, k, s):
    return [nn.Conv2d(i, o, k, s), nn.ReLU()]


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.actions = kind, 2 if kind == "mlp" else 6
        if kind == "nature":
            self.body = nn.Sequential(*conv(4, 32, 8, 4), *conv(32, 64, 4, 2), *conv(64, 64, 3, 1), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU())
            width = 512
        elif kind == "minatar":
            self.body = nn.Sequential(*conv(4, 16, 3, 1), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU())
            width = 128
        else:
            tower = lambda: nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
            self.body, self.critic, width = tower(), tower(), 64
        self.pi, self.v = nn.Linear(width, self.actions), nn.Linear(width, 1)

    def forward(self, x):
        if self.kind == "mlp":
            return self.pi(self.body(x)), self.v(self.critic(x))
        x = x.float() * (1 / 255 if self.kind == "nature" else 1.0)
        h = self.body(x)
        return self.pi(h), self.v(h)


class Torch:
    def __init__(self, kind, what, dtype, batch):
        torch.manual_seed(0)
        self.net, self.what, self.low, self.batch = Net(kind), what, dtype == "bf16", batch
        shape = {"nature": (batch, 4, 84, 84), "minatar": (batch, 4, 10, 10), "mlp": (batch, 4)}[kind]
        self.x = torch.rand(shape) if kind == "mlp" else torch.randint(0, 255 if kind == "nature" else 2, shape, dtype=torch.uint8)
        if kind != "mlp":
            self.x = self.x.to(memory_format=torch.channels_last)
            self.net = self.net.to(memory_format=torch.channels_last)
        self.net, self.x = self.net.to(args.device), self.x.to(args.device)
        self.opt = torch.optim.Adam(self.net.parameters(), 1e-5, eps=1e-5, **(dict(fused=True, capturable=True) if GPU else {}))
        self.action = torch.randint(0, self.net.actions, (batch,)).to(args.device)
        self.logp, self.adv, self.target = (t.to(args.device) for t in (torch.full((batch,), -1.5), torch.randn(batch), torch.randn(batch)))
        self.model, self.graph = self.net, None
        if GPU:
            self.model = torch.compile(self.net)
            self.capture()

    def capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self.once()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.once()
        self.graph = graph

    def once(self):
        with torch.autocast(args.device, torch.bfloat16, enabled=self.low, cache_enabled=not GPU):
            if self.what == "forward":
                with torch.no_grad():
                    return self.model(self.x)
            logits, value = self.model(self.x)
        dist = torch.distributions.Categorical(logits=logits.float(), validate_args=False)
        ratio = (dist.log_prob(self.action) - self.logp).exp()
        pg = torch.max(-self.adv * ratio, -self.adv * ratio.clamp(0.9, 1.1)).mean()
        loss = pg + 0.25 * (value.float()[:, 0] - self.target).pow(2).mean() - 0.01 * dist.entropy().mean()
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.opt.step()

    def passes(self):
        if not self.graph:
            self.once()
            return 1
        for _ in range(20):
            self.graph.replay()
        torch.cuda.synchronize()
        return 20

    def rate(self, seconds):
        self.passes()
        n, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:
            n += self.passes()
        return n * self.batch / (time.monotonic() - start)


def ours(name):
    out = subprocess.run([args.bench, "learner", name], check=True, capture_output=True, text=True).stdout
    return next((json.loads(line)["median"] for line in out.splitlines() if json.loads(line)["name"] == name), None)


sizes = {"nature": [256, 2048, 16384], "minatar": [256, 4096, 32768], "mlp": [256, 4096, 32768]} if GPU else {"nature": [256], "minatar": [256], "mlp": [256, 64]}
cases = [(k, w, d, b) for k in sizes for b in sizes[k] for d in ("f32", "bf16") for w in ("forward", "update") if not (k == "mlp" and d == "bf16")]
results = []
for kind, what, dtype, batch in cases:
    name = f"{kind}/{what}/{dtype}/{batch}"
    if args.filter not in name:
        continue
    peer = Torch(kind, what, dtype, batch)
    a, b = [], []
    for _ in range(args.rounds):
        rate = ours(name)
        if rate is None:
            break
        a.append(rate)
        b.append(peer.rate(1.5))
    if not a:
        print(f"{name:28s} skipped: this processor has no bf16 units")
        continue
    ratio = statistics.median(x / y for x, y in zip(a, b))
    results.append(dict(name=name, unit="samples/s", volley=statistics.median(a), pytorch=statistics.median(b), ratio=ratio, volley_all=a, pytorch_all=b))
    print(f"{name:28s} volley {statistics.median(a):12.0f}  pytorch {statistics.median(b):12.0f}  ratio {ratio:6.2f}", flush=True)
if args.out:
    json.dump(dict(**measured.facts("python3 benchmarks/vs_pytorch.py" + (" --device cuda" if GPU else "")), **({"gpu": torch.cuda.get_device_name()} if GPU else {}), torch=torch.__version__,
                   threads=args.threads, rounds=args.rounds, results=results), open(args.out, "w"), indent=1)
