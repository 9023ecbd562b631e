#!/usr/bin/env python3
"""Volley's learner beside PyTorch's, alternately in one run, with the same threads, batch and precision.

    python3 benchmarks/vs_pytorch.py [--out benchmarks/results/learner.json] [FILTER]
    python3 benchmarks/vs_pytorch.py --device cuda --out benchmarks/results/learner_gpu.json

NET/forward/TYPE/BATCH: uint8 frames in, logits and values out. NET/update/TYPE/BATCH: forward, PPO loss, backward, gradient norm and
clipping, Adam. PyTorch has bf16 by autocast with float master weights, a fused Adam, and is measured in three ways, each a column:

    eager          rows of NCHW
    channels_last  the same with frames and weights in channels_last, oneDNN's own layout
    compiled       channels_last through torch.compile

`ratio` is ours over the fastest of them, round by round. On a GPU there is one way, with all that makes it fast: compiled, channels_last,
tf32 products for f32, a capturable Adam, and the whole pass or update in one CUDA graph that is replayed.
"""
import os
import sys

import measured


def more(parser):
    parser.add_argument("words", nargs="?", default="", metavar="FILTER", help="the same as --filter")
    parser.add_argument("--program", default=measured.VOLLEY)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))


args = measured.options(__doc__, "learner.json", more=more)
args.filter = args.filter or args.words
os.environ["OMP_NUM_THREADS"] = str(args.threads)
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
    """One way of PyTorch: calling it takes a sample."""

    def __init__(self, way, kind, what, dtype, batch):
        torch.manual_seed(0)
        self.net, self.what, self.low, self.batch = Net(kind), what, dtype == "bf16", batch
        shape = {"nature": (batch, 4, 84, 84), "minatar": (batch, 4, 10, 10), "mlp": (batch, 4)}[kind]
        self.x = torch.rand(shape) if kind == "mlp" else torch.randint(0, 255 if kind == "nature" else 2, shape, dtype=torch.uint8)
        if kind != "mlp" and way != "eager":
            self.x = self.x.to(memory_format=torch.channels_last)
            self.net = self.net.to(memory_format=torch.channels_last)
        self.net, self.x = self.net.to(args.device), self.x.to(args.device)
        self.opt = torch.optim.Adam(self.net.parameters(), 1e-5, eps=1e-5, fused=True, **(dict(capturable=True) if GPU else {}))
        self.action = torch.randint(0, self.net.actions, (batch,)).to(args.device)
        self.logp, self.adv, self.target = (t.to(args.device) for t in (torch.full((batch,), -1.5), torch.randn(batch), torch.randn(batch)))
        self.model, self.graph = self.net, None
        if way == "compiled":
            self.model = torch.compile(self.net)
        if GPU:
            self.capture()
        for _ in range(3):
            self.passes()

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

    def __call__(self):
        return self.batch * measured.rate(self.passes, args.seconds)


SIZES = {"nature": [256, 2048, 16384], "minatar": [256, 4096, 32768], "mlp": [256, 4096, 32768]} if GPU else {"nature": [256], "minatar": [256], "mlp": [256, 64]}


def main():
    measured.VOLLEY = os.path.abspath(args.program)
    gpu = {"gpu": torch.cuda.get_device_name()} if GPU else {}
    c = measured.Comparison(args, program=args.program, **gpu, torch=torch.__version__, threads=args.threads)
    environment = {"VLY_BENCH_DEVICE": args.device, "OMP_NUM_THREADS": str(args.threads)}
    for kind, batch, dtype, what in ((k, b, d, w) for k in SIZES for b in SIZES[k] for d in ("f32", "bf16") for w in ("forward", "update")):
        ways = ["compiled"] if GPU else ["eager", "compiled"] if kind == "mlp" else ["eager", "channels_last", "compiled"]
        if kind == "mlp" and dtype == "bf16":
            continue
        name = f"{kind}/{what}/{dtype}/{batch}"
        peers = {way: lambda way=way, k=kind, w=what, d=dtype, b=batch: Torch(way, k, w, d, b) for way in ways}
        c.case(name, "samples/s", {"volley": measured.suite("learner", name, args.seconds, environment=environment), **peers}, fastest=len(ways) > 1)
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
