#!/bin/sh
# Runs the lines of README.md's "Five minutes" as they are written, in an empty folder. A line that needs a program or a ROM
# which is not here is named and left out; any other has to exit 0.
#   sh tests/program/readme_tour.sh build/volley
set -u
volley=$(realpath "$1")
readme=$(realpath README.md)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/build" && ln -s "$volley" "$folder/build/volley" && cd "$folder" || exit 1
awk '/^## /{inside = /Five minutes/} inside && /^    [^ ]/' "$readme" >lines

# missing COMMAND: what the line needs and this machine lacks; nothing when it can run.
missing() {
  case $1 in
  *.gif | *.mp4) needs=ffmpeg ;;
  *' plot '*) needs=gnuplot ;;
  *'| man'*) needs=man ;;
  *) needs=sh ;;
  esac
  command -v $needs >/dev/null || echo "no $needs"
  case $1 in
  *pong*) build/volley trace pong --random 1 >/dev/null 2>&1 || echo "no ROM of Pong (make roms)" ;;
  esac
}

ran=0 left_out=0
while read -r line <&3; do
  command=$(printf '%s' "${line%%  #*}" | sed 's/ *$//')
  why=$(missing "$command")
  if [ -n "$why" ]; then
    echo "SKIPPED in part: README.md: $why for: $command" >&2
    left_out=$((left_out + 1))
    continue
  fi
  if ! timeout 200 sh -c "$command" </dev/null >out 2>err; then
    echo "README.md: this line fails: $command" >&2
    tail -n 5 out err >&2
    exit 1
  fi
  ran=$((ran + 1))
done 3<lines
[ $((ran + left_out)) -ge 14 ] || { echo "README.md: only $((ran + left_out)) lines of the tour were found" >&2; exit 1; }
echo "$ran lines of the tour ran, $left_out left out"
