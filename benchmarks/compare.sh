#!/bin/sh
# Every comparison with other programs, one after the other; results, with hardware and commands, go into a folder.
#   sh benchmarks/compare.sh                     all (`make compare`), about half an hour; nothing else should run
#   sh benchmarks/compare.sh cartpole replay     some: cartpole minatar envs replay learner onednn atari atari_steps soak kill9
# Peers come from PyPI into build/peers-compare, once; VLY_PYTHON names a Python that has them. RESULTS names the folder.
set -u
cd "$(dirname "$0")/.."
results=${RESULTS:-benchmarks/results} roms=${VOLLEY_ROMS:-$HOME/.cache/volley/roms} bad=0
[ -n "${VLY_PYTHON:-}" ] || sh tests/kit/peers.sh build/peers-compare torch stable-baselines3 cpprb envpool opencv-python-headless
python=${VLY_PYTHON:-build/peers-compare/bin/python}
export VLY_PYTHON="$python"
mkdir -p "$results"

# one NAME COMMAND...
one() {
  name=$1
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || { echo "compare: $name did not end well" >&2; bad=1; }
}

[ $# -gt 0 ] || set -- cartpole minatar envs replay learner onednn atari atari_steps
for what in "$@"; do
  case $what in
  cartpole) one "$what" "$python" benchmarks/compare_cartpole.py --python "$python" --out "$results/cartpole.json" ;;
  minatar) one "$what" "$python" benchmarks/minatar_speed.py --out "$results/minatar_speed.json" ;;
  envs | replay) one "$what" "$python" "benchmarks/compare_$what.py" --out "$results/$what.json" ;;
  learner) one "$what" "$python" benchmarks/vs_pytorch.py --out "$results/learner.json" ;;
  onednn) [ -x build/onednn ] && one "$what" build/onednn --threads "$(nproc)" --out "$results/onednn.json" ||
    echo "compare: no oneDNN 2.x here (apt-get install libdnnl-dev, then make build)" ;;
  atari) one "$what" "$python" benchmarks/compare_atari.py build/atari_raw "$roms" --json "$results/atari_speed.json" ;;
  atari_steps) one "$what" "$python" benchmarks/compare_atari_steps.py --steps build/atari_steps --json "$results/atari_steps.json" ;;
  soak) for algo in ppo dqn; do one "$what" "$python" benchmarks/soak.py --algo $algo --out "$results/soak_$algo.json"; done ;;
  kill9) one "$what" "$python" tests/run/kill9.py --kills 500 --out "$results/kill9.json" ;;
  *) echo "compare: what is $what? cartpole minatar envs replay learner onednn atari atari_steps soak kill9" >&2; exit 2 ;;
  esac
done
exit $bad
