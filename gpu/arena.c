#include "gpu/arena.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256, CHUNK_MIB = 64 };

struct vly_chunk {
    vly_chunk *next;
    char *base;
    size_t bytes, used;
    int live; /* allocations in it */
};

vly_status vly_arena_init(vly_arena *a, const char *device_name) {
    memset(a, 0, sizeof *a);
    const char *mib = getenv("VLY_ARENA_CHUNK_MIB");
    a->chunk_bytes = (size_t)(mib ? strtoul(mib, NULL, 10) : CHUNK_MIB) << 20;
#ifdef VLY_SHIM
    a->chunk_bytes = 0;
#endif
    strncpy(a->device, device_name, sizeof a->device - 1);
    int least, greatest;
    VLY_CUDA_TRY(cudaGetDevice(&a->index));
    VLY_CUDA_TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    VLY_CUDA_TRY(cudaStreamCreateWithPriority(&a->stream, cudaStreamNonBlocking, least));
    pthread_mutex_init(&a->lock, NULL);
    return VLY_OK;
}

void vly_arena_close(vly_arena *a) {
    while (a->chunks) {
        vly_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        cudaFree(chunk->base);
        free(chunk);
    }
    if (!a->stream) return;
    cudaStreamDestroy(a->stream);
    pthread_mutex_destroy(&a->lock);
    memset(a, 0, sizeof *a);
}

static const char *amount(size_t bytes, char text[32]) {
    if (bytes >= (size_t)10 << 30)
        snprintf(text, 32, "%.1f GiB", (double)bytes / (1 << 30));
    else if (bytes >= (size_t)10 << 20)
        snprintf(text, 32, "%.0f MiB", (double)bytes / (1 << 20));
    else
        snprintf(text, 32, "%zu bytes", bytes);
    return text;
}

static vly_status does_not_fit(const vly_arena *a, size_t bytes, const char *what,
                               const char *option) {
    size_t free_bytes = 0, total_bytes = 0;
    char want[32], have[32], all[32], ours[32];
    cudaGetLastError(); /* clears the error, which is not sticky */
    cudaMemGetInfo(&free_bytes, &total_bytes);
    return vly_fail(VLY_ENOMEM, "%s: %s do not fit on %s: %s of %s are free, this run holds %s%s%s",
                    what ? what : "a buffer", amount(bytes, want), a->device,
                    amount(free_bytes, have), amount(total_bytes, all),
                    amount(a->taken_bytes, ours), option ? "; lower " : "", option ? option : "");
}

/* A chunk with `bytes` free, allocated if there is none; NULL if there is no memory. */
static vly_chunk *chunk_for(vly_arena *a, size_t bytes) {
    for (vly_chunk *c = a->chunks; c; c = c->next)
        if (c->bytes - c->used >= bytes && (a->chunk_bytes || c->used == 0)) return c;
    vly_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) return NULL;
    chunk->bytes = bytes < a->chunk_bytes ? a->chunk_bytes : bytes;
    cudaError_t error = cudaMalloc((void **)&chunk->base, chunk->bytes);
    if (error == cudaErrorMemoryAllocation && chunk->bytes > bytes) {
        cudaGetLastError();
        chunk->bytes = bytes;
        error = cudaMalloc((void **)&chunk->base, chunk->bytes);
    }
    if (error != cudaSuccess) {
        free(chunk);
        return NULL;
    }
    a->taken_bytes += chunk->bytes;
    chunk->next = a->chunks;
    a->chunks = chunk;
    return chunk;
}

static vly_status zero_memory(vly_arena *a, void *memory, size_t bytes) {
    VLY_CUDA_TRY(cudaMemsetAsync(memory, 0, bytes, a->stream));
    VLY_CUDA_TRY(cudaStreamSynchronize(a->stream));
    return VLY_OK;
}

vly_status vly_arena_alloc(vly_arena *a, size_t bytes, const char *what, const char *option,
                           void **out) {
    *out = NULL;
    VLY_CUDA_TRY(cudaSetDevice(a->index));
    if (bytes > SIZE_MAX / 2)
        return vly_fail(VLY_EINVAL, "%s: a size of %zu bytes", what ? what : "a buffer", bytes);
    /* An allocation of its own keeps its exact size: a checker sees an access beyond its end. */
    const size_t rounded = a->chunk_bytes
                               ? (bytes + ALIGN - 1) / ALIGN * ALIGN + (bytes == 0 ? ALIGN : 0)
                               : bytes + (bytes == 0);
    pthread_mutex_lock(&a->lock);
    vly_chunk *chunk = chunk_for(a, rounded);
    if (chunk) {
        *out = chunk->base + chunk->used;
        chunk->used += rounded;
        chunk->live++;
    }
    const vly_status status = chunk ? zero_memory(a, *out, rounded)
                                    : does_not_fit(a, bytes, what, option);
    pthread_mutex_unlock(&a->lock);
    return status;
}

void vly_arena_free(vly_arena *a, void *memory) {
    if (!memory) return;
    cudaSetDevice(a->index); /* cudaFree would create a context on another device */
    pthread_mutex_lock(&a->lock);
    for (vly_chunk **at = &a->chunks; *at; at = &(*at)->next) {
        vly_chunk *c = *at;
        if ((char *)memory < c->base || (char *)memory >= c->base + c->bytes) continue;
        if (--c->live > 0) break;
        c->used = 0;
        if (a->chunk_bytes && c->bytes <= a->chunk_bytes) break; /* kept for later allocations */
        *at = c->next;
        a->taken_bytes -= c->bytes;
        cudaFree(c->base);
        free(c);
        break;
    }
    pthread_mutex_unlock(&a->lock);
}
