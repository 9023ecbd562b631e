/* memory.cpp -- allocations of the shim, the guards around them, copies and fills. */
#include "kernels/shim/state.h"
#include <cstdlib>
#include <cstring>
#include "kernels/shim/races.h"
#include "kernels/shim/sanitizers.h"
#ifdef VLY_SHIM_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#endif

using namespace vly_shim;

namespace {

constexpr size_t GUARD = 512;
constexpr unsigned char FRESH = 0xcd;

size_t allocated, limit_bytes;
struct extent {
    size_t bytes;
    int device;
};
std::map<char *, extent> device_memory; /* by user address */
struct pinned_extent {
    size_t bytes;
    bool mapped;
};
std::map<char *, pinned_extent> pinned_memory;

/* Every float and bf16 in a guard is NaN, so that a number which comes from there shows. */
unsigned char mark_at(const char *p) {
    return (uintptr_t)p % 2 ? 0xff : 0xc1;
}

void write_guards(char *p, size_t bytes) {
    for (char *side : {p - GUARD, p + bytes}) {
        for (size_t i = 0; i < GUARD; i++) side[i] = (char)mark_at(side + i);
        ASAN_POISON_MEMORY_REGION(side, GUARD);
    }
}

bool guards_whole(char *p, size_t bytes) {
    bool whole = true;
    for (char *side : {p - GUARD, p + bytes}) {
        ASAN_UNPOISON_MEMORY_REGION(side, GUARD);
        for (size_t i = 0; i < GUARD; i++)
            whole = whole && (unsigned char)side[i] == mark_at(side + i);
        ASAN_POISON_MEMORY_REGION(side, GUARD);
    }
    return whole;
}

/* The allocation around p, or end(). */
std::map<char *, extent>::iterator owner(const void *p) {
    auto it = device_memory.upper_bound(const_cast<char *>(static_cast<const char *>(p)));
    if (it == device_memory.begin()) return device_memory.end();
    --it;
    return static_cast<const char *>(p) < it->first + it->second.bytes ? it : device_memory.end();
}

bool inside(const void *p, size_t bytes, bool must, cudaStream_t stream) {
    const auto it = owner(p);
    if (it == device_memory.end()) return !must;
    return static_cast<const char *>(p) + bytes <= it->first + it->second.bytes &&
           (!stream || it->second.device == stream->device);
}

/* The allocation that holds all of them; NULL: none does. */
const pinned_extent *pinned_owner(const void *p, size_t bytes) {
    auto it = pinned_memory.upper_bound(const_cast<char *>(static_cast<const char *>(p)));
    if (it == pinned_memory.begin()) return nullptr;
    --it;
    return static_cast<const char *>(p) + bytes <= it->first + it->second.bytes ? &it->second
                                                                                : nullptr;
}

} // namespace

extern "C" {

void vly_shim_memory_limit(size_t bytes) {
    limit_bytes = bytes;
}

bool vly_shim_check_guards(void) {
    guard g(lock);
    drain_all();
    for (const auto &it : device_memory) {
        if (guards_whole(it.first, it.second.bytes)) continue;
        report("an allocation of %zu bytes was written beyond its ends", it.second.bytes);
        return false;
    }
    return true;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    guard g(lock);
    *total_bytes = limit_bytes ? limit_bytes : (size_t)8 << 30;
    *free_bytes = *total_bytes > allocated ? *total_bytes - allocated : 0;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes) {
    guard g(lock);
    *out = nullptr;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    if (bytes == 0) return cudaSuccess;
    if ((limit_bytes && allocated + bytes > limit_bytes) || bytes > (size_t)1 << 40)
        return give(cudaErrorMemoryAllocation);
    char *memory = static_cast<char *>(aligned_alloc(512, (bytes + 2 * GUARD + 511) / 512 * 512));
    if (!memory) return give(cudaErrorMemoryAllocation);
    memset(memory + GUARD, FRESH, bytes);
    write_guards(memory + GUARD, bytes);
    *out = memory + GUARD;
    device_memory[memory + GUARD] = {bytes, current_device};
    races_add(memory + GUARD, bytes, GUARD, false);
    allocated += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory) {
    guard g(lock);
    if (!memory) return cudaSuccess;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    drain_all();
    const auto it = device_memory.find(static_cast<char *>(memory));
    if (it == device_memory.end()) return give(cudaErrorInvalidValue);
    if (!guards_whole(it->first, it->second.bytes))
        report("an allocation of %zu bytes was written beyond its ends", it->second.bytes);
    races_remove(it->first);
    allocated -= it->second.bytes;
    ASAN_UNPOISON_MEMORY_REGION(it->first - GUARD, it->second.bytes + 2 * GUARD);
    free(it->first - GUARD);
    device_memory.erase(it);
    return sticky;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags) {
    guard g(lock);
    *out = nullptr;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    *out = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!*out) return give(cudaErrorMemoryAllocation);
    memset(*out, FRESH, bytes);
    const bool mapped = flags & cudaHostAllocMapped;
    if (mapped && getenv("VLY_SHIM_UNMAPPED")) {
        free(*out);
        return give(cudaErrorInvalidValue);
    }
    pinned_memory[static_cast<char *>(*out)] = {bytes, mapped};
    if (mapped) races_add(*out, bytes, 0, false);
    return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void **out, void *host, unsigned) {
    guard g(lock);
    const pinned_extent *owner = pinned_owner(host, 1);
    *out = owner && owner->mapped ? host : nullptr;
    return *out ? cudaSuccess
                : give(refuse(cudaErrorInvalidValue, "host memory that is not mapped"));
}

cudaError_t cudaFreeHost(void *memory) {
    guard g(lock);
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    drain_all();
    races_remove(memory);
    pinned_memory.erase(static_cast<char *>(memory));
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    guard g(lock);
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!inside(to, bytes, to_device, stream) || !inside(from, bytes, from_device, stream))
        return give(refuse(cudaErrorInvalidValue,
                           "copy of %zu bytes leaves its allocation, or is on another device",
                           bytes));
    const bool pageable = (!to_device && !pinned_owner(to, bytes)) ||
                          (!from_device && !pinned_owner(from, bytes));
    if (pageable && stream && stream->capture)
        return give(refuse(cudaErrorStreamCaptureUnsupported,
                           "copy of %zu bytes of pageable host memory in a capture: it would wait "
                           "for the host",
                           bytes));
    return give(enqueue(stream, [=] {
        counted.copies++;
        if (sticky == cudaSuccess) memmove(to, from, bytes);
    }));
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream) {
    guard g(lock);
    if (!inside(to, bytes, true, stream))
        return give(refuse(cudaErrorInvalidValue,
                           "fill of %zu bytes leaves its allocation, or is on another device",
                           bytes));
    return give(enqueue(stream, [=] {
        if (sticky == cudaSuccess) memset(to, byte, bytes);
    }));
}

} // extern "C"
