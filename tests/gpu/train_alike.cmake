cmake_minimum_required(VERSION 3.25)
# Trains with the CPU back end and with the CUDA back end on the shim: the same episodes and returns, and the same bytes of
# every environment's state at the end, so all actions were the same.
# cmake -DVOLLEY=... -DPLUGIN=... -DFOLDER=... -DCASES=small|images -P train_alike.cmake
# environment|algorithm|steps|options; with `copied` the device cannot write host memory
set(small
  "cartpole|ppo|1600|--run.precision fp32 --ppo.overlap off"
  "cartpole|ppo|1600|--run.precision fp32 --ppo.overlap on"
  "cartpole|a2c|1000|--run.precision fp32"
  "cartpole|ppo|800|--run.precision fp32 --net.lstm 16 --ppo.overlap off"
  "cartpole|dqn|1200|--run.precision fp32"
  "cartpole|sac|600|--run.precision fp32 --sac.learning_starts 200"
  "cartpole|dqn|600|--run.precision fp32|copied"
  "cartpole|a2c|600|--run.precision fp32|copied"
  "cartpole|impala|400|--run.precision fp32 --pool.schedule sync|copied"
  "cartpole|impala|1200|--run.precision fp32 --pool.schedule sync"
  "minatar/breakout|a2c|120|--run.precision fp32")
set(images
  "minatar/breakout|impala|120|--run.precision bf16 --pool.schedule sync --impala.rollout 5"
  "pong|a2c|20|--run.precision fp32 --net.kind a3c --net.hidden 16 --net.centre 0.34 --run.envs 2 --env.max_steps 8"
  "pong|a2c|20|--run.precision bf16 --net.kind a3c --net.hidden 16 --net.centre 0.34 --run.envs 2 --env.max_steps 8")
set(alike_tensors train.pool train.returns train.lengths)
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
set(ENV{VLY_CUDA_PLUGIN} ${PLUGIN})

# `out`: the last line of a command's output as JSON; empty, and the words in `log`, if it failed.
function(run_volley out log)
  execute_process(COMMAND ${VOLLEY} ${ARGN} --json RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE words)
  string(REGEX MATCH "{.*}" text "${text}")
  if(NOT code EQUAL 0)
    set(text "")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
  set(${log} "${words}" PARENT_SCOPE)
endfunction()

# The run's results, then the checksums of the tensors that have to be alike.
function(train out log device env algo steps options)
  string(MAKE_C_IDENTIFIER "${env}-${algo}-${options}-${steps}-${device}" name)
  if(NOT options MATCHES "--run.envs")
    string(APPEND options " --run.envs 8")
  endif()
  separate_arguments(options)
  run_volley(result words train ${env} --algo ${algo} --seed 3 --steps ${steps} --device ${device} ${options} --out ${FOLDER}/${name})
  set(${log} "${words}" PARENT_SCOPE)
  set(${out} "" PARENT_SCOPE)
  if(result STREQUAL "")
    return()
  endif()
  foreach(key steps updates episodes return_mean_100)
    string(JSON value GET "${result}" ${key})
    list(APPEND values "${key} ${value}")
  endforeach()
  run_volley(checkpoint words inspect ${FOLDER}/${name})
  string(JSON last LENGTH "${checkpoint}" tensors)
  math(EXPR last "${last} - 1")
  foreach(i RANGE ${last})
    string(JSON tensor GET "${checkpoint}" tensors ${i})
    string(JSON name GET "${tensor}" name)
    if(name IN_LIST alike_tensors)
      string(JSON sum GET "${tensor}" xxh3)
      list(APPEND values "${name} ${sum}")
    endif()
  endforeach()
  set(${out} "${values}" PARENT_SCOPE)
endfunction()

foreach(case IN LISTS ${CASES})
  string(REPLACE "|" ";" case "${case}")
  list(POP_FRONT case env algo steps options)
  unset(ENV{VLY_SHIM_UNMAPPED})
  if(case STREQUAL "copied")
    set(ENV{VLY_SHIM_UNMAPPED} 1)
  endif()
  train(cpu words cpu ${env} ${algo} ${steps} "${options}")
  if(cpu STREQUAL "" AND words MATCHES "make roms")
    message("SKIPPED in part: ${env} ${algo}: no ROM")
    continue()
  elseif(cpu STREQUAL "")
    message(FATAL_ERROR "${env} ${algo} on the CPU failed:\n${words}")
  endif()
  train(cuda words cuda ${env} ${algo} ${steps} "${options}")
  if(NOT cpu STREQUAL cuda)
    message(FATAL_ERROR "${env} ${algo} ${options}: on CUDA ${cuda}\non the CPU ${cpu}\n${words}")
  endif()
  list(LENGTH cpu facts)
  if(NOT facts EQUAL 7)
    message(FATAL_ERROR "${env} ${algo}: expected 7 facts, got ${cpu}")
  endif()
  list(GET cpu 2 episodes)
  message("${env} ${algo} ${options}: ${steps} steps alike, ${episodes}")
endforeach()
