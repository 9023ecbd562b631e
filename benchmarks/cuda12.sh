#!/bin/sh
# Does the CUDA back end compile for CUDA 12? PyPI has its headers, its ptxas and its device library, but no nvcc (the packages
# nvidia-cuda-*-cu12): the host code is compiled by the C compiler against the headers, the kernels by clang against headers and
# device library, to machine code by CUDA 12's ptxas. No device is involved. clang 19 has no __grid_constant__ and copies such arguments.
#
#   sh benchmarks/cuda12.sh                              benchmarks/results/compile_cuda12.txt
#   sh benchmarks/cuda12.sh --archs "80 89" --files "gae optimize" --out /tmp/cuda12
#
# What was compiled since the sources last changed is not compiled again (build/cuda12-matrix).
# CLANG names the compiler (16 or later; apt-get install clang-19). Without one, or without the package index: exit 77, loudly.
set -u
cd "$(dirname "$0")/.."
archs="75 90" files= out=benchmarks/results
while [ $# -gt 0 ]; do
  case $1 in
  --archs) archs=$2 ;;
  --files) files=$2 ;;
  --out) out=$2 ;;
  *) echo "usage: cuda12.sh [--archs LIST] [--files LIST] [--out FOLDER]" >&2; exit 2 ;;
  esac
  shift 2
done
packages="nvidia-cuda-nvcc-cu12==12.9.86 nvidia-cuda-runtime-cu12==12.9.79 nvidia-cuda-cccl-cu12==12.9.27"
root=build/cuda12
clang=${CLANG:-}
for version in 21 20 19 18 17 16; do [ -n "$clang" ] || clang=$(command -v clang++-$version); done
[ -n "$clang" ] || { echo "SKIPPED: CUDA 12: no clang++ of version 16 or later (apt-get install clang-19)"; exit 77; }

if [ ! -x $root/bin/ptxas ]; then
  fresh=$root.fresh
  rm -rf "$fresh" && mkdir -p "$fresh"
  # shellcheck disable=SC2086
  { python3 -m venv "$fresh/venv" && "$fresh/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --target "$fresh/packages" $packages; } >"$fresh/log" 2>&1 || { echo "SKIPPED: CUDA 12: its packages are out of reach:"; tail -n 3 "$fresh/log"; exit 77; }
  mkdir -p "$fresh/root"
  for part in "$fresh"/packages/nvidia/*/; do cp -r "$part." "$fresh/root/"; done
  chmod +x "$fresh/root/bin/ptxas"
  rm -rf $root && mv "$fresh/root" $root && rm -rf "$fresh"
fi
[ -n "$files" ] || files=$(for f in kernels/*.cu; do basename "$f" .cu; done)
work=${CUDA12_CACHE:-build/cuda12-matrix}
mkdir -p "$work" "$out"

failed=0 count=0
: >"$work/errors"
for file in gpu/*.c; do
  case $file in *_check.c) continue ;; esac # against a library's own headers, which are not here
  count=$((count + 1))
  cc -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -I. -isystem $root/include "$file" 2>>"$work/errors" || { echo "FAILED: $file"; failed=$((failed + 1)); }
done

cat >"$work/cell" <<'CELL'
file=$1 arch=$2 clang=$3 root=$4 work=$5
if "$clang" -x cuda --cuda-path="$root" --cuda-gpu-arch="sm_$arch" --cuda-device-only -std=c++17 -O2 -ffp-contract=off -Werror -Wno-unknown-cuda-version -Wno-unknown-attributes \
  -I. -c "kernels/$file.cu" -o "$work/$file.$arch.cubin" >"$work/$file.$arch.log" 2>&1; then echo ok >"$work/$file.$arch.cell"; else echo FAILED >"$work/$file.$arch.cell"; fi
rm -f "$work/$file.$arch.cubin"
CELL
newest=$(ls -t kernels/*.cu kernels/*.h common/base/rules.h common/base/compute.h $root/bin/ptxas | head -n 1)
for file in $files; do for arch in $archs; do echo "$file $arch"; done; done |
  while read -r file arch; do
    [ "$(cat "$work/$file.$arch.cell" 2>/dev/null)" = ok ] && [ "$work/$file.$arch.cell" -nt "$newest" ] || echo "$file $arch"
  done |
  xargs -r -P "${JOBS:-2}" -L 1 sh -c 'sh "$2/cell" "$3" "$4" "$0" "$1" "$2"' "$clang" "$root" "$work"
{
  echo "# kernels/*.cu to machine code with CUDA 12: $("$clang" --version | sed -n '1s/.*version \([0-9.]*\).*/clang \1/p'), headers and ptxas $($root/bin/ptxas --version | sed -n 's/.*, V\([0-9.]*\)$/\1/p'); no device was involved"
  echo "# gpu/*.c against the same headers: $((count - failed)) of $count files"
  printf '%-14s' "# file"; for arch in $archs; do printf '%8s' "$arch"; done; echo
  for file in $files; do
    printf '%-14s' "$file"
    for arch in $archs; do printf '%8s' "$(cat "$work/$file.$arch.cell" 2>/dev/null || echo -)"; done
    echo
  done
} >"$out/compile_cuda12.txt"
cells=$(grep -o '\bok\b' "$out/compile_cuda12.txt" | wc -l)
total=$(for arch in $archs; do for file in $files; do echo; done; done | wc -l)
cat "$work/errors"
grep -l FAILED "$work"/*.cell 2>/dev/null | sed 's/cell$/log/' | xargs -r grep -h -A3 error | head -n 40
echo "CUDA 12: $cells of $total kernel files, $((count - failed)) of $count host files compiled, in $out/compile_cuda12.txt"
[ "$cells" -eq "$total" ] && [ $failed -eq 0 ]
