#!/usr/bin/env python3
"""What the kernels' machine code holds: python3 benchmarks/machine_code.py [--archs 80,90a] [--files conv_dw,gather]
    [--shapes FILE] [--out FILE]

Compiles kernels/*.cu as benchmarks/compile_matrix.sh does, disassembles with nvdisasm, and writes a table with a line for each
kernel and architecture: registers, shared memory, tensor-core instructions (HMMA; HGMMA of wgmma), loads and stores of 16 bytes, asynchronous
copies (LDGSTS), and accesses to local memory, which none may have. Claims that fail are named, and the exit status is 1. No
device is involved.

With --shapes a second table has each launch of an update: blocks, blocks per multiprocessor, waves. The shim collects them, as on
a card with as many multiprocessors as the table is for:

    VLY_SHIM_SHAPES=shapes VLY_SHIM_DRY=1 VLY_SHIM_MULTIPROCESSORS=132 build/gpu_parity_nets_shim nature 256

NVCC and NVDISASM name the tools; else build/cuda, build/toolkit or the path. Exit 77 where one is missing.
"""
import argparse
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++17", "-O3", "-fmad=false", "--Werror=all-warnings", "-Xcudafe=--diag_suppress=177", "-I."]
# Per multiprocessor, by compute capability: registers, shared memory (kB), threads, blocks.
LIMITS = {80: (65536, 164, 2048, 32), 86: (65536, 100, 1536, 16), 89: (65536, 100, 1536, 24), 90: (65536, 228, 2048, 32),
          100: (65536, 228, 2048, 32), 120: (65536, 100, 1536, 24)}
COUNTS = ("HMMA", "HGMMA", "LD128", "ST128", "LDGSTS", "LOCAL")
# A kernel whose name matches the first has at least one of the second. Those of wgmma are empty but for sm_90a.
CLAIMS = [
    (r"^conv_(forward|dx|dw)<vly_(bf16|tf32)_math", "HMMA"),
    (r"^conv_(forward|dx|dw)<vly_(bf16|u8)_stages", "HMMA"),
    (r"^conv_(forward|dx|dw)<vly_(bf16|u8)_stages", "LDGSTS"),
    (r"^conv_(forward|dx|dw)<vly_(bf16|u8)_wgmma", "HGMMA"),
    (r"^conv_(forward|dx|dw)<vly_(bf16|u8)_wgmma", "LDGSTS"),
    (r"^conv_(forward|dx|dw)<vly_bf16_math", "LD128"),
    (r"^gather_stack4<", "ST128"),
    (r"^optimizer_step<", "LD128"),
    (r"^optimizer_step<", "ST128"),
    (r"^grad_norm", "LD128"),
    (r"^map_kernel<", "LD128"),
    (r"^map_kernel<", "ST128"),
    (r"^activation_backward<(float, 4|unsigned short, 8)>", "LD128"),
]


def tool(variable, name):
    named = os.environ.get(variable)
    for path in [named] if named else [ROOT / "build/cuda/bin" / name, ROOT / "build/toolkit/bin" / name, shutil.which(name)]:
        if path and os.access(path, os.X_OK):
            return str(Path(path).resolve())
    print(f"SKIPPED: machine code: no {name} ({variable} names one)")
    sys.exit(77)


def hash_of(source):
    """Of the source, of all that it includes of this project, and of the flags."""
    seen, left, total = set(), [source], hashlib.sha256(" ".join(FLAGS).encode())
    while left:
        path = left.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        text = path.read_text()
        total.update(text.encode())
        left += [ROOT / name for name in re.findall(r'^#include "([^"]+)"', text, re.M)]
    return total.hexdigest()


