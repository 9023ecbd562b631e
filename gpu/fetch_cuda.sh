#!/bin/sh
# Fetches the CUDA toolkit from PyPI into build/cuda, for a machine that has an NVIDIA driver and no toolkit: compiler,
# runtime, cuBLAS, cuDNN and NCCL, in versions that are known to build this program. CMake finds it there.
#
#   sh gpu/fetch_cuda.sh build/cuda            what this machine's driver can run
#   sh gpu/fetch_cuda.sh build/cuda --force    without a driver too: to compile only
#   sh gpu/fetch_cuda.sh build/cuda --nvdisasm the disassembler alone (5 MB), into a toolkit that is there
set -eu
cd "$(dirname "$0")/.."

packages="nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime==13.0.96
nvidia-cublas==13.1.0.3 nvidia-cudnn-cu13==9.19.0.56 nvidia-nccl-cu13==2.28.9"
disassembler=nvidia-cuda-nvdisasm==13.2.51
target=${1:-build/cuda}

# The newest CUDA that the driver runs: 13.0 as 13000.
driver_version() {
  python3 - <<'PY'
import ctypes
try:
    driver = ctypes.CDLL("libcuda.so.1")
    version = ctypes.c_int(0)
    print(version.value if driver.cuDriverGetVersion(ctypes.byref(version)) else version.value)
except OSError:
    print(0)
PY
}

fetch() { # FOLDER PACKAGES...
  folder=$1
  shift
  mkdir -p "$(dirname "$folder")"
  python3 -m venv "$folder.venv" || { echo "cuda: python3 cannot make an environment: apt-get install python3-venv" >&2; exit 1; }
  "$folder.venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$folder" "$@" ||
    { echo "cuda: the package index is out of reach" >&2; exit 1; }
}
fresh=$(dirname "$target")/cuda-packages.$$
trap 'rm -rf "$fresh" "$fresh.venv"' EXIT

if [ "${2:-}" = --nvdisasm ]; then
  [ -x "$target/bin/nvdisasm" ] && { echo "cuda: $target has nvdisasm"; exit 0; }
  [ -d "$target/bin" ] || { echo "cuda: no toolkit in $target: fetch that first, without --nvdisasm" >&2; exit 1; }
  fetch "$fresh" "$disassembler"
  mv "$fresh/nvidia/cu13/bin/nvdisasm" "$target/bin/"
  "$target/bin/nvdisasm" --version | tail -n 2 | head -n 1
  exit 0
fi
if [ -x "$target/bin/nvcc" ]; then
  echo "cuda: $target is there: $("$target/bin/nvcc" --version | tail -n 2 | head -n 1)"
  exit 0
fi
if command -v nvcc >/dev/null && [ "${2:-}" != --force ]; then
  echo "cuda: this machine has $(command -v nvcc): nothing to fetch"
  exit 0
fi
command -v python3 >/dev/null || { echo "cuda: python3 is needed to fetch packages" >&2; exit 1; }
version=$(driver_version)
if [ "${2:-}" != --force ]; then
  if [ "$version" = 0 ]; then
    echo "cuda: no NVIDIA driver on this machine; 'sh gpu/fetch_cuda.sh $target --force' fetches the toolkit all the same" >&2
    exit 1
  fi
  if [ "$version" -lt 13000 ]; then
    echo "cuda: this driver runs CUDA $((version / 1000)).$((version % 1000 / 10)); PyPI's compiler needs 13.0 (driver 580 or later)." >&2
    echo "cuda: update the driver, or install CUDA $((version / 1000))'s toolkit from NVIDIA" >&2
    exit 1
  fi
fi

echo "cuda: fetching compiler and libraries (about 1.5 GB unpacked)"
# shellcheck disable=SC2086
fetch "$fresh" $packages
root=$fresh/nvidia/cu13
[ -x "$root/bin/nvcc" ] || { echo "cuda: the packages hold no nvcc where it was expected ($root/bin)" >&2; exit 1; }
# Where a toolkit has them: headers and libraries of cuDNN and NCCL beside CUDA's, names without a version to link against.
for part in cudnn nccl; do
  cp -r "$fresh/nvidia/$part/include/." "$root/include/"
  mv "$fresh/nvidia/$part/lib/"* "$root/lib/"
done
for library in "$root"/lib/lib*.so.*; do
  plain=${library%%.so.*}.so
  [ -e "$plain" ] || ln -s "$(basename "$library")" "$plain"
done
[ -e "$root/lib64" ] || ln -s lib "$root/lib64"
rm -rf "$target"
mv "$root" "$target"
"$target/bin/nvcc" --version | tail -n 2 | head -n 1
echo "cuda: in $target; configure again and the build finds it"
