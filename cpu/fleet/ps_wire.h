/* ps_wire.h -- what lies in the store for a parameter server. Little-endian, fixed size, checked
 * on arrival. */
#ifndef VLY_CPU_FLEET_PS_WIRE_H
#define VLY_CPU_FLEET_PS_WIRE_H
#include <stdint.h>
#include "common/base/compute.h"

#define WIRE_PARAMS "params" /* wire_params, then n floats */
#define WIRE_PUSHES "pushes" /* list of wire_push, then count floats (WIRE_UNROLL: count bytes) */
#define WIRE_WAKE "wake:%s"  /* list a worker waits on: a token per version */
#define WIRE_CONFIG "config" /* the run's configuration as YAML */
enum { WIRE_MAGIC_PARAMS = 0x31504c56, WIRE_MAGIC_PUSH = 0x31474c56, WIRE_RETURNS = 64 };
enum { WIRE_STOP = 1 }; /* flags of wire_params */
enum { WIRE_GRADIENT, WIRE_WEIGHTS, WIRE_UNROLL };

typedef struct {
    uint32_t magic, flags;
    int64_t version, n, steps, total_steps;
    uint64_t incarnation; /* of the learner's process: a restarted one may count from an older
                             version */
    int64_t gradients;    /* that the weights have seen */
    int64_t spare;
} wire_params;

typedef struct {
    uint32_t magic, kind;
    char worker[32];
    uint64_t seq;  /* of this worker's life, from 1 */
    uint64_t life; /* a restarted worker has another one */
    int64_t base;  /* version that the gradient was computed from */
    int64_t steps; /* agent steps since the last push */
    int64_t done;  /* agent steps of this life, with these: what was lost on the way is known by it
                    */
    int64_t samples;          /* FEDAVG: weight in the mean */
    int64_t n, offset, count; /* this part: count floats at offset of n */
    int32_t part, parts, returns;
    float score[WIRE_RETURNS];
    vly_hyper hyper;
} wire_push;
#endif
