#!/bin/sh
# A Python environment with the reference implementations that some tests compare with. Without the
# package index those tests skip, loudly; nothing else needs it.
#   sh tests/kit/peers.sh build/peers [more packages]
# EnvPool is one of those more: with its assets it takes 740 MB unpacked. Tests say what they leave out.
set -u
folder=$1
shift
packages="clang-format==14.0.6 prometheus-client numpy tensorboard safetensors onnx onnxruntime gymnasium==1.4.0 opencv-python-headless==5.0.0.93 minatar==1.0.15 ale-py==0.12.1 mujoco==3.6.0 imageio mypy==2.4.1${*:+ $*}"
[ -n "${VLY_PYTHON:-}" ] && exit 0
[ "$(cat "$folder/packages" 2>/dev/null)" = "$packages" ] && exit 0
echo "peers: installing $packages into $folder"
python3 -m venv "$folder" >/dev/null 2>&1 || { echo "peers: python3 cannot make an environment (python3-venv); some tests will skip" >&2; exit 0; }
# shellcheck disable=SC2086
if "$folder/bin/pip" install --quiet --disable-pip-version-check $packages &&
  "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$folder/mujoco-3.3.7" mujoco==3.3.7; then
  echo "$packages" >"$folder/packages"
else
  echo "peers: the package index is out of reach; tests against the reference implementations will skip" >&2
fi
exit 0
