/* arena.h -- device memory: taken from the driver in large chunks at start-up, handed out from
 * them.
 *
 *   VLY_TRY(vly_arena_alloc(&arena, bytes, "replay frames", "--replay.bytes", &frames));
 *
 * Memory is zeroed and aligned to 256 bytes. When it does not fit, the message names the amount,
 * what it was for, and which option lowers it. Freed memory is used again when a whole chunk is
 * free. Thread-safe. With VLY_ARENA_CHUNK_MIB=0 in the environment every allocation is the driver's
 * own: what compute-sanitizer needs to see an access beyond one, and what the shim does always.
 */
#ifndef VLY_GPU_ARENA_H
#define VLY_GPU_ARENA_H
#include <pthread.h>
#include "kernels/launch.h"

typedef struct vly_chunk vly_chunk;

typedef struct {
    pthread_mutex_t lock;
    vly_chunk *chunks;
    size_t chunk_bytes;  /* 0: one chunk per allocation */
    size_t taken_bytes;  /* from the driver */
    cudaStream_t stream; /* for zeroing */
    int index;           /* of the device; threads select it before they allocate */
    char device[128];    /* its name, for messages */
} vly_arena;

/* Of the current device. */
vly_status vly_arena_init(vly_arena *arena, const char *device_name);
/* Frees everything. None of the memory may be in use. */
void vly_arena_close(vly_arena *arena);
vly_status vly_arena_alloc(vly_arena *arena, size_t bytes, const char *what, const char *option,
                           void **out);
void vly_arena_free(vly_arena *arena, void *memory);
#endif
