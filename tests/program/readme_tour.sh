#!/bin/sh
# Runs the lines of README.md's "Five minutes" as they are written, in an empty folder.
#   sh tests/program/readme_tour.sh build/volley
set -u
volley=$(realpath "$1")
readme=$(realpath README.md)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/build" && ln -s "$volley" "$folder/build/volley" && cd "$folder" || exit 1
awk '/^## /{inside = /Five minutes/} inside && /^    build\/volley/' "$readme" | grep -v pong >lines
ran=0
while read -r line <&3; do
  command=$(printf '%s' "${line%%  #*}" | sed 's/ *$//') # how it ends says what it needs
  case $command in
  *.gif | *.mp4) needs=ffmpeg ;;
  *plot*) needs=gnuplot ;;
  *'| man'*) needs=man ;;
  *) needs=sh ;;
  esac
  command -v $needs >/dev/null || { echo "SKIPPED in part: no $needs for: $command" >&2; continue; }
  if ! timeout 200 sh -c "$command" </dev/null >out 2>err; then
    echo "README.md: this line fails: $command" >&2
    tail -n 5 out err >&2
    exit 1
  fi
  ran=$((ran + 1))
done 3<lines
[ $ran -ge 10 ] || { echo "README.md: only $ran lines of the tour were found" >&2; exit 1; }
echo "$ran lines of the tour ran"
