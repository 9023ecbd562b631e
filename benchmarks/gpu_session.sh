#!/bin/sh
# Measures on a GPU server that is lent for minutes: three calls of at most 9 minutes each, resumable, one tarball.
#
#   sh benchmarks/gpu_session.sh --plan A --out results                 from a bundle, or a build tree with BUILD=build
#   sh benchmarks/gpu_session.sh --plan B --out results --resume results/session.tar.gz
#   sh benchmarks/gpu_session.sh --steps tests,pong --out results       these alone
#   sh benchmarks/gpu_session.sh --list                                 the steps, their plans and limits
#   REHEARSE=1 BUILD=build sh benchmarks/gpu_session.sh --plan A --out results    through the shim, small: nothing is measured
#
#   A  doctor, device tests, Nature at 256 and 2,048, the pipeline at its preset and with 256 environments, Pong to 18
#   B  kernels, replay, large batches, engines by force, PyTorch beside it on three cases
#   C  compute-sanitizer's memcheck and racecheck, learning curves, scaling on one GPU
#
# OUT gets `session.tar.gz` and `summary`, both written anew after every step: a call that is killed keeps what it had.
# With --resume, steps that ended well before are not run again, and the engines that were chosen then are kept. Where an engine
# broke the device, its name is in the step's log, and VLY_ENGINES_OFF=NAME in the environment goes on without it.
# All else is written in a temporary folder; the tree may be read-only and the home empty. LIMIT_S (540) bounds a call.
set -u

steps_of() {
  case $1 in
  A) echo doctor tests nature-256 nature-2048 pipeline pipeline-256 pong ;;
  B) echo doctor kernels replay large forced pytorch ;;
  C) echo doctor memcheck racecheck curves scaling ;;
  all) echo doctor tests nature-256 nature-2048 pipeline pipeline-256 pong kernels replay large forced pytorch memcheck racecheck curves scaling ;;
  *) echo "gpu_session: no plan $1: A, B, C or all" >&2; exit 2 ;;
  esac
}
seconds_of() { # the most that a step may take
  case $1 in
  doctor) echo 20 ;; tests) echo 150 ;; nature-256 | nature-2048) echo 40 ;; pipeline | pipeline-256) echo 60 ;; pong) echo 165 ;;
  kernels) echo 140 ;; replay) echo 25 ;; large) echo 90 ;; forced) echo 90 ;; pytorch) echo 175 ;;
  memcheck | racecheck) echo 145 ;; curves) echo 175 ;; scaling) echo 40 ;;
  *) echo "gpu_session: no step '$1'; --list names them" >&2; exit 2 ;;
  esac
}

plan=A steps= out=${OUT:-results} resume= limit=${LIMIT_S:-540}
while [ $# -gt 0 ]; do
  case $1 in
  --plan) plan=${2:?} ;;
  --steps) steps=$(echo "${2:?}" | tr ',' ' ') ;;
  --out) out=${2:?} ;;
  --resume) resume=${2:?} ;;
  --list)
    for plan in A B C; do for s in $(steps_of $plan); do printf '%s  %-14s at most %3s s\n' $plan "$s" "$(seconds_of "$s")"; done; done
    exit 0 ;;
  *) echo "usage: gpu_session.sh [--plan A|B|C|all] [--steps a,b] [--out FOLDER] [--resume session.tar.gz] [--list]" >&2; exit 2 ;;
  esac
  shift 2
done
[ -n "$steps" ] || steps=$(steps_of "$plan") || exit 2
for s in $steps; do seconds_of "$s" >/dev/null || exit 2; done

