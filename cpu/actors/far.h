/* far.h -- what a checkpoint holds of actors that are stepped elsewhere (cpu/actors/remote.h): which
 * seeds were used. The head, then uint32_t draws[actors].
 */
#ifndef VLY_CPU_ACTORS_FAR_H
#define VLY_CPU_ACTORS_FAR_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/base/count.h"
#include "common/base/status.h"

/* Seeds that an actor may draw before it uses those of whoever goes on after it. */
enum { VLY_FAR_DRAWS_OF_A_LIFE = 1 << 16 };

typedef struct {
    char magic[8];
    uint32_t version, actors;
    int64_t episodes;
} vly_far_head;

static inline size_t vly_far_bytes(int actors) {
    return sizeof(vly_far_head) + (size_t)actors * sizeof(uint32_t);
}

static inline vly_far_head vly_far_make(int actors, int64_t episodes) {
    return (vly_far_head){"vlyfar", 1, (uint32_t)actors, episodes};
}

static inline vly_status vly_far_read(vly_far_head *head, int actors, const void *from,
                                      size_t bytes) {
    if (bytes != vly_far_bytes(actors))
        return vly_fail(VLY_ECORRUPT, "the snapshot of the remote actors has %zu bytes, not %zu",
                        bytes, vly_far_bytes(actors));
    memcpy(head, from, sizeof *head);
    return memcmp(head->magic, "vlyfar", 7) == 0 && head->version == 1 &&
                   head->actors == (uint32_t)actors && vly_is_count(head->episodes)
               ? VLY_OK
               : vly_fail(VLY_ECORRUPT, "not a snapshot of %d remote actors", actors);
}
#endif
