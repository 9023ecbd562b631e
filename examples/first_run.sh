#!/bin/sh
# `make run`: trains, evaluates the agent, says what to do next.
#   sh examples/first_run.sh build/volley auto                        Pong from pixels where that takes less than 5 minutes,
#                                                                     else, or without ROMs, MinAtar breakout
#   sh examples/first_run.sh build/volley cartpole --until-return 475
set -u
volley=$1
shift
minutes=5
if [ "${1:-auto}" = auto ]; then
  pong='pong --until-return 18' minatar='minatar/breakout --until-return 20'
  if ! sh envs/atari/fetch_roms.sh; then
    echo "No Atari ROMs can be had here, so it is MinAtar breakout until its mean return is 20."
    job=$minatar other=
  else
    echo "Measuring how long Pong takes here ..."
    "$volley" estimate $pong --within $((60 * minutes))
    case $? in
    0)
      echo "Training Pong from pixels, until it wins 18 points more than it loses."
      job=$pong other=$minatar
      ;;
    3)
      echo "That is more than $minutes minutes, so it is MinAtar breakout until its mean return is 20."
      job=$minatar other=$pong
      ;;
    *) exit 1 ;;
    esac
  fi
  [ -z "$other" ] || echo "The other job: make run JOB=\"$other\""
  echo "Stop it with Ctrl-C at any time: it is saved, and can go on later."
  # shellcheck disable=SC2086
  set -- $job
fi
out=runs/first-$(date +%Y%m%d-%H%M%S)
"$volley" train "$@" --out "$out"
code=$?
case $code in
0) ;;
3) echo "The target was not reached within the budget; the agent so far:" ;;
*) exit $code ;; # interrupted: the program has said how to go on
esac
printf '\nEvaluating it on fresh episodes ...\n'
"$volley" eval "$out" --episodes 20 || exit $?
cat <<END

What to do next
  train this agent further:      $volley resume $out --steps 20M --until-return none
  solve CartPole in a second:    $volley train cartpole --until-return 475
  what there is:                 $volley ls
  what this machine could do:    $volley doctor
  the curve:                     $volley plot $out --out curve.png        (gnuplot; or tensorboard --logdir runs)
  take it elsewhere:             $volley export $out --format onnx
END
