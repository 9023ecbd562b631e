# Every tests/ROOM/test_*.c is a test of that name, linked with all rooms that were built.
# A test exits 0 (passed), 77 (skipped, loudly) or anything else (failed).
set(patience 300) # seconds after which a test has hung
if(VLY_SANITIZE)
  set(patience 900)
endif()
file(GLOB test_sources CONFIGURE_DEPENDS tests/*/test_*.c)
foreach(source ${test_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE vly_envs)
  if(TARGET vly_cpu)
    target_link_libraries(${name} PRIVATE vly_cpu)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})
endforeach()
add_test(NAME check_layers COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR}
  -P ${PROJECT_SOURCE_DIR}/tests/check_layers.cmake)

# Environment plugins: the example that users start from, and some that must be refused.
foreach(plugin tests/plugins/factors examples/my_env examples/continuous_env examples/masked_env examples/two_player_env
    tests/plugins/bad_env tests/plugins/no_env tests/plugins/recall tests/plugins/hostile_env)
  get_filename_component(name ${plugin} NAME)
  add_library(plugin_${name} MODULE ${plugin}.c)
  target_link_libraries(plugin_${name} PRIVATE vly_options)
endforeach()
target_compile_definitions(test_env_plugin PRIVATE
  VLY_TEST_PLUGIN_GOOD="$<TARGET_FILE:plugin_my_env>"
  VLY_TEST_PLUGIN_BAD="$<TARGET_FILE:plugin_bad_env>"
  VLY_TEST_PLUGIN_NONE="$<TARGET_FILE:plugin_no_env>")
target_compile_definitions(test_learning_actions PRIVATE
  VLY_TEST_PLUGIN_FACTORS="$<TARGET_FILE:plugin_factors>" VLY_TEST_PLUGIN_MASKED="$<TARGET_FILE:plugin_masked_env>")
add_dependencies(test_learning_actions plugin_factors plugin_masked_env)
target_compile_definitions(test_learning_envs PRIVATE VLY_TEST_PLUGIN_RECALL="$<TARGET_FILE:plugin_recall>")
add_dependencies(test_learning_envs plugin_recall)
add_dependencies(test_env_plugin plugin_my_env plugin_bad_env plugin_no_env)
foreach(test test_spaces test_pool_players test_learning_players)
  target_compile_definitions(${test} PRIVATE VLY_TEST_PLUGIN_BOX="$<TARGET_FILE:plugin_continuous_env>"
    VLY_TEST_PLUGIN_MASKED="$<TARGET_FILE:plugin_masked_env>"
    VLY_TEST_PLUGIN_PLAYERS="$<TARGET_FILE:plugin_two_player_env>")
  add_dependencies(${test} plugin_continuous_env plugin_masked_env plugin_two_player_env)
endforeach()

target_compile_definitions(test_repeat PRIVATE VLY_TEST_PLUGIN_FACTORS="$<TARGET_FILE:plugin_factors>"
  VLY_TEST_PLUGIN_MASKED="$<TARGET_FILE:plugin_masked_env>" VLY_TEST_PLUGIN_PLAYERS="$<TARGET_FILE:plugin_two_player_env>")
add_dependencies(test_repeat plugin_factors plugin_masked_env plugin_two_player_env)

# Every tests/ROOM/grad_*.c is a finite-difference check: the same sources a second time with double numbers.
file(GLOB grad_sources CONFIGURE_DEPENDS tests/*/grad_*.c)
set(double_sources common/base/compute.c common/learn/net.c common/learn/net_init.c common/learn/orthogonal.c common/learn/net_exec.c common/base/status.c common/base/text.c cpu/machine/processors.c cpu/ops/compute_cpu.c cpu/ops/workers.c cpu/ops/layer.c cpu/ops/reference.c
  cpu/ops/maxpool.c cpu/ops/elementwise.c cpu/ops/lstm.c cpu/ops/lstm_product.c cpu/ops/gae.c cpu/ops/vtrace.c cpu/ops/policy_loss.c cpu/ops/dqn_loss.c cpu/ops/nstep.c cpu/ops/sample.c
  cpu/ops/gather.c cpu/ops/optimize.c cpu/ops/tree.c cpu/ops/fingerprint.c cpu/ops/dist.c cpu/ops/soft.c cpu/ops/normalize.c)
