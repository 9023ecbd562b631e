#!/bin/sh
# Builds the fuzz targets with clang and runs each for so many seconds, side by side; counts go into the given file
# as JSON. Inputs that reach new code join the committed corpus, as few as reach it. A finding ends it with exit 1.
#   sh tests/fuzz/run.sh 600 benchmarks/results/fuzz.json [TARGET...]
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60} out=${2:-/dev/null} build=build-fuzz bad=0 separator='' lines=''
cmake --preset fuzz >/dev/null
[ $# -le 2 ] && targets=$(for f in tests/*/fuzz_*.c; do basename "$f" .c; done) || { shift 2 && targets=$*; }
# shellcheck disable=SC2086
cmake --build --preset fuzz --target $targets >/dev/null

# Words that random bytes do not meet: the option table's sections and keys, a checkpoint's header fields.
grep -ohE "^[A-Z]+\([a-z0-9_]+, *[a-z0-9_]+" common/config/options.def common/config/atari.def | sed -n "s/^[A-Z]*(\([a-z0-9_]*\), *\(.*\)/\"\1\"\n\"\2\"\n\"\1.\2\"/p" | sort -u >"$build/config.dict"
printf '"%s"\n' '\"dtype\":\"F32\"' '\"shape\":[' '\"data_offsets\":[' __metadata__ U8 I64 F64 >"$build/checkpoint.dict"

for target in $targets; do
  subject=${target#fuzz_} found=$build/found_$target
  mkdir -p "$found"
  "$build/$target" -max_total_time="$seconds" -max_len=65536 -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 \
    $([ -f "$build/$subject.dict" ] && echo "-dict=$build/$subject.dict") -artifact_prefix="$build/$target-" "$found" "tests/fuzz/$subject" 2>"$build/$target.log" &
done
wait
for target in $targets; do
  corpus=tests/fuzz/${target#fuzz_} log=$build/$target.log findings=0
  grep -qE 'ERROR: |runtime error|deadly signal' "$log" && { findings=1 bad=1; tail -n 40 "$log"; }
  "$build/$target" -merge=1 -use_counters=0 -max_len=4096 "$corpus" "$build/found_$target" 2>/dev/null
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  lines="$lines$separator{\"target\": \"$target\", \"seconds\": $seconds, \"executions\": $(stat number_of_executed_units), "
  lines="$lines\"edges\": $edges, \"findings\": $findings, \"corpus_files\": $(find "$corpus" -type f | wc -l), \"peak_mb\": $(stat peak_rss_mb)}"
  separator=',
  '
done
printf '{"command": "sh tests/fuzz/run.sh %s", "hardware": "%s cores of an %s, shared", "compiler": "%s", "date": "%s", "commit": "%s", "results": [\n  %s]}\n' \
  "$seconds" "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(clang --version | head -n 1)" \
  "$(date +%F)" "$(git rev-parse --short HEAD)" "$lines" >"$out"
cat "$out"
exit $bad
