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
mkdir "$scratch/tmp" "$scratch/out" "$scratch/bin"
cat >"$scratch/bin/compute-sanitizer" <<'RUN'
#!/bin/sh
[ "$1 $3 $4 $VLY_ENGINE" = "--tool --error-exitcode 9 own" ] || exit 9
echo "$2 in place of compute-sanitizer's"
exec "$5"
RUN
chmod +x "$scratch/bin/compute-sanitizer"
alone= # without a network, where this system lets a user have a namespace
cat >"$scratch/alone" <<'RUN'
ip link set lo up 2>/dev/null # a server without a network has its loopback
exec "$@"
RUN
unshare -rn true 2>/dev/null && alone="unshare -rn sh $scratch/alone"

session() { # ARGUMENTS...
  # shellcheck disable=SC2086
  env HOME=/nonexistent TMPDIR="$scratch/tmp" PATH="$scratch/bin:$PATH" REHEARSE=1 BUILD="$(basename "$build")" \
    LIMIT_S="${LIMIT_S:-300}" $alone sh "$root/benchmarks/gpu_session.sh" --out "$scratch/out" "$@" >"$scratch/log" 2>&1
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
has cache/engines.tsv

# All the other steps, and one again: its engines are those of the call before.
mkdir "$scratch/again"
tar xzf "$scratch/out/session.tar.gz" -C "$scratch/again"
cp "$scratch/again/session/cache/engines.tsv" "$scratch/engines.tsv"
grep -q 'wgmma' "$scratch/engines.tsv" || fail "no engines were chosen by time"
sed -i '/^pong: /d' "$scratch/again/session/summary"
tar czf "$scratch/second.tar.gz" -C "$scratch/again" session
session --plan all --resume "$scratch/second.tar.gz" || fail "a session of all steps ended with $?"
tar xzf "$scratch/out/session.tar.gz" -C "$scratch/again"
grep -q '^pong: exit 0' "$scratch/again/session/summary" || fail "a step that is not in the summary was not run"
now=$scratch/again/session/cache/engines.tsv
head -c "$(wc -c <"$scratch/engines.tsv")" "$now" | cmp -s - "$scratch/engines.tsv" || fail "the choices of the call before are lost"
[ -z "$(cut -f 1 "$now" | sort | uniq -d)" ] || fail "an engine was chosen again"
grep -q 'choices in .*engines.tsv' "$scratch/again/session/doctor.out" || fail "doctor does not have the choices of the call before"
for f in nature-2048 pipeline pipeline-256 kernels large forced scaling; do has $f.json; done
grep -q '"engine": "own", "name"' "$scratch/again/session/forced.json" || fail "results do not say with which engine"
for s in memcheck racecheck; do
  grep -q "^$s in place of" "$scratch/again/session/$s.out" || fail "$s did not start compute-sanitizer"
done
has runs/cartpole-impala-1/metrics.jsonl
skipped=$(grep -c ': exit 77 ' "$scratch/again/session/summary")
[ "$skipped" -eq 1 ] || fail "$skipped steps were left out, not PyTorch's alone"

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

# One part of a step fails, not the last one.
cat >"$scratch/bin/timeout" <<'RUN'
#!/bin/sh
case "$*" in *cartpole-dqn*) exit 9 ;; esac
PATH=${PATH#*:}
exec timeout "$@"
RUN
chmod +x "$scratch/bin/timeout"
session --steps curves && fail "a step of which a part failed counts as done"
grep -q '^cartpole-dqn-1: exit 9' "$scratch/log" && grep -q '^curves: exit 9' "$scratch/out/summary" || fail "nothing says which part failed"
rm "$scratch/bin/timeout"

PYTHONPATH=$root/benchmarks "${VLY_PYTHON:-python3}" -B -c 'import os, measured
os.environ["PATH"] = "/nonexistent"
assert measured.commit() == ""' || fail "a server without git cannot measure"

LIMIT_S=3 session --steps nature-256 && fail "a step that was not reached counts as done"
grep -q 'not reached: nature-256' "$scratch/log" || fail "the limit was not kept"
session --steps nonsense
[ $? -eq 2 ] || fail "an unknown step was not refused"
echo "four sessions of all steps, two resumed, one stopped: their results came back${alone:+, without a network}"