start=$(date +%s)
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
[ -z "$resume" ] || resume=$(cd "$(dirname "$resume")" && pwd)/$(basename "$resume")
cd "$(dirname "$0")/.." || exit 1
here=$(pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/volley-session.XXXXXX") || exit 1
results=$work/session
mkdir -p "$results/cache" "$work/home" "$work/runs"
child=
trap 'trap - EXIT; rm -rf "$work"' EXIT
stop() { # the step's shell, and the timeout below it, which passes the signal on
  [ -z "$child" ] || kill $(ps -o pid= --ppid "$child") "$child" 2>/dev/null
  keep
  exit 143
}
trap stop TERM INT
[ -z "$resume" ] || tar xzf "$resume" -C "$work" || { echo "gpu_session: $resume cannot be read" >&2; exit 1; }
touch "$results/summary"

# A folder to write in is all that the programs get: caches, runs and the compiler's files of PyTorch lie in it.
[ -w "${HOME:-/nonexistent}" ] || export HOME="$work/home"
export VLY_CACHE_DIR="$results/cache" TORCHINDUCTOR_CACHE_DIR="$work/inductor" TRITON_CACHE_DIR="$work/triton"
[ ! -d "$here/roms" ] || export VOLLEY_ROMS="$here/roms"

# The bundle's libraries are for its own programs, not for Python: each has a wrapper that names them.
if [ -x bin/volley ]; then
  volley=$here/volley bench=$here/volley-bench tests=$here/tests libraries=$here/lib
  export VLY_CUDA_PLUGIN="$here/bin/libvolley_cuda.so"
else
  build=$here/${BUILD:-build}
  volley=$build/volley bench=$build/volley-bench tests=$build libraries=
fi

# A Python that has PyTorch, else any; and the folders of NVIDIA's packages in all of them.
python=
for p in python3 /opt/*/bin/python3 /opt/*/.venv/bin/python3 /opt/*/venv/bin/python3; do
  command -v "$p" >/dev/null 2>&1 || continue
  found=$("$p" -c 'import glob, os, nvidia
print(":".join(sorted(d for p in nvidia.__path__ for d in glob.glob(os.path.join(p, "*", "lib")))))' 2>/dev/null)
  [ -z "$found" ] || VLY_CUDA_LIBRARIES=${VLY_CUDA_LIBRARIES:+$VLY_CUDA_LIBRARIES:}$found
  [ -n "$python" ] || ! "$p" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null || python=$p
done
[ -z "${VLY_CUDA_LIBRARIES:-}" ] || export VLY_CUDA_LIBRARIES

kind=device device=cuda train_size=
if [ "${REHEARSE:-0}" = 1 ]; then # no device: the shim, and sizes that it can bear
  export VLY_CUDA_PLUGIN="$tests/libvolley_cuda_shim.so" VLY_NCCL_LIBRARY="$tests/libfake_nccl.so" VLY_SHIM_DEVICES=2
  export VLY_BENCH_SAMPLES=1 VLY_BENCH_SECONDS=0.001 VLY_BENCH_DIVIDE=4000 VLY_SHIM_TRIALS=1
  kind=shim train_size="--run.envs 2 --run.precision fp32"
fi
export VLY_BENCH_DEVICE=$device

left() { echo $((limit - $(date +%s) + start)); }
within() { # SECONDS COMMAND...: no process outlives it, not one that ignores SIGTERM either
  most=$1
  shift
  [ "$most" -lt "$(left)" ] || most=$(left)
  [ "$most" -ge 3 ] || return 124
  timeout -k 10 "$most" "$@"
}
test_program() { # SECONDS COMMAND...
  most=$1
  shift
  within "$most" env ${libraries:+"LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"} "$@"
}
say() { echo "$*" | tee -a "$results/summary"; }
keep() {
  tar czf "$out/.session.tmp" -C "$work" session && mv "$out/.session.tmp" "$out/session.tar.gz"
  cp "$results/summary" "$out/summary"
}
rehearsed() { [ $kind = shim ]; }
train() { # NAME SECONDS ARGUMENTS...: the curve stays, checkpoints do not
  name=$1 most=$2
  shift 2
  within "$most" "$volley" train "$@" --device $device --out "$work/runs/$name" --json
  code=$?
  mkdir -p "$results/runs/$name"
  find "$work/runs/$name" -maxdepth 1 -type f -size -2000k -exec cp {} "$results/runs/$name/" \; 2>/dev/null
  return $code
}

# ---- the steps ----

run_doctor() {
  { cat COMMIT 2>/dev/null || git rev-parse HEAD; date -u +%FT%TZ; uname -r; nproc; grep -m 1 'model name' /proc/cpuinfo; } >"$results/machine" 2>/dev/null
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv >"$results/gpu.csv" 2>/dev/null ||
    echo "no nvidia-smi" >"$results/gpu.csv"
  within 20 "$volley" doctor
}
run_tests() {
  failed=0
  for test in "$tests"/gpu_*_$kind; do
    [ -x "$test" ] || continue
    rehearsed && [ "$(basename "$test")" != gpu_threads_shim ] && continue
    began=$(date +%s)
    test_program 60 "$test"
    code=$?
    echo "$(basename "$test"): exit $code after $(($(date +%s) - began)) s"
    case $code in 0 | 77) ;; *) failed=1 ;; esac
  done
  return $failed
}
run_nature_256() { learner 256; }
run_nature_2048() { learner 2048; }
learner() {
  rehearsed && { within 40 "$bench" learner mlp/forward/f32/256; return; }
  within 20 "$bench" learner "nature/forward/bf16/$1" && within 20 "$bench" learner "nature/update/bf16/$1"
}
run_pipeline() {
  if rehearsed; then within 60 "$bench" pipeline cartpole; else within 60 "$bench" pipeline pong/ppo; fi
}
run_pipeline_256() {
  if rehearsed; then VLY_BENCH_ENVS=32 within 60 "$bench" pipeline cartpole; else VLY_BENCH_ENVS=256 within 60 "$bench" pipeline pong/ppo; fi || return
  echo '{"actions": "copied"}' # what writing them to host memory is worth
  if rehearsed; then VLY_ACTIONS=copied VLY_BENCH_ENVS=32 within 60 "$bench" pipeline cartpole
  else VLY_ACTIONS=copied VLY_BENCH_ENVS=256 within 60 "$bench" pipeline pong/ppo; fi
}
run_pong() {
  if rehearsed; then train pong 60 minatar/breakout --algo a2c --steps 20 --net.hidden 16 --run.envs 2 --run.precision bf16
  else train pong 165 pong --until-return 18; fi
}
run_kernels() { if rehearsed; then within 60 "$bench" kernels gae; else within 140 "$bench" kernels; fi; }
run_replay() { if rehearsed; then within 25 "$bench" replay insert; else within 25 "$bench" replay; fi; }
run_large() {
  rehearsed && { learner 256; return; }
  failed=0
  within 60 "$bench" learner nature || failed=$?
  within 30 "$bench" learner impala || failed=$?
  return $failed
}
run_forced() {
  failed=0
  for engine in own staged wgmma cublaslt patches cudnn; do
    rehearsed && [ $engine != own ] && continue
    echo "{\"engine\": \"$engine\"}"
    VLY_ENGINE=$engine learner 2048 || { failed=$?; echo "$engine: exit $failed"; }
  done
  return $failed
}
run_pytorch() {
  rehearsed && { echo "not rehearsed: needs a device"; return 77; }
  [ -n "$python" ] || { echo "no Python with PyTorch and CUDA"; return 77; }
  failed=0
  for case in nature/forward/bf16/256 nature/update/bf16/2048 nature/forward/bf16/16384; do
    within 58 "$python" benchmarks/vs_pytorch.py --device cuda --program "$volley" --rounds 5 --busy --out "$results/pytorch-$(echo $case | tr / -).json" $case ||
      { failed=$?; echo "$case: exit $failed"; }
  done
  return $failed
}
sanitize() {
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed"; return 77; }
  failed=0 sanitized="parity_ops parity_patches parity_layers"
  rehearsed && sanitized=threads
  for test in $sanitized; do
    echo "$1 gpu_${test}_$kind"
    VLY_ARENA_CHUNK_MIB=0 VLY_ENGINE=own test_program 60 compute-sanitizer --tool "$1" --error-exitcode 9 "$tests/gpu_${test}_$kind" || failed=1
  done
  return $failed
}
run_memcheck() { sanitize memcheck; }
run_racecheck() { sanitize racecheck; }
curve() { # NAME ARGUMENTS...
  name=$1
  shift
  train "$name" 30 "$@" || { failed=$?; echo "$name: exit $failed"; }
}
run_curves() {
  failed=0 target="--until-return 475" seeds="1 2 3 4 5"
  rehearsed && { target="--steps 200 $train_size"; seeds=1; }
  for algo in ppo dqn impala; do
    # shellcheck disable=SC2086
    for seed in $seeds; do curve "cartpole-$algo-$seed" cartpole --algo $algo --seed "$seed" $target; done
  done
  rehearsed || for seed in 1 2 3; do curve "breakout-$seed" minatar/breakout --seed "$seed" --steps 500000; done
  return $failed
}
run_scaling() {
  gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
  if rehearsed; then VLY_BENCH_GPUS=1 within 40 "$bench" scaling weak
  else VLY_BENCH_GPUS=$([ "$gpus" -gt 1 ] && echo 1,2 || echo 1) within 40 "$bench" scaling; fi
}

# What `volley bench report` reads, of the JSON lines that a step printed: each with what the line before them says they
# were measured with.
file_of_results() {
  grep -q '^{"name"' "$results/$1.out" || return 0
  {
    printf '{"command": "gpu_session.sh --steps %s", "hardware": "%s", "commit": "%s", "date": "%s", "rehearsed": %s, "results": [\n' \
      "$1" "$(sed -n 2p "$results/gpu.csv" 2>/dev/null | tr -d '"')" "$(head -n 1 "$results/machine" 2>/dev/null)" "$(date -u +%F)" \
      "$(rehearsed && echo true || echo false)"
    awk '/^[{]"(engine|actions)"/ { with = substr($0, 2, length($0) - 2) ", " }
      /^[{]"name"/ { print "{" with substr($0, 2) }' "$results/$1.out" | sed '$!s/$/,/'
    printf ']}\n'
  } >"$results/$1.json"
}

for s in $steps; do
  if [ "$s" != doctor ] && grep -q "^$s: exit \(0\|77\) " "$results/summary"; then
    echo "done before: $s"
    continue
  fi
  if [ "$(left)" -lt 5 ]; then say "not reached: $s"; continue; fi
  began=$(date +%s)
  most=$(seconds_of "$s")
  limit_before=$limit
  [ "$((began - start + most))" -ge "$limit" ] || limit=$((began - start + most)) # a step's parts share its time
  "run_$(echo "$s" | tr - _)" >"$results/$s.out" 2>"$results/$s.log" &
  child=$!
  wait $child
  code=$?
  child=
  limit=$limit_before
  tail -n 30 "$results/$s.out" | cut -c 1-240
  [ $code -eq 0 ] || tail -n 5 "$results/$s.log" | cut -c 1-240
  file_of_results "$s"
  say "$s: exit $code after $(($(date +%s) - began)) s"
  keep
done
keep
cat "$results/summary"
for s in $steps; do grep "^$s: exit" "$results/summary" | tail -n 1 | grep -q 'exit \(0\|77\) ' || exit 1; done
exit 0
