#!/bin/sh
# `make run`: trains, evaluates the agent, says what to do next.
#   sh examples/first_run.sh build/volley auto                        Pong from pixels, or MinAtar without ROMs
#   sh examples/first_run.sh build/volley cartpole --until-return 475
set -u
volley=$1
shift
if [ "${1:-auto}" = auto ]; then
  if ! sh envs/atari/fetch_roms.sh; then
    echo "No Atari ROMs can be had here, so it is MinAtar breakout until its mean return is 20."
    set -- minatar/breakout --until-return 20
  elif ! "$volley" ls presets | grep -q '^  pong-'; then
    echo "Pong has no tuned preset for a processor alone yet and would take hours, so it is MinAtar breakout until its mean return is 20."
    set -- minatar/breakout --until-return 20
  else
    echo "Training Pong from pixels, until it wins 18 points more than it loses."
    set -- pong --until-return 18
  fi
  echo "Stop it with Ctrl-C at any time: it is saved, and can go on later."
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
