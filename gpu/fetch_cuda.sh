#!/bin/sh
# A CUDA toolkit from PyPI into a folder, for machines without one: nvcc, headers, cuBLAS, cuDNN, NCCL.
#   sh gpu/fetch_cuda.sh build/cuda
# Versions are pinned; the major is 13, or what VLY_CUDA_MAJOR says (12 for drivers older than 580).
set -eu
folder=$1
major=${VLY_CUDA_MAJOR:-13}
case $major in
13) packages="nvidia-cuda-nvcc==13.* nvidia-cuda-crt==13.* nvidia-nvvm==13.* nvidia-cuda-cccl==13.* nvidia-cuda-runtime==13.* nvidia-cublas==13.* nvidia-cudnn-cu13 nvidia-nccl-cu13" ;;
12) packages="nvidia-cuda-nvcc-cu12 nvidia-cuda-cccl-cu12 nvidia-cuda-runtime-cu12 nvidia-cublas-cu12 nvidia-cudnn-cu12 nvidia-nccl-cu12" ;;
*) echo "cuda: VLY_CUDA_MAJOR is 12 or 13, not $major" >&2; exit 2 ;;
esac
if command -v nvcc >/dev/null && [ -z "${VLY_CUDA_MAJOR:-}" ]; then
  echo "cuda: this machine has $(command -v nvcc): nothing to fetch"
  exit 0
fi
[ -x "$folder/bin/nvcc" ] && { echo "cuda: $folder is here"; exit 0; }
mkdir -p "$folder.packages"
python3 -m venv "$folder.venv" || { echo "cuda: python3 cannot make an environment: apt-get install python3-venv" >&2; exit 1; }
echo "cuda: fetching $packages"
# shellcheck disable=SC2086
"$folder.venv/bin/pip" install --quiet --disable-pip-version-check --target "$folder.packages" $packages ||
  { echo "cuda: the package index is out of reach" >&2; exit 1; }
root=$folder.packages/nvidia
# One tree, as an installed toolkit is: bin, include, lib64, nvvm.
mkdir -p "$folder"
for part in "$root"/cu"$major" "$root"/*; do
  [ -d "$part" ] && cp -rns "$(cd "$part" && pwd)/." "$folder/" 2>/dev/null || true
done
[ -e "$folder/lib64" ] || ln -s lib "$folder/lib64"
for library in "$folder"/lib/*.so.*; do # the linker asks for names without a version
  plain=${library%%.so.*}.so
  [ -e "$plain" ] || ln -s "$(basename "$library")" "$plain"
done
"$folder/bin/nvcc" --version | tail -n 2
