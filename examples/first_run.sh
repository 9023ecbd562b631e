#!/bin/sh
# `make run`: trains the job, evaluates the agent, says what to do next.
#   sh examples/first_run.sh build/volley cartpole --until-return 475
set -u
volley=$1
shift
out=runs/first-$(date +%Y%m%d-%H%M%S)
"$volley" train "$@" --out "$out"
code=$?
case $code in
0) ;;
3) echo "The target was not reached within the budget; the agent so far:" ;;
*) exit $code ;;
esac
printf '\nEvaluating it on fresh episodes ...\n'
"$volley" eval "$out" --episodes 20 || exit $?
cat <<END

What to do next
  train this agent further:      $volley resume $out --steps 1M
  something harder:              $volley train minatar/breakout
  what there is:                 $volley ls
  what this machine could do:    $volley doctor
  the curves:                    tensorboard --logdir runs
END
