#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cpu/ops/compute_cpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/bf16_simd.h"
#include "cpu/ops/exact_simd.h"
#include "cpu/ops/simd.h"
#endif

/* ---- memory ---- */

/* Before every block: where it starts and how long it is. */
typedef struct {
    void *base;
    size_t bytes;
    bool mapped;
} block_head;
enum { ALIGN = 256, MAP_BYTES = 1 << 20, HUGE_BYTES = 1 << 21 };

static size_t memory_limit(void) {
    unsigned long long limit = (unsigned long long)sysconf(_SC_PHYS_PAGES) *
                               (unsigned long long)sysconf(_SC_PAGE_SIZE),
                       cgroup;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
    if (f) {
        if (fscanf(f, "%llu", &cgroup) == 1 && cgroup < limit) limit = cgroup;
        fclose(f);
    }
    return (size_t)limit;
}

/* Large blocks are mapped: the system zeroes their pages when they are first touched. The largest
 * start at a huge page, so that a pass over the weights does not spend its time on page tables. */
static void *block_take(size_t bytes) {
    const size_t align = bytes >= HUGE_BYTES ? HUGE_BYTES : ALIGN,
                 all = bytes + align + sizeof(block_head);
    block_head head = {.bytes = all, .mapped = all >= MAP_BYTES};
    if (head.mapped) {
        head.base = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (head.base == MAP_FAILED) return NULL;
    } else if (!(head.base = calloc(1, all))) {
        return NULL;
    }
    const uintptr_t at = ((uintptr_t)head.base + sizeof head + align - 1) & ~(uintptr_t)(align - 1);
#ifdef MADV_HUGEPAGE
    if (align == HUGE_BYTES) madvise((void *)at, bytes, MADV_HUGEPAGE);
#endif
    memcpy((void *)(at - sizeof head), &head, sizeof head);
    return (void *)at;
}

static void block_give_back(void *memory) {
    if (!memory) return;
    block_head head;
    memcpy(&head, (char *)memory - sizeof head, sizeof head);
    if (head.mapped)
        munmap(head.base, head.bytes);
    else
        free(head.base);
}

static vly_status cpu_alloc(vly_compute *c, size_t bytes, const char *what, const char *option,
                            void **out) {
    *out = bytes <= c->info.memory_bytes ? block_take(bytes) : NULL;
    if (*out) return VLY_OK;
    return vly_fail(VLY_ENOMEM, "%s: %zu MiB do not fit into this machine's %zu MiB%s%s",
                    what ? what : "a buffer", bytes >> 20, c->info.memory_bytes >> 20,
                    option ? "; lower " : "", option ? option : "");
}

static void cpu_free(vly_compute *c, void *memory) {
    (void)c;
    block_give_back(memory);
}

static vly_status cpu_alloc_host(vly_compute *c, size_t bytes, const char *what, void **out) {
    return cpu_alloc(c, bytes, what, NULL, out);
}

void *vly_cpu_take(size_t bytes) {
    return block_take(bytes);
}
void vly_cpu_give_back(void *memory) {
    block_give_back(memory);
}

/* ---- queues, events and graphs only name an order: everything is done at once ---- */

struct vly_event {
    int unused;
};

typedef struct {
    vly_queue q; /* first: a vly_queue * is a cpu_queue * */
    void *scratch;
    size_t scratch_bytes;
} cpu_queue;

static vly_status queue_create(vly_compute *c, vly_queue_kind kind, vly_queue **out) {
    cpu_queue *q = calloc(1, sizeof *q);
    if (!q) return vly_fail(VLY_ENOMEM, "no memory for a queue");
    q->q = (vly_queue){.c = c, .kind = kind};
    return *out = &q->q, VLY_OK;
}

static void queue_destroy(vly_queue *q) {
    if (q) block_give_back(((cpu_queue *)q)->scratch);
    free(q);
}

void *vly_cpu_scratch(vly_queue *q, size_t bytes) {
    cpu_queue *own = (cpu_queue *)q;
    if (bytes <= own->scratch_bytes) return own->scratch;
    void *more = block_take(bytes);
    if (!more) return NULL;
    block_give_back(own->scratch);
    own->scratch_bytes = bytes;
    return own->scratch = more;
}

static vly_status queue_sync(vly_queue *q) {
    (void)q;
    return VLY_OK;
}

static vly_status event_create(vly_compute *c, vly_event **out) {
    (void)c;
    *out = calloc(1, sizeof **out);
    return *out ? VLY_OK : vly_fail(VLY_ENOMEM, "no memory for an event");
}

static void event_destroy(vly_event *e) {
    free(e);
}

static vly_status event_record(vly_event *e, vly_queue *q) {
    (void)e, (void)q;
    return VLY_OK;
}

static vly_status event_wait(vly_queue *q, vly_event *e) {
    (void)e, (void)q;
    return VLY_OK;
}

static bool event_done(vly_event *e) {
    (void)e;
    return true;
}

static vly_status event_sync(vly_event *e) {
    (void)e;
    return VLY_OK;
}

static vly_status notify(vly_queue *q, void (*fn)(void *arg), void *arg) {
    (void)q;
    fn(arg);
    return VLY_OK;
}

static vly_status graph_run(vly_queue *q, vly_graph **graph,
                            vly_status (*fn)(vly_queue *q, void *arg), void *arg) {
    (void)graph;
    return fn(q, arg);
}

static void graph_destroy(vly_graph *graph) {
    (void)graph;
}

/* ---- copies ---- */

