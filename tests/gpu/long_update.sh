#!/bin/sh
# A stop within an update of many minutes on the CUDA back end (the shim), with overlap and without: the run is saved and ends.
# sh long_update.sh PROGRAM PLUGIN FOLDER
volley=$1 folder=$3
export VLY_CUDA_PLUGIN="$2"
rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" || exit 1

failed() {
  echo "$1" >&2
  cat log >&2
  exit 1
}

for overlap in off on; do
  timeout -s KILL 120 "$volley" train cartpole --algo ppo --device cuda --run.precision fp32 --envs 16 --ppo.rollout 64 \
    --ppo.epochs 1000 --ppo.minibatches 64 --ppo.overlap $overlap --steps 1e9 --out $overlap >log 2>&1 &
  for _ in $(seq 300); do
    [ -e $overlap/config.yaml ] && break
    sleep 0.2
  done
  sleep 1.5
  kill -TERM $! # passed on
  wait $!
  code=$?
  [ $code -eq 143 ] || failed "overlap $overlap: exit code $code; 137: the update was waited for"
  "$volley" inspect $overlap >log 2>&1 || failed "overlap $overlap: it is not saved"
done
