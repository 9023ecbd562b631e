#!/bin/sh
# One sitting on a GPU server: tests, compute-sanitizer, kernels, learner, PyTorch beside it, pipeline, scaling, Pong, curves. Raw results land in
# $OUT as JSON and logs, whatever fails on the way; `summary` says what ran, what failed and what was not reached.
#
#   REHEARSE=1 BUILD=build OUT=/tmp/r sh benchmarks/gpu_session.sh    every step through the shim, small: that the script works
#   REHEARSE=1 sh benchmarks/gpu_session.sh                        the same, from a bundle
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
kind=device bench_size= train_size= learner= divide=1
if [ "${REHEARSE:-0}" = 1 ]; then # no device: the shim, and sizes that it can bear; nothing of this is a measurement
  export VLY_CUDA_PLUGIN="$tests/libvolley_cuda_shim.so" VLY_NCCL_LIBRARY="$tests/libfake_nccl.so" VLY_SHIM_DEVICES=2
  kind=shim bench_size="--samples 1 --seconds 0.001" train_size="--run.envs 2 --run.precision fp32" learner="--filter mlp/update/f32/256" divide=4000
fi

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
for test in "$tests"/gpu_*_$kind; do
  [ -x "$test" ] && step "test-$(basename "$test")" 300 "$test"
done
if command -v compute-sanitizer >/dev/null; then
  for test in "$tests"/gpu_parity_*_$kind; do
    for tool in memcheck racecheck; do
      step "$tool-$(basename "$test")" 240 env VLY_ARENA_CHUNK_MIB=0 VLY_ENGINE=own compute-sanitizer --tool $tool --error-exitcode 9 "$test"
    done
  done
else
  echo "not run: compute-sanitizer is not installed" | tee -a "$out/summary"
fi
step bench-kernels 240 env VLY_BENCH_DEVICE=cuda VLY_BENCH_DIVIDE="$divide" "$volley" bench kernels $bench_size --json
step bench-learner 240 env VLY_BENCH_DEVICE=cuda "$volley" bench learner $bench_size $learner --json
if [ $kind = device ]; then
  step bench-learner-own 120 env VLY_BENCH_DEVICE=cuda VLY_ENGINE=own "$volley" bench learner --filter nature --json
  if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    bench=$here/bin/volley-bench
    [ -x "$bench" ] || bench=$tests/volley-bench
    step vs-pytorch 300 python3 benchmarks/vs_pytorch.py --device cuda --bench "$bench" --rounds 3 --out "$out/learner_gpu.json" nature
  else
    echo "not run: vs-pytorch: no PyTorch with CUDA" | tee -a "$out/summary"
  fi
  gpus=$("$volley" doctor 2>&1 | grep -c '^ *cuda:')
  step bench-scaling 120 "$volley" bench scaling --gpus "$(for n in 1 2 4 8; do [ $n -le "$gpus" ] && printf '%s%s' "$([ $n -gt 1 ] && echo ,)" $n; done)" --json
  step bench-pipeline 180 env VLY_BENCH_DEVICE=cuda "$volley" bench pipeline --json
  step pong 180 "$volley" train pong --device cuda --until-return 18 --out "$out/pong" --json
else
  step bench-scaling 120 "$volley" bench scaling $bench_size --gpus 1,2 --filter weak --json
  step bench-pipeline 180 env VLY_BENCH_DEVICE=cuda "$volley" bench pipeline $bench_size --filter cartpole --json
  step pong 120 "$volley" train minatar/breakout --algo a2c --device cuda --steps 20 --net.hidden 16 $train_size --out "$out/pong" --json
fi
curve() { # NAME LIMIT ARGUMENTS...
  name=$1 most=$2
  shift 2
  step "curve-$name" "$most" "$volley" train "$@" --device cuda --out "$out/$name" --json
}
steps="--until-return 475" breakout="--steps 500000" seeds="1 2 3 4 5"
[ $kind = device ] || { steps="--steps 200 $train_size" breakout="--algo a2c --steps 8 --net.hidden 16 $train_size" seeds=1; }
for algo in ppo dqn impala; do
  # shellcheck disable=SC2086
  for seed in $seeds; do curve "cartpole-$algo-$seed" 60 cartpole --algo $algo --seed "$seed" $steps; done
done
# shellcheck disable=SC2086
for seed in $seeds; do curve "breakout-$seed" 60 minatar/breakout --seed "$seed" $breakout; done
rm -rf "$out"/*/checkpoints
cat "$out/summary"
grep -q -E '^test-.*exit ([1-9]|[1-6][0-9]|7[0-68-9])' "$out/summary" && exit 1
exit 0