add_library(vly_double STATIC ${double_sources})
target_compile_definitions(vly_double PUBLIC VLY_REAL=double VLY_REAL_DOUBLE)
target_link_libraries(vly_double PUBLIC vly_options m Threads::Threads)
foreach(source ${grad_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE vly_double)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})
endforeach()

# The program as users see it.
target_compile_definitions(test_program PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>"
  VLY_TEST_PLUGIN="$<TARGET_FILE:plugin_my_env>" VLY_TEST_PLUGIN_BAD="$<TARGET_FILE:plugin_bad_env>"
  VLY_TEST_PLUGIN_PLAYERS="$<TARGET_FILE:plugin_two_player_env>" VLY_TEST_PLUGIN_FACTORS="$<TARGET_FILE:plugin_factors>")
add_dependencies(test_program volley plugin_my_env plugin_bad_env plugin_two_player_env plugin_factors)
target_compile_definitions(test_ls PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>"
  VLY_TEST_PLUGIN_PLAYERS="$<TARGET_FILE:plugin_two_player_env>")
add_dependencies(test_ls volley plugin_two_player_env)
target_compile_definitions(test_signals PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>"
  VLY_TEST_PLUGIN_BAD="$<TARGET_FILE:plugin_bad_env>")
add_dependencies(test_signals volley plugin_bad_env)
foreach(name test_hostile_plugin test_isolate)
  target_compile_definitions(${name} PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>"
    VLY_TEST_PLUGIN_HOSTILE="$<TARGET_FILE:plugin_hostile_env>")
  add_dependencies(${name} volley plugin_hostile_env)
endforeach()

# Atari against ale-py, which runs in a process of its own (tests/atari/lockstep.py).
add_executable(atari_driver tests/atari/driver.c)
target_link_libraries(atari_driver PRIVATE vly_envs)

