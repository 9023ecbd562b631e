#!/bin/sh
# benchmarks/gpu_session.sh as a lent server runs it: no network, an empty home, a tree that is not written to, few files
# back, a call that may be killed at any time. Through the shim: nothing is measured.
#   sh tests/gpu/session_rehearsal.sh BUILD_FOLDER
set -u
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d /tmp/volley-rehearsal.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
fail() {
  echo "session_rehearsal: $*" >&2
  cat "$scratch/log" >&2
  exit 1
}
mkdir "$scratch/tmp" "$scratch/out"
alone= # without a network, where this system lets a user have a namespace
cat >"$scratch/alone" <<'RUN'
ip link set lo up 2>/dev/null # a server without a network has its loopback
exec "$@"
RUN
unshare -rn true 2>/dev/null && alone="unshare -rn sh $scratch/alone"

session() { # ARGUMENTS...
  # shellcheck disable=SC2086
  env HOME=/nonexistent TMPDIR="$scratch/tmp" REHEARSE=1 BUILD="$(basename "$build")" LIMIT_S="${LIMIT_S:-300}" \
    $alone sh "$root/benchmarks/gpu_session.sh" --out "$scratch/out" "$@" >"$scratch/log" 2>&1
}
has() { tar tzf "$scratch/out/session.tar.gz" | grep -q "^session/$1\$" || fail "the tarball lacks $1"; }

[ "$(dirname "$build")" = "$root" ] || { echo "SKIPPED: the build folder is not in the source tree"; exit 77; }
touch "$scratch/before"
session --steps doctor,tests,nature-256 || fail "a session ended with $?"
for f in doctor.out tests.out nature-256.json summary machine; do has "$f"; done
grep -q '"name": "mlp/forward' "$scratch/log" || fail "results are not printed as they come"
[ "$(find "$scratch/out" -type f | wc -l)" -le 8 ] || fail "more than 8 files come back"
[ -z "$(ls "$scratch/tmp")" ] || fail "the temporary folder was left behind"
# Other build folders of the tree may be at work meanwhile.
written=$(find "$root" -path "$root/build*" -prune -o -path "$root/.git" -prune -o -type f -newer "$scratch/before" -print | head -n 3)
[ -z "$written" ] || fail "the tree was written to: $written"

cp "$scratch/out/session.tar.gz" "$scratch/first.tar.gz"
session --steps tests,nature-256,pong --resume "$scratch/first.tar.gz" || fail "a resumed session ended with $?"
grep -q 'done before: tests' "$scratch/log" && grep -q 'done before: nature-256' "$scratch/log" || fail "steps were run again"
has runs/pong/metrics.jsonl
has nature-256.json

# Killed in the middle of its second step: the first one's results are there.
rm -f "$scratch/out"/*
# shellcheck disable=SC2086
env HOME=/nonexistent TMPDIR="$scratch/tmp" REHEARSE=1 BUILD="$(basename "$build")" \
  $alone sh "$root/benchmarks/gpu_session.sh" --out "$scratch/out" --steps doctor,curves >"$scratch/log" 2>&1 &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ -f "$scratch/out/session.tar.gz" ] && break
  sleep 0.5
done
kill -TERM $pid
wait $pid
has doctor.out

LIMIT_S=3 session --steps nature-256 && fail "a step that was not reached counts as done"
grep -q 'not reached: nature-256' "$scratch/log" || fail "the limit was not kept"
session --steps nonsense
[ $? -eq 2 ] || fail "an unknown step was not refused"
echo "three sessions, one resumed, one stopped: their results came back${alone:+, without a network}"
