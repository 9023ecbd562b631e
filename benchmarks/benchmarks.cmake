# benchmarks/: suites (library vly_bench, for `volley bench` too) and build/volley-bench.
file(GLOB bench_sources CONFIGURE_DEPENDS benchmarks/bench_*.c)
add_library(vly_bench STATIC ${bench_sources})
target_link_libraries(vly_bench PUBLIC vly_cpu)
add_executable(volley-bench benchmarks/bench.c)
target_link_libraries(volley-bench PRIVATE vly_bench)
target_link_libraries(volley PRIVATE vly_bench)
# The 2600 alone, a line per ROM: benchmarks/compare_atari.py sets it beside ALE.
add_executable(atari_raw benchmarks/atari_raw.c)
target_link_libraries(atari_raw PRIVATE vly_envs)
