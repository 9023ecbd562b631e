#!/bin/sh
# A tarball that runs on a server without package access: the program, its libraries, tests, benchmarks.
#   sh gpu/bundle.sh build        writes volley-VERSION-COMMIT.tar.gz
set -eu
build=$1
name=volley-$("$build/volley" --version | sed 's/volley \([^ ]*\) (\([^)]*\)).*/\1-\2/')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root/bin" "$root/lib" "$root/tests"
cp "$build/volley" "$root/bin/"
[ -f "$build/libvolley_cuda.so" ] && cp "$build/libvolley_cuda.so" "$root/bin/"
find "$build" -maxdepth 1 -type f -perm -u+x \( -name 'test_*' -o -name 'grad_*' -o -name 'gpu_*' -o -name 'volley-bench' \) -exec cp {} "$root/tests/" \;
cp -r tests/golden "$root/tests/" 2>/dev/null || true
# Everything that is not the C library itself, whose version has to fit the kernel's loader.
for program in "$root"/bin/* "$root"/tests/test_* "$root"/tests/grad_*; do
  [ -f "$program" ] && ldd "$program" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' || true
done | sort -u | grep -vE '/(libc|libm|libdl|libpthread|librt|ld-linux[^/]*)\.so' | while read -r library; do cp -L "$library" "$root/lib/"; done
for library in build/cuda/lib/libcublas*.so.* build/cuda/lib/libcudnn*.so.* build/cuda/lib/libnccl.so.*; do
  [ -f "$library" ] && cp -L "$library" "$root/lib/" || true
done
cat >"$root/volley" <<'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$here/bin/volley" "$@"
END
cat >"$root/run-tests" <<'END'
#!/bin/sh
# Every test that does not need the source tree; the last line counts them.
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
cd "$here" || exit 1
passed=0 failed=0 skipped=0
for test in tests/test_* tests/grad_* tests/gpu_*; do
  [ -x "$test" ] && [ -f "$test" ] || continue
  "$test" >/dev/null 2>&1
  case $? in 0) passed=$((passed + 1)) ;; 77) skipped=$((skipped + 1)); echo "skipped $test" ;; *) failed=$((failed + 1)); echo "FAILED $test" ;; esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
END
chmod +x "$root/volley" "$root/run-tests"
cp README.md "$root/"
tar -C "$work" -czf "$name.tar.gz" "$name"
echo "$name.tar.gz: $(du -h "$name.tar.gz" | cut -f1)"
