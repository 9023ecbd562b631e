/* actor_list.h -- who steps the environments of a run, as RUN/actors.json: for `volley cluster status
 * RUN` and the live page. Replaced while the run goes on; the last one stays.
 *
 *   {"time": 1790000000.5, "listen": "tcp://0.0.0.0:7400", "connected": 2, "environments": 64,
 *    "slow": 0, "lost": 1, "late": 0, "refused": 0, "round_trip_p50_ms": 0.4,
 *    "round_trip_p99_ms": 1.9, "actors": [{"name": "host:4711", "state": "serving",
 *    "environments": 32, "round_trip_ms": 0.4, "heard_s": 0.001, "packed": false, "rows": 51200}]}
 */
#ifndef VLY_CPU_RUN_ACTOR_LIST_H
#define VLY_CPU_RUN_ACTOR_LIST_H
#include "common/base/status.h"
#include "cpu/actors/remote.h"

#define VLY_ACTOR_LIST "actors.json"

/* listen: where they connect to. */
vly_status vly_actor_list_write(const char *folder, const char *listen,
                                const vly_remote_stats *stats);
#endif
