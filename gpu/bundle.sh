#!/bin/sh
# Packs what a GPU server needs to train, test and benchmark without compiler or package access: program, plugin, the
# libraries that such a server does not have, GPU tests, scripts, and Pong's ROM where this machine has it. cuBLAS, cuDNN
# and the C library are taken from the server (gpu/find_library.h says where they are looked for).
#
#   make bundle                          -> volley-VERSION-cuda.tar.gz for the H100 and H200 (90a-real)
#   VLY_CUDA_ARCHS=all make bundle       for every card from Turing to Blackwell: larger
#   tar xzf volley-*.tar.gz && cd volley-* && sh benchmarks/gpu_session.sh --plan A --out results
set -eu
cd "$(dirname "$0")/.."
build=${BUNDLE_BUILD:-build-bundle}
version=$(sed -n 's/^project(volley VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=volley-$version-cuda
archs=${VLY_CUDA_ARCHS:-90a-real}

cmake -S . -B "$build" -G Ninja -DVLY_NATIVE=OFF -DVLY_CUDA_ARCHS="$archs" ${CMAKE_FLAGS:-} >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
grep -q '^CMAKE_CUDA_COMPILER:[A-Z]*=/' "$build/CMakeCache.txt" || { echo "bundle: no CUDA compiler; make cuda fetches one" >&2; exit 1; }
cmake --build "$build" >>"$build.log" 2>&1 || { tail -n 40 "$build.log"; exit 1; }

root=$build/$name
rm -rf "$root"
mkdir -p "$root/bin" "$root/lib" "$root/tests" "$root/benchmarks/results" "$root/common/config"
cp "$build/volley" "$build/volley-bench" "$build/libvolley_cuda.so" "$root/bin/"
# gpu_cudnn_plans asks the build machine's library, and would carry every kernel a second time.
find "$build" -maxdepth 1 -type f -perm -u+x ! -name gpu_cudnn_plans \( -name 'test_*' -o -name 'grad_*' -o -name 'gpu_*' \) -exec cp {} "$root/tests/" \;
cp "$build"/libfake_*.so "$build/libvolley_cuda_shim.so" "$root/tests/" # what stands for NVIDIA's libraries and for a device, in tests and rehearsals
cp -r tests/golden "$root/tests/" 2>/dev/null || true
cp benchmarks/gpu_session.sh benchmarks/vs_pytorch.py benchmarks/measured.py "$root/benchmarks/"
git rev-parse HEAD >"$root/COMMIT" 2>/dev/null || echo unknown >"$root/COMMIT"
cp README.md LICENSE "$root/"
cp common/config/OPTIONS.md "$root/common/config/" # test_config compares it with the program
# Libraries beyond the C library and the compiler's, found again through the program's own search path.
for program in "$root"/bin/* "$root"/tests/test_* "$root"/tests/grad_* "$root"/tests/gpu_*; do ldd "$program" 2>/dev/null || true; done | awk '/=> \//{print $3}' | sort -u |
  grep -v -E '/(libc|libm|libdl|librt|libpthread|libresolv|libutil|ld-linux[^/]*)\.so' | while read -r library; do cp -L "$library" "$root/lib/"; done
for program in volley volley-bench; do
  cat >"$root/$program" <<RUN
#!/bin/sh
# Runs the program with the libraries of this bundle.
here=\$(cd "\$(dirname "\$0")" && pwd)
LD_LIBRARY_PATH=\$here/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec "\$here/bin/$program" "\$@"
RUN
  chmod +x "$root/$program"
done
# A ROM is known by its checksum, whatever its name (envs/atari/games.c).
pong=$(sed -n 's/^ *{"pong", "\([0-9a-f]*\)".*/\1/p' envs/atari/games.c)
for rom in "${VOLLEY_ROMS:-${XDG_CACHE_HOME:-$HOME/.cache}/volley/roms}"/*; do
  [ -f "$rom" ] && [ "$(md5sum <"$rom" | cut -d ' ' -f 1)" = "$pong" ] || continue
  mkdir -p "$root/roms"
  cp "$rom" "$root/roms/"
done
[ -d "$root/roms" ] || echo "bundle: Pong's ROM was not found (make roms): gpu_session.sh will not play Pong" >&2
cat >"$root/run-tests" <<'RUN'
#!/bin/sh
# Every test that does not need the source tree; the last line counts them.
here=$(cd "$(dirname "$0")" && pwd)
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" VLY_CUDA_PLUGIN="$here/bin/libvolley_cuda.so"
cd "$here" || exit 1
passed=0 failed=0 skipped=0
for test in tests/test_* tests/grad_* tests/gpu_*; do
  [ -x "$test" ] && [ -f "$test" ] || continue
  "$test" >/dev/null 2>&1
  case $? in
  0) passed=$((passed + 1)) ;;
  77) skipped=$((skipped + 1)) && echo "skipped $test" ;;
  *) failed=$((failed + 1)) && echo "FAILED $test" ;;
  esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
RUN
chmod +x "$root/run-tests"
tar -C "$build" -czf "$name.tar.gz" "$name"
bytes=$(wc -c <"$name.tar.gz") most=$((64 * 1024 * 1024))
[ "$bytes" -le $most ] || { echo "bundle: $name.tar.gz has $bytes bytes; more than $most are not carried to a server" >&2; exit 1; }
echo "bundle: $name.tar.gz, $(du -h "$name.tar.gz" | cut -f 1), for $archs"
