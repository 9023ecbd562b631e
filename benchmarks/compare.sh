#!/bin/sh
# Comparisons with other programs, one after the other, into a folder of results.
#   sh benchmarks/compare.sh                     those of the default list below (`make compare`), about half an hour on a machine where nothing else runs;
#                                                sb3, python_vector, remote, soak and kill9 are run by name alone
#   sh benchmarks/compare.sh cartpole replay     some of: cartpole sb3 minatar envs mujoco replay store learner onednn atari atari_steps python_vector scaling remote soak kill9
# A comparison whose file was measured with this code on this hardware is not repeated (AGAIN=1 repeats it), one that stopped goes on.
#   BUDGET=600          stops after so many seconds; the same command goes on
#   OPTIONS="--busy"    more options for every comparison (benchmarks/measured.py)
#   RESULTS=folder      instead of benchmarks/results
# Peers come from PyPI into build/peers-compare and, where they want other versions, build/peers-gymnax and build/peers-reverb, once.
# VLY_PYTHON, VLY_PYTHON_GYMNAX and VLY_PYTHON_REVERB name Pythons that have them.
set -u
cd "$(dirname "$0")/.."
results=${RESULTS:-benchmarks/results} options=${OPTIONS:-} bad=0 start=$(date +%s)
VOLLEY_ROMS=${VOLLEY_ROMS:-$HOME/.cache/volley/roms}
export VOLLEY_ROMS
[ -n "${VLY_PYTHON:-}" ] || sh tests/kit/peers.sh build/peers-compare torch stable-baselines3 cpprb envpool opencv-python-headless
python=${VLY_PYTHON:-build/peers-compare/bin/python}
export VLY_PYTHON="$python"
mkdir -p "$results"

# own NAME PACKAGE: a Python of its own for a peer that does not go with the others.
own() {
  [ -x "build/$1/bin/python" ] && [ -f "build/$1/whole" ] && return
  echo "compare: installing $2 into build/$1"
  python3 -m venv "build/$1" && "build/$1/bin/pip" install --quiet --disable-pip-version-check "$2" && touch "build/$1/whole" ||
    echo "compare: $2 could not be installed: measured without it" >&2
}

left() { echo $((${BUDGET:-1000000} - $(date +%s) + start)); }

# one NAME FILE COMMAND...: unless FILE is whole or the budget is spent.
one() {
  name=$1 file=$2
  shift 2
  [ -z "${AGAIN:-}" ] && "$python" benchmarks/measured.py whole "$file" && { echo "== $name: $file was measured with this code"; return; }
  [ "$(left)" -gt 0 ] || { echo "== $name: left for the next time"; bad=3; return; }
  printf '\n== %s: %s\n' "$name" "$*"
  "$@"
  code=$?
  [ $code = 0 ] && return
  [ $code = 3 ] || echo "compare: $name ended with $code" >&2
  [ $bad = 1 ] || { [ $code = 3 ] && bad=3 || bad=1; }
}

# compared NAME SCRIPT FILE OPTIONS...: a script that takes --budget.
compared() {
  script=$2 out=$results/$3 what=$1
  shift 3
  # shellcheck disable=SC2086
  one "$what" "$out" "$python" "benchmarks/$script" --out "$out" --budget "$(left)" $options "$@"
}

[ $# -gt 0 ] || set -- cartpole minatar envs mujoco replay atari_steps atari store learner onednn scaling
for which in "$@"; do
  case $which in
  cartpole) compared "$which" compare_cartpole.py cartpole.json ;;
  sb3) compared "$which" compare_sb3.py sb3.json ;;
  minatar) compared "$which" minatar_speed.py minatar_speed.json ;;
  envs)
    [ -n "${VLY_PYTHON_GYMNAX:-}" ] || own peers-gymnax gymnax
    compared "$which" compare_envs.py envs.json --gymnax "${VLY_PYTHON_GYMNAX:-build/peers-gymnax/bin/python}"
    ;;
  mujoco) sh envs/mujoco/fetch_mujoco.sh && compared "$which" compare_mujoco.py mujoco.json ;;
  replay) compared "$which" compare_replay.py replay.json ;;
  store)
    [ -n "${VLY_PYTHON_REVERB:-}" ] || own peers-reverb 'dm-reverb[tensorflow]==0.14.0'
    compared "$which" compare_store.py apex_store.json --python "${VLY_PYTHON_REVERB:-build/peers-reverb/bin/python}"
    ;;
  learner) compared "$which" vs_pytorch.py learner.json ;;
  atari) compared "$which" compare_atari.py atari_speed.json ;;
  atari_steps) compared "$which" compare_atari_steps.py atari_steps.json ;;
  python_vector) compared "$which" python_vector.py python_vector.json ;;
  onednn) [ -x build/onednn ] && one "$which" "$results/onednn.json" "$python" benchmarks/measured.py record "$results/onednn.json" build/onednn --threads "$(nproc)" ||
    echo "compare: no oneDNN 2.x here (apt-get install libdnnl-dev, then make build)" ;;
  remote) compared "$which" remote_actors.py remote_actors.json ;;
  scaling) one "$which" "$results/scaling_workers.json" "$python" benchmarks/simulate_scaling.py --measure --out "$results/scaling_workers.json" ;;
  soak) for algo in ppo dqn; do one "$which" "$results/soak_$algo.json" "$python" benchmarks/soak.py --algo $algo --out "$results/soak_$algo.json"; done
    one "$which" "$results/soak_minatar.json" "$python" benchmarks/soak.py --hostile --minutes 120 --out "$results/soak_minatar.json" -- --run.workers 1 ;;
  kill9) one "$which" "$results/kill9.json" "$python" tests/run/kill9.py --kills 5000 --out "$results/kill9.json" ;;
  *) echo "compare: what is $which? cartpole sb3 minatar envs mujoco replay store learner onednn atari atari_steps python_vector scaling remote soak kill9" >&2; exit 2 ;;
  esac
done
exit $bad