def compile_one(nvcc, nvdisasm, work, file, arch):
    source, cubin, log = ROOT / "kernels" / f"{file}.cu", work / f"{file}.{arch}.cubin", work / f"{file}.{arch}.ptxas"
    contents, hashed = hash_of(source), work / f"{file}.{arch}.hash"
    if not log.exists() or not hashed.exists() or hashed.read_text() != contents:
        command = [nvcc, *FLAGS, f"-arch=sm_{arch}", "-cubin", "-Xptxas", "-v", "-o", str(cubin), str(source)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{file} for sm_{arch}:\n{done.stderr[-2000:]}")
        log.write_text(done.stderr + done.stdout)
        hashed.write_text(contents)
    text = subprocess.run([nvdisasm, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
    return resources(log.read_text()), count(text)


def resources(log):
    """ptxas -v: {mangled name: (registers, shared bytes, spilled bytes)}."""
    found, name, spilled = {}, None, 0
    for line in log.splitlines():
        entry = re.search(r"Compiling entry function '(\w+)'", line)
        if entry:
            name = entry.group(1)
        spill = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)
        if spill:
            spilled = int(spill.group(1)) + int(spill.group(2))
        used = re.search(r"Used (\d+) registers", line)
        if used and name:
            shared = re.search(r"(\d+) bytes smem", line)
            found[name] = (int(used.group(1)), int(shared.group(1)) if shared else 0, spilled)
    return found


def count(sass):
    """{mangled name: {what: how many}} of a disassembly."""
    found, here = {}, None
    for line in sass.splitlines():
        section = re.match(r"\s*\.section\s+\.text\.(\w+)", line)
        if section:
            here = found.setdefault(section.group(1), dict.fromkeys(COUNTS, 0))
        code = re.search(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", line)
        if not code or here is None:
            continue
        op = code.group(1)
        here["HMMA"] += op.startswith("HMMA")
        here["HGMMA"] += op.startswith("HGMMA")
        here["LD128"] += op.startswith(("LDG.", "LD.", "LDC.")) and ".128" in op
        here["ST128"] += op.startswith(("STG.", "ST.")) and ".128" in op
        here["LDGSTS"] += op.startswith("LDGSTS")
        here["LOCAL"] += op.startswith(("LDL", "STL"))
    return found


def demangled(names):
    names = list(names)
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, (short(line) for line in text.splitlines())))


def short(name):
    """A demangled kernel without its return type, namespace and arguments."""
    name = re.sub(r"^void ", "", name).replace("(anonymous namespace)::", "")
    depth = 0
    for i, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return name[:i]
    return name


def blocks_per_multiprocessor(arch, registers, shared, threads):
    most_registers, kilobytes, most_threads, most_blocks = LIMITS[arch]
    warps = -(-threads // 32)
    by_registers = most_registers // (warps * -(-registers * 32 // 256) * 256)
    by_shared = (kilobytes << 10) // (shared + 1024)
    return min(by_registers, by_shared, most_threads // (warps * 32), most_blocks)


def kernels_of(program):
    """{address: kernel} of a program that was linked with the shim."""
    text = subprocess.run(["nm", "-C", "--defined-only", program], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^([0-9a-f]+) [tTwW] (.*)$", text, re.M)
    return {int(address, 16): short(name) for address, name in found}


def shapes_of(path, multiprocessors):
    """The launches that the shim collected (VLY_SHIM_SHAPES), each once, in the order of the first. The card decides the grids."""
    lines = list(dict.fromkeys(Path(path).read_text().splitlines()))
    others = {line.split(" ", 7)[6] for line in lines} - {str(multiprocessors)}
    if others or not lines:
        raise SystemExit(f"machine_code: {path} is of cards with {', '.join(sorted(others)) or 'no'} multiprocessors, the table of one "
                         f"with {multiprocessors}: collect it with VLY_SHIM_MULTIPROCESSORS={multiprocessors}")
    return [line.split(" ", 7) for line in lines]


def launches(shapes, rows, arch, multiprocessors):
    known = {name: (registers, shared) for name, a, registers, shared in rows if a == arch}
    number = int(re.sub(r"\D", "", arch))
    table = []
    symbols = {}
    for address, x, y, z, threads, dynamic, _, program in shapes:
        if program not in symbols:
            symbols[program] = kernels_of(program)
        name = symbols[program].get(int(address, 16))
        if name not in known:
            continue
        registers, shared = known[name]
        blocks = int(x) * int(y) * int(z)
        each = blocks_per_multiprocessor(number, registers, shared + int(dynamic), int(threads))
        table.append(f"{name} | {x} x {y} x {z} | {threads} | {registers} | {shared + int(dynamic)} | {each} | "
                     f"{100 * each * int(threads) / LIMITS[number][2]:.0f} % | {blocks / (each * multiprocessors):.2f}")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--archs", default="90a")
    parser.add_argument("--files", default="")
    parser.add_argument("--shapes")
    parser.add_argument("--multiprocessors", type=int, default=132)
    parser.add_argument("--out", default="benchmarks/results/machine_code.txt")
    o = parser.parse_args()
    shapes = shapes_of(o.shapes, o.multiprocessors) if o.shapes else []
    nvcc, nvdisasm = tool("NVCC", "nvcc"), tool("NVDISASM", "nvdisasm")
    files = o.files.split(",") if o.files else sorted(p.stem for p in ROOT.glob("kernels/*.cu"))
    work = ROOT / os.environ.get("MACHINE_CODE_CACHE", "build/machine_code")
    work.mkdir(parents=True, exist_ok=True)
    rows, lines, broken = [], [], []
    cells = [(file, arch) for arch in o.archs.split(",") for file in files]
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", os.cpu_count() or 1))) as pool:
        results = list(pool.map(lambda cell: compile_one(nvcc, nvdisasm, work, *cell), cells))
    for (file, arch), (used, counts) in zip(cells, results):
        names = demangled(used)
        for mangled, (registers, shared, spilled) in used.items():
            name, has = names[mangled], counts.get(mangled, dict.fromkeys(COUNTS, 0))
            rows.append((name, arch, registers, shared))
            lines.append(f"{file}/{name} | {arch} | {registers} | {shared} | " + " | ".join(str(has[c]) for c in COUNTS))
            if has["LOCAL"] or spilled:
                broken.append(f"{name}, sm_{arch}: {has['LOCAL']} accesses to local memory, {spilled} bytes spilled")
            for pattern, what in CLAIMS:
                if re.search(pattern, name) and not has[what] and (arch == "90a" or "_wgmma" not in name):
                    broken.append(f"{name}, sm_{arch}: no {what}")
    version = re.search(r"V([\d.]+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout).group(1)
    with open(ROOT / o.out, "w") as out:
        print(f"# nvcc {version} {' '.join(FLAGS)}, nvdisasm; no device was involved", file=out)
        print("# file/kernel | arch | registers | static shared bytes | " + " | ".join(COUNTS), file=out)
        print("\n".join(sorted(lines)), file=out)
        if shapes:
            arch = o.archs.split(",")[-1]
            print(f"\n# launches on a card of sm_{arch} with {o.multiprocessors} multiprocessors, from the shim", file=out)
            print("# kernel | blocks | threads | registers | shared bytes | blocks per multiprocessor | occupancy | waves", file=out)
            print("\n".join(launches(shapes, rows, arch, o.multiprocessors)), file=out)
    for claim in broken:
        print(f"machine code: {claim}", file=sys.stderr)
    print(f"machine code: {len(rows)} kernels, {len(broken)} claims broken, in {o.out}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
