#!/bin/sh
# The last line of .ci/run counts what failed inside of each step, also where another program had the last word: every program
# that it starts is a small script here, and the tree an empty one.
set -eu
fakes=$(mktemp -d)
trap 'rm -rf "$fakes"' EXIT
program() { cat >"$fakes/$1" && chmod +x "$fakes/$1"; }
program make <<'END'
#!/bin/sh
echo "  skipped: something: it is not here"
echo "5 passed, 2 failed, 1 skipped"
echo "make: *** [Makefile:1: test] Error 1"
exit 2
END
program cmake <<'END'
#!/bin/sh
exit 0
END
program sh <<'END'
#!/bin/sh
echo "3 passed, 1 failed, 2 skipped"
exit 1
END
program timeout <<'END'
#!/bin/sh
case $* in *fetch*) exit 0 ;; esac
echo "4 passed, 0 failed"
exit 1
END
mkdir "$fakes/.ci" "$fakes/kernels"
cp .ci/run "$fakes/.ci"
code=0
said=$(PATH="$fakes:$PATH" "$fakes/.ci/run" 2>&1) || code=$?
last=$(echo "$said" | tail -n 1)
[ "$code" -eq 1 ] && [ "$last" = "16 passed, 5 failed, 6 skipped" ] && exit 0
echo "$said"
echo "exit code $code; the last line was '$last'"
exit 1
