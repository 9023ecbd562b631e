#!/bin/sh
# One sitting on a GPU server: tests, compute-sanitizer, kernels, learner, Pong, learning curves. Raw results land in
# $OUT as JSON and logs, whatever fails on the way; `summary` says what ran, what failed and what was not reached.
#
#   OUT=results LIMIT_S=1500 sh benchmarks/gpu_session.sh          from a bundle or from a build tree (BUILD=build)
set -u
cd "$(dirname "$0")/.."
here=$(pwd)
out=${OUT:-results}
limit=${LIMIT_S:-1500}
mkdir -p "$out"
out=$(cd "$out" && pwd)
start=$(date +%s)
: >"$out/summary"

if [ -x bin/volley ]; then
  volley=$here/volley tests=$here/tests
  LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH VLY_CUDA_PLUGIN="$here/bin/libvolley_cuda.so"
else
  build=${BUILD:-build}
  volley=$here/$build/volley tests=$here/$build
fi
export VLY_CACHE_DIR="$out/cache"

left() { echo $((limit - $(date +%s) + start)); }
# step NAME SECONDS COMMAND...: runs within its own limit and the session's.
step() {
  name=$1 most=$2
  shift 2
  now=$(left)
  if [ "$now" -lt 5 ]; then echo "not reached: $name" | tee -a "$out/summary"; return; fi
  [ "$most" -lt "$now" ] || most=$now
  began=$(date +%s)
  timeout "$most" "$@" >"$out/$name.out" 2>"$out/$name.log"
  code=$?
  echo "$name: exit $code after $(($(date +%s) - began)) s" | tee -a "$out/summary"
}

{ cat COMMIT 2>/dev/null || git rev-parse HEAD; date -u +%FT%TZ; uname -r; nproc; grep -m 1 'model name' /proc/cpuinfo; } >"$out/machine" 2>/dev/null
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv >"$out/gpu.csv" 2>/dev/null ||
  echo "no nvidia-smi" >"$out/gpu.csv"

step doctor 60 "$volley" doctor --json
for test in "$tests"/gpu_*_device; do
  [ -x "$test" ] && step "test-$(basename "$test")" 300 "$test"
done
if command -v compute-sanitizer >/dev/null; then
  for test in "$tests"/gpu_parity_*_device; do
    for tool in memcheck racecheck; do
      step "$tool-$(basename "$test")" 240 env VLY_ARENA_CHUNK_MIB=0 VLY_ENGINE=own compute-sanitizer --tool $tool --error-exitcode 9 "$test"
    done
  done
else
  echo "not run: compute-sanitizer is not installed" | tee -a "$out/summary"
fi
step bench-kernels 180 env VLY_BENCH_DEVICE=cuda "$volley" bench kernels --json
step bench-learner 240 env VLY_BENCH_DEVICE=cuda "$volley" bench learner --json
step bench-learner-own 120 env VLY_BENCH_DEVICE=cuda VLY_ENGINE=own "$volley" bench learner --filter nature --json
step pong 180 "$volley" train pong --device cuda --until-return 18 --out "$out/pong" --json
for algo in ppo dqn; do
  for seed in 1 2 3 4 5; do
    step "curve-cartpole-$algo-$seed" 60 "$volley" train cartpole --algo "$algo" --seed "$seed" --device cuda --until-return 475 --out "$out/cartpole-$algo-$seed" --json
  done
done
for seed in 1 2 3 4 5; do
  step "curve-breakout-$seed" 60 "$volley" train minatar/breakout --seed "$seed" --device cuda --steps 500000 --out "$out/breakout-$seed" --json
done
rm -rf "$out"/*/checkpoints
cat "$out/summary"
grep -q -E '^test-.*exit ([1-9]|[1-6][0-9]|7[0-68-9])' "$out/summary" && exit 1
exit 0
