/* state.h -- what runtime.cpp (streams, events, graphs) and memory.cpp share. Inside kernels/shim
 * only. */
#ifndef VLY_KERNELS_SHIM_STATE_H
#define VLY_KERNELS_SHIM_STATE_H
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>
#include <pthread.h>
#include "kernels/shim/internal.h"

namespace vly_shim {
typedef std::function<void()> operation;
/* How many operations of each stream of a capture precede a point in it. */
typedef std::map<const vly_shim_stream *, uint64_t> history;
} // namespace vly_shim

struct vly_shim_graph {
    std::vector<vly_shim::operation> nodes;
    pthread_t by; /* who captures */
    std::vector<std::shared_ptr<void>> retained;
};
struct vly_shim_stream {
    int device = 0;
    std::deque<vly_shim::operation> waiting;
    uint64_t enqueued = 0, done = 0;
    vly_shim_graph *capture = nullptr;
    bool origin = false; /* of the capture */
    vly_shim::history before;
};

namespace vly_shim {
typedef std::lock_guard<std::recursive_mutex> guard;
extern std::recursive_mutex lock;
extern cudaError_t sticky;
extern thread_local int current_device;

/* Remembers the error as this thread's last one. */
cudaError_t give(cudaError_t error);
/* Sets the words of an error that is no fault of a kernel. */
__attribute__((format(printf, 2, 3))) cudaError_t refuse(cudaError_t error, const char *format,
                                                         ...);
cudaError_t enqueue(cudaStream_t stream, operation op);
/* cudaStreamCaptureModeThreadLocal: what could wait for other work is refused to the thread that
 * captures. */
bool captures();
void drain_all();
} // namespace vly_shim
#endif