static vly_status cpu_copy(vly_queue *q, void *to, const void *from, size_t bytes) {
    (void)q;
    VLY_NEED("copy", bytes == 0 || (to && from));
    if (to != from && bytes) memmove(to, from, bytes);
    return VLY_OK;
}

static vly_status cpu_fill(vly_queue *q, void *device, int byte, size_t bytes) {
    (void)q;
    VLY_NEED("fill", bytes == 0 || device);
    if (bytes) memset(device, byte, bytes);
    return VLY_OK;
}

/* ---- creation ---- */

static void processor_name(char *name, size_t bytes) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(name, bytes, "CPU");
    while (f && fgets(line, sizeof line, f)) {
        const char *at = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!at) continue;
        snprintf(name, bytes, "%.*s", (int)strcspn(at + 2, "\n"), at + 2);
        break;
    }
    if (f) fclose(f);
}

static void cpu_destroy(vly_compute *c) {
    if (!c) return;
    vly_workers_destroy(((vly_cpu *)c)->workers);
    free(c);
}

static const vly_compute table = {
    .destroy = cpu_destroy,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .alloc_host = cpu_alloc_host,
    .free_host = cpu_free,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .queue_sync = queue_sync,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_wait = event_wait,
    .event_done = event_done,
    .event_sync = event_sync,
    .notify = notify,
    .graph_run = graph_run,
    .graph_destroy = graph_destroy,
    .upload = cpu_copy,
    .download = cpu_copy,
    .copy = cpu_copy,
    .fill = cpu_fill,
    .layer_create = vly_cpu_layer_create,
    .layer_destroy = vly_cpu_layer_destroy,
    .layer_prepare = vly_cpu_layer_prepare,
    .layer_forward = vly_cpu_layer_forward,
    .layer_backward = vly_cpu_layer_backward,
    .relu = vly_cpu_relu,
    .relu_backward = vly_cpu_relu_backward,
    .add = vly_cpu_add,
    .convert = vly_cpu_convert,
    .lstm_forward = vly_cpu_lstm_forward,
    .lstm_backward = vly_cpu_lstm_backward,
    .dueling = vly_cpu_dueling,
    .dueling_backward = vly_cpu_dueling_backward,
    .gather = vly_cpu_gather,
    .sample_policy = vly_cpu_sample_policy,
    .sample_greedy = vly_cpu_sample_greedy,
    .rng_advance = vly_cpu_rng_advance,
    .action_logp = vly_cpu_action_logp,
    .gae = vly_cpu_gae,
    .vtrace = vly_cpu_vtrace,
    .moments = vly_cpu_moments,
    .policy_loss = vly_cpu_policy_loss,
    .dqn_loss = vly_cpu_dqn_loss,
    .permutation = vly_cpu_permutation,
    .fingerprint = vly_cpu_fingerprint,
    .grad_norm = vly_cpu_grad_norm,
    .optimize = vly_cpu_optimize,
    .polyak = vly_cpu_polyak,
    .tree_set = vly_cpu_tree_set,
    .tree_insert = vly_cpu_tree_insert,
    .tree_sample = vly_cpu_tree_sample,
    .nstep = vly_cpu_nstep,
    .mask_actions = vly_cpu_mask_actions,
    .dist_sample = vly_cpu_dist_sample,
    .dist_logp = vly_cpu_dist_logp,
    .dist_action = vly_cpu_dist_action,
    .dist_loss = vly_cpu_dist_loss,
    .noise = vly_cpu_noise,
    .soft_value = vly_cpu_soft_value,
    .twin_loss = vly_cpu_twin_loss,
    .soft_policy = vly_cpu_soft_policy,
    .soft_choice = vly_cpu_soft_choice,
    .ascend = vly_cpu_ascend,
    .columns = vly_cpu_columns,
    .column_sums = vly_cpu_column_sums,
    .normalize = vly_cpu_normalize,
    .centre = vly_cpu_centre,
    .centre_backward = vly_cpu_centre_backward,
    .running = vly_cpu_running,
    .discounted = vly_cpu_discounted,
};

/* A narrower width than the processor has, for measuring and for comparing machines. */
static vly_status take_asked_width(void) {
#ifndef VLY_REAL_DOUBLE
    const char *width = getenv("VLY_SIMD");
    if (width && !vly_simd_force(width))
        return vly_fail(VLY_EINVAL,
                        "VLY_SIMD=%s: this processor has not such vectors, or it is not "
                        "one of avx512, avx2, base",
                        width);
#endif
    return VLY_OK;
}

vly_status vly_compute_create_cpu(vly_compute **out, int threads) {
    VLY_TRY(take_asked_width());
    vly_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu) return vly_fail(VLY_ENOMEM, "no memory for the compute context");
    const vly_status status = vly_workers_create(&cpu->workers, threads);
    if (status != VLY_OK) {
        free(cpu);
        return status;
    }
    cpu->c = table;
#ifndef VLY_REAL_DOUBLE
    cpu->simd = vly_simd_best();
    cpu->exact = vly_exact_best();
#endif
    vly_compute_info *info = &cpu->c.info;
    char processor[96];
    processor_name(processor, sizeof processor);
    info->threads = vly_workers_threads(cpu->workers);
    snprintf(info->kind, sizeof info->kind, "cpu");
    snprintf(info->name, sizeof info->name, "%s, %d thread%s", processor, info->threads,
             info->threads == 1 ? "" : "s");
    info->memory_bytes = memory_limit();
    info->is_host = true;
#ifndef VLY_REAL_DOUBLE
    info->has_bf16 = vly_bf16_simd_best() != NULL;
#endif
    *out = &cpu->c;
    return VLY_OK;
}
