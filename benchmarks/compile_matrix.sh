#!/bin/sh
# Every kernel file for every architecture that the compiler knows and we support, to machine code: that it compiles, and
# what ptxas says of registers, shared memory and spills. No device is involved.
#
#   sh benchmarks/compile_matrix.sh                          all: benchmarks/results/compile_matrix.txt, kernel_resources.txt
#   sh benchmarks/compile_matrix.sh --archs "75 90a 120" --files "gae conv" --out /tmp/matrix     a part, elsewhere
#
# What was compiled since the sources last changed is not compiled again (build/matrix).
# REPORT=1 compiles nothing and writes what is known.
# NVCC names the compiler; else build/cuda (make cuda) or the one on the path. Without one: exit 77, loudly. JOBS: at once.
set -u
cd "$(dirname "$0")/.."
archs= files= out=benchmarks/results
while [ $# -gt 0 ]; do
  case $1 in
  --archs) archs=$2 ;;
  --files) files=$2 ;;
  --out) out=$2 ;;
  *) echo "usage: compile_matrix.sh [--archs LIST] [--files LIST] [--out FOLDER]" >&2; exit 2 ;;
  esac
  shift 2
done
nvcc=${NVCC:-build/cuda/bin/nvcc}
[ -x "$nvcc" ] || nvcc=$(command -v nvcc) || { echo "SKIPPED: compile matrix: no nvcc (sh gpu/fetch_cuda.sh build/cuda --force fetches one)"; exit 77; }
version=$("$nvcc" --version | sed -n 's/.*, V\([0-9.]*\)$/\1/p')
known=$("$nvcc" --list-gpu-arch)
[ -n "$archs" ] || archs="75 80 86 87 88 89 90 90a 100 103 110 120 121"
all=$(for f in kernels/*.cu; do basename "$f" .cu; done)
[ -n "$files" ] || files=$(echo "$all" | grep -v conv; echo "$all" | grep conv) # the longest last
work=${MATRIX_CACHE:-build/matrix}
mkdir -p "$out" "$work"
newest=$(ls -t kernels/*.cu kernels/*.h common/base/*.h "$nvcc" | head -n 1)

# One cell: "ok", or the first error; ptxas's words to $work/FILE.ARCH.log. Each line of $work/cells is run by xargs.
cat >"$work/cell" <<'CELL'
file=$1 arch=$2 nvcc=$3 work=$4
if timeout "${CELL_S:-3600}" "$nvcc" -std=c++17 -O3 -fmad=false -lineinfo --Werror=all-warnings -Xcudafe=--diag_suppress=177 -I. -arch="sm_$arch" -cubin \
  -Xptxas -v -o "$work/$file.$arch.cubin" "kernels/$file.cu" >"$work/$file.$arch.log" 2>&1; then echo ok >"$work/$file.$arch.cell"
else echo "FAILED" >"$work/$file.$arch.cell"; fi
rm -f "$work/$file.$arch.cubin"
CELL
usable=
for arch in $archs; do
  echo "$known" | grep -q "^compute_${arch%a}\$" && usable="$usable $arch" || echo "not known to nvcc $version: sm_$arch"
done
for file in $files; do for arch in $usable; do echo "$file $arch"; done; done |
  while [ "${REPORT:-0}" = 0 ] && read -r file arch; do
    [ "$(cat "$work/$file.$arch.cell" 2>/dev/null)" = ok ] && [ "$work/$file.$arch.cell" -nt "$newest" ] || echo "$file $arch"
  done | xargs -r -P "${JOBS:-2}" -L 1 sh -c 'sh "$0/cell" "$2" "$3" "$1" "$0"' "$work" "$nvcc"

failed=0
{
  echo "# kernels/*.cu to machine code: nvcc $version -O3 -fmad=false --Werror=all-warnings -arch=sm_ARCH -cubin; no device was involved"
  printf '%-14s' "# file"; for arch in $usable; do printf '%8s' "$arch"; done; echo
  for file in $files; do
    printf '%-14s' "$file"
    for arch in $usable; do printf '%8s' "$(cat "$work/$file.$arch.cell" 2>/dev/null || echo -)"; done
    echo
  done
} >"$out/compile_matrix.txt"
cells=$(grep -o '\bok\b' "$out/compile_matrix.txt" | wc -l)
total=$(for arch in $usable; do for file in $files; do echo; done; done | wc -l)

# ptxas -v: "Compiling entry function 'MANGLED' for 'sm_90'", then spills, then registers and shared memory.
{
  echo "# file/kernel | arch | registers | static shared bytes | spill stores, loads bytes"
  echo "# nvcc $version -O3 -fmad=false -Xptxas -v; no device was involved"
  for file in $files; do
    for arch in $usable; do
      [ -f "$work/$file.$arch.log" ] && awk -v file="$file" -v arch="$arch" '/Compiling entry function/ {split($0, q, "\047"); name = q[2]}
        /spill stores/ {match($0, /[0-9]+ bytes spill stores/); s = $0; sub(/.*frame, /, "", s); split(s, n, " "); stores = n[1]; loads = n[5]}
        /Used [0-9]+ registers/ {regs = $0; sub(/.*Used /, "", regs); sub(/ registers.*/, "", regs); smem = 0
          if (match($0, /[0-9]+ bytes smem/)) {smem = substr($0, RSTART); sub(/ bytes smem.*/, "", smem)}
          print name " | " file " | " arch " | " regs " | " smem " | " stores ", " loads}' "$work/$file.$arch.log"
    done
  done | c++filt | sed -E 's/^(void )?\(anonymous namespace\):://; s/^void //; s/^([a-zA-Z0-9_]+(<[^|(]*>)?)\([^|]*\) \|/\1 |/' |
    awk -F ' [|] ' '{print $2 "/" $1 " | " $3 " | " $4 " | " $5 " | " $6}' | sort
} >"$out/kernel_resources.txt"
grep -l FAILED "$work"/*.cell 2>/dev/null | sed 's/cell$/log/' | xargs -r grep -h -A3 -i error | head -n 40
[ "$cells" -eq "$total" ] || failed=$((total - cells))
echo "compile matrix: $cells of $total compiled with nvcc $version, in $out/compile_matrix.txt"
[ "$failed" -eq 0 ]
