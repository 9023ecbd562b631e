/* ps_wire.h -- the parameter server's formats in the store: little-endian, fixed size, checked
 * on arrival. */
#ifndef VLY_CPU_FLEET_PS_WIRE_H
#define VLY_CPU_FLEET_PS_WIRE_H
#include <stdint.h>
#include "common/base/compute.h"

#define WIRE_PARAMS "params" /* wire_params, then n floats */
#define WIRE_PUSHES "pushes" /* list of wire_push, then count floats (WIRE_UNROLL: count bytes) */
#define WIRE_WAKE "wake:%s"  /* list that a worker waits on: a token for each push taken */
#define WIRE_CONFIG "config" /* the run's configuration as YAML */
enum { WIRE_MAGIC_PARAMS = 0x31504c56, WIRE_MAGIC_PUSH = 0x31474c56, WIRE_RETURNS = 64 };
enum { WIRE_STOP = 1 }; /* flags of wire_params */
enum { WIRE_GRADIENT, WIRE_WEIGHTS, WIRE_UNROLL };

typedef struct {
    uint32_t magic, flags;
    int64_t version, n, steps, total_steps;
    /* of the learner's process: after a restart, versions may be lower */
    uint64_t incarnation;
    int64_t gradients; /* applied to the weights so far */
    int64_t spare;
} wire_params;

typedef struct {
    uint32_t magic, kind;
    char worker[32];
    uint64_t seq;  /* from 1 in each life */
    uint64_t life; /* of the worker's process */
    int64_t base;  /* version of the weights it was computed from */
    int64_t steps; /* agent steps since the last push */
    /* done: agent steps of this life, these included; the difference to `done` of the push
     * before shows lost steps */
    int64_t done;
    int64_t samples;          /* FEDAVG: its weight in the mean */
    int64_t n, offset, count; /* this part: `count` floats at `offset` of n */
    int32_t part, parts, returns;
    float score[WIRE_RETURNS];
    vly_hyper hyper;
} wire_push;
#endif