# Every tests/ROOM/fuzz_*.c: its committed corpus is replayed as a test; with VLY_FUZZ (clang) it is a libFuzzer target.
option(VLY_FUZZ "Build tests/*/fuzz_*.c as libFuzzer targets" OFF)
file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/*/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(name ${source} NAME_WE)
  string(REPLACE fuzz_ "" subject ${name})
  if(VLY_FUZZ)
    add_executable(${name} ${source})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${source} tests/fuzz/replay.c)
    add_test(NAME ${name}_corpus COMMAND ${name} tests/fuzz/${subject} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
  target_link_libraries(${name} PRIVATE vly_envs)
  if(TARGET vly_cpu)
    target_link_libraries(${name} PRIVATE vly_cpu)
  endif()
endforeach()

# Distributed runs as users start them.
set_tests_properties(test_apex PROPERTIES TIMEOUT 900)
foreach(name test_apex test_store_cluster test_remote_run)
  target_compile_definitions(${name} PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>")
  add_dependencies(${name} volley)
endforeach()
target_compile_definitions(test_fleet PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>"
  VLY_TEST_PLUGIN_BAD="$<TARGET_FILE:plugin_bad_env>")
add_dependencies(test_fleet volley plugin_bad_env)
if(TARGET volley_mpi)
  add_dependencies(test_fleet volley_mpi)
endif()
add_executable(atari_steps tests/atari/steps.c)
target_link_libraries(atari_steps PRIVATE vly_envs)
# A few games and seconds; the whole comparison is `python tests/atari/lockstep.py` (envs/atari/README.md).
add_test(NAME atari_lockstep COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/atari/lockstep.py \
  --driver $<TARGET_FILE:atari_driver> --games pong,breakout,tetris,pacman,surround,elevator_action --frames 700 --sticky 0.25"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME atari_peers COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/atari/peers.py \
  --driver $<TARGET_FILE:atari_steps> --games breakout,seaquest --steps 300"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(atari_lockstep atari_peers PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})

# MuJoCo against Gymnasium, with the Python's own version of the library and with a second one beside it.
add_executable(mujoco_driver tests/mujoco/driver.c)
target_link_libraries(mujoco_driver PRIVATE vly_envs)
foreach(which first second)
  add_test(NAME mujoco_peers_${which} COMMAND sh tests/mujoco/peers.sh ${which} $<TARGET_FILE:mujoco_driver>
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(mujoco_peers_${which} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})
endforeach()

foreach(name test_estimate test_given test_stream_files test_odd_files test_page_start test_show test_tools test_whole_run test_eval test_manual test_bench_report test_repeat)
  target_compile_definitions(${name} PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>")
  add_dependencies(${name} volley)
endforeach()

set_tests_properties(test_fleet PROPERTIES TIMEOUT 900)

# Two kills of every kind of run; thousands by hand: python3 tests/run/kill9.py --kills 5000.
add_test(NAME kill9 COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/run/kill9.py --program $<TARGET_FILE:volley> --kills 32 --each 2"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(kill9 PROPERTIES TIMEOUT ${patience})

# The tour of the README, as it is written there.
add_test(NAME readme_tour COMMAND sh tests/program/readme_tour.sh $<TARGET_FILE:volley> WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(readme_tour PROPERTIES TIMEOUT 600)

add_test(NAME ci_counts COMMAND sh tests/program/ci_counts.sh WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})

# The monitor's page in a real browser; the server itself is under the sanitizers in test_http and test_monitor.
if(NOT VLY_SANITIZE AND NOT VLY_FUZZ)
  add_test(NAME monitor_page COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/monitor/click.py --volley $<TARGET_FILE:volley>"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(monitor_page PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})
endif()
add_test(NAME check_docs COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -P ${PROJECT_SOURCE_DIR}/tests/check_docs.cmake)
# kill -9 and SIGSTOP of everything: a few here, 200 by hand (tests/fleet/faults.py says how); separate hosts whose cables are pulled.
# Under a sanitizer learning is slow, and not what is tested.
if(VLY_SANITIZE)
  set(faults_args "--until 40 --process-limit 4000000000")
  set(namespaces_args "--until 40")
endif()
add_test(NAME faults COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/fleet/faults.py --program $<TARGET_FILE:volley> --faults 6 --per-run 3 ${faults_args}"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME namespaces COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/fleet/namespaces.py --program $<TARGET_FILE:volley> ${namespaces_args}"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
# Remote actors: a few faults here, 200 by hand.
add_test(NAME remote_faults COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/fleet/remote_faults.py --program $<TARGET_FILE:volley> --faults 4 ${faults_args}"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(faults namespaces remote_faults PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})
set_tests_properties(test_ranks test_mujoco PROPERTIES ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp")
if(TARGET volley_mpi)
  add_dependencies(test_ranks volley_mpi)
else()
  target_compile_definitions(test_ranks PRIVATE VLY_NO_MPI)
endif()

target_compile_definitions(test_bench PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>")
target_link_libraries(test_bench PRIVATE vly_bench)
add_dependencies(test_bench volley)
if(TARGET volley_cuda_shim AND NOT VLY_SANITIZE)
  target_compile_definitions(test_bench PRIVATE VLY_TEST_SHIM_PLUGIN="$<TARGET_FILE:volley_cuda_shim>")
  add_dependencies(test_bench volley_cuda_shim)
endif()

# The driver's management library, played (tests/machine/test_gpu_use.c).
add_library(plugin_nvml MODULE tests/plugins/nvml.c)
target_link_libraries(plugin_nvml PRIVATE vly_options)
target_compile_definitions(test_gpu_use PRIVATE VLY_TEST_NVML="$<TARGET_FILE:plugin_nvml>" VLY_TEST_NOT_NVML="$<TARGET_FILE:plugin_no_env>")
add_dependencies(test_gpu_use plugin_nvml plugin_no_env)
add_test(NAME check_format COMMAND sh tests/check_format.sh WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(check_format PROPERTIES SKIP_RETURN_CODE 77)
add_test(NAME check_names COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -P ${PROJECT_SOURCE_DIR}/tests/check_names.cmake)

# libvolley as other programs use it. The library is built with the tests' sanitizers, and so are the programs that load it.
foreach(name test_vec test_vec_columns test_abi test_trainer test_hosted)
  target_link_libraries(${name} PRIVATE libvolley)
endforeach()
target_compile_definitions(test_vec_columns PRIVATE VLY_TEST_PLUGIN_BAD="$<TARGET_FILE:plugin_bad_env>"
  VLY_TEST_PLUGIN_MASKED="$<TARGET_FILE:plugin_masked_env>" VLY_TEST_PLUGIN_PLAYERS="$<TARGET_FILE:plugin_two_player_env>")
add_dependencies(test_vec_columns plugin_bad_env plugin_masked_env plugin_two_player_env)
add_test(NAME library_exports COMMAND sh tests/library/exports.sh $<TARGET_FILE:libvolley> ${CMAKE_NM}
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
if(NOT VLY_SANITIZE AND NOT VLY_FUZZ)
  add_test(NAME library_installed COMMAND sh tests/library/installed.sh ${PROJECT_BINARY_DIR} ${CMAKE_C_COMPILER} ${CMAKE_INSTALL_LIBDIR}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  # The Python package over that library, in the peers' Python; all games: tests/python/peers.py --games all.
  add_test(NAME python_sb3 COMMAND sh -c "\"\${VLY_PYTHON:-python3}\" -c 'import stable_baselines3' || { echo 'SKIPPED: no stable-baselines3'; exit 77; }
    exec \"\${VLY_PYTHON:-python3}\" examples/sb3_volley.py --steps 1024" WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(python_sb3 PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience}
    ENVIRONMENT "PYTHONPATH=${PROJECT_SOURCE_DIR}/python;VOLLEY_LIBRARY=$<TARGET_FILE:libvolley>;PYTHONDONTWRITEBYTECODE=1")
  set(python_peers_words --envs 2 --steps 60 --seeds 1)
  set(python_players_words $<TARGET_FILE:plugin_two_player_env>)
  foreach(name vectors habits peers training custom atari_vector imports players stress)
    add_test(NAME python_${name} COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/python/${name}.py \$*" -- ${python_${name}_words} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(python_${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience}
      ENVIRONMENT "PYTHONPATH=${PROJECT_SOURCE_DIR}/python;VOLLEY_LIBRARY=$<TARGET_FILE:libvolley>;PYTHONDONTWRITEBYTECODE=1")
  endforeach()
  add_test(NAME python_types COMMAND sh -c "\"\${VLY_PYTHON:-python3}\" -c 'import mypy' || { echo 'SKIPPED: no mypy'; exit 77; }
    exec \"\${VLY_PYTHON:-python3}\" -m mypy --strict --cache-dir ${PROJECT_BINARY_DIR}/mypy" WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/python)
  set_tests_properties(python_types PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience})
  foreach(peer ale envpool)
    add_test(NAME python_equality_${peer} COMMAND sh -c "exec \"\${VLY_PYTHON:-python3}\" tests/python/peers.py --replay tests/python/peers.json --peer ${peer}"
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(python_equality_${peer} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${patience}
      ENVIRONMENT "PYTHONPATH=${PROJECT_SOURCE_DIR}/python;VOLLEY_LIBRARY=$<TARGET_FILE:libvolley>;PYTHONDONTWRITEBYTECODE=1")
  endforeach()
endif()
