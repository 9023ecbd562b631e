#include "common/learn/memories.h"

void *vly_memories_take(vly_memories *m, bool host, int64_t n, size_t size, const char *what,
                        vly_status *status) {
    void *memory = NULL;
    if (*status == VLY_OK && m->count == VLY_MEMORIES_MAX)
        *status = vly_fail(VLY_EINVAL, "more than %d arrays of one algorithm", VLY_MEMORIES_MAX);
    if (*status != VLY_OK) return NULL;
    *status = host ? m->c->alloc_host(m->c, (size_t)n * size, what, &memory)
                   : m->c->alloc(m->c, (size_t)n * size, what, m->option, &memory);
    if (*status != VLY_OK) return NULL;
    m->on_host[m->count] = host;
    return m->memory[m->count++] = memory;
}

void vly_memories_give_back(vly_memories *m) {
    for (int i = 0; i < m->count; i++)
        if (m->on_host[i])
            m->c->free_host(m->c, m->memory[i]);
        else
            m->c->free(m->c, m->memory[i]);
    m->count = 0;
}
