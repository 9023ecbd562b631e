#!/bin/sh
# How long a newcomer waits: from `git clone` to a trained and evaluated CartPole agent, without a compiler cache. Packages
# are installed when they are missing, and then count.
#   sh benchmarks/first_agent.sh [REPOSITORY]      prints one JSON object
#   python3 benchmarks/measured.py record benchmarks/results/first_agent.json sh benchmarks/first_agent.sh
set -eu
from=$(realpath "${1:-$(dirname "$0")/..}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CCACHE_DISABLE=1
now() { date +%s.%N; }
start=$(now)
git clone -q "$from" "$folder/volley"
cd "$folder/volley"
cloned=$(now)
make setup program >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; exit 1; }
built=$(now)
make run JOB="cartpole --until-return 475" >"$folder/run.log" 2>&1 || { cat "$folder/run.log" >&2; exit 1; }
done=$(now)
return=$(sed -n 's/.*mean return \([0-9.]*\) (95%.*/\1/p' "$folder/run.log" | tail -n 1)
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
awk -v a="$start" -v b="$cloned" -v c="$built" -v d="$done" -v r="$return" -v cpu="$cpu" -v n="$(nproc)" -v commit="$(git rev-parse --short=12 HEAD)" \
  -v date="$(date +%F)" -v load="$(cut -d' ' -f1 /proc/loadavg)" 'BEGIN {
  printf "{\"command\": \"sh benchmarks/first_agent.sh\", \"hardware\": \"%s cores of %s, load %s\", \"commit\": \"%s\", \"date\": \"%s\", ", n, cpu, load, commit, date
  printf "\"results\": [{\"name\": \"git clone\", \"seconds\": %.2f}, {\"name\": \"build\", \"seconds\": %.2f}, ", b - a, c - b
  printf "{\"name\": \"train and evaluate\", \"seconds\": %.2f}, {\"name\": \"all\", \"seconds\": %.2f}], \"eval_return_mean\": %s}\n", d - c, d - a, r }'
