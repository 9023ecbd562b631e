/* libvolley_mpi.so: the vly_sync of cpu/fleet/ranks.h over MPI. Loaded only under mpirun,
 * because MPI_Init alone takes 0.1 s. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/fleet/ranks.h"

enum { HASH_EVERY = 100, TAG = 7 };

typedef struct {
    vly_sync sync;
    /* buffers: allocated at the first call, for the largest exchange */
    vly_real *host, *other;
    int64_t room;
    int64_t mixes, checks;
    vly_status (*fail)(vly_status status, const char *format, ...);
    bool ours; /* this library initialised MPI */
} mpi_sync;

static vly_status check_mpi(mpi_sync *m, int code, const char *what) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (code == MPI_SUCCESS) return VLY_OK;
    MPI_Error_string(code, text, &length);
    return m->fail(VLY_EPEER, "rank %d: %s: %s", m->sync.rank, what, text);
}

static vly_status grow_buffers(mpi_sync *m, int64_t n) {
    if (n <= m->room) return VLY_OK;
    free(m->host), free(m->other);
    m->host = malloc((size_t)n * sizeof *m->host);
    m->other = malloc((size_t)n * sizeof *m->other);
    m->room = m->host && m->other ? n : 0;
    return m->room ? VLY_OK : m->fail(VLY_ENOMEM, "ranks: out of memory");
}

/* Returns the data in host memory: in place on a CPU, copied to m->host from a device. */
static vly_status copy_to_host(mpi_sync *m, vly_queue *q, vly_real *data, int64_t n,
                               vly_real **host) {
    VLY_TRY(grow_buffers(m, n));
    *host = q->c->info.is_host ? data : m->host;
    if (*host == data) return q->c->queue_sync(q);
    VLY_TRY(q->c->download(q, m->host, data, (size_t)n * sizeof *data));
    return q->c->queue_sync(q);
}

static vly_status copy_from_host(vly_queue *q, vly_real *data, const vly_real *host, int64_t n) {
    if (host == data) return VLY_OK;
    VLY_TRY(q->c->upload(q, data, host, (size_t)n * sizeof *data));
    return q->c->queue_sync(q);
}

static vly_status average_gradients(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n) {
    mpi_sync *m = (mpi_sync *)s;
    vly_real *host;
    VLY_TRY(copy_to_host(m, q, grad, n, &host));
    VLY_TRY(check_mpi(m,
                      MPI_Allreduce(MPI_IN_PLACE, host, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD),
                      "all-reduce"));
    const vly_real scale = (vly_real)1 / (vly_real)s->world;
    for (int64_t i = 0; i < n; i++) host[i] *= scale;
    return copy_from_host(q, grad, host, n);
}

static uint64_t hash_words(const vly_real *x, int64_t n) { /* FNV-1a over the words */
    uint64_t h = 1469598103934665603u;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        h = (h ^ bits) * 1099511628211u;
    }
    return h;
}

/* Equal gradients and equal optimizers give equal weights: ends the run early if they do not. */
static vly_status compare_weights(vly_sync *s, vly_queue *q, const vly_params *p) {
    mpi_sync *m = (mpi_sync *)s;
    vly_real *host;
    unsigned long long ends[2];
    if (m->checks++ % HASH_EVERY) return VLY_OK;
    VLY_TRY(copy_to_host(m, q, p->param, p->n, &host));
    const unsigned long long mine = hash_words(host, p->n);
    ends[0] = mine, ends[1] = ~mine;
    VLY_TRY(check_mpi(
        m, MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_UNSIGNED_LONG_LONG, MPI_MIN, MPI_COMM_WORLD),
        "parameter hash"));
    if (ends[0] == ~ends[1]) return VLY_OK;
    return m->fail(VLY_EPEER,
                   "rank %d: the ranks' weights differ (hash %016llx here, %016llx to %016llx over "
                   "all): run the same program on equal processors and resume from the last "
                   "checkpoint",
                   m->sync.rank, mine, ends[0], ~ends[1]);
}

/* Even and odd links of the ring in turn: after two steps each rank has averaged with both
 * neighbours. -1: in an odd ring this rank has no partner in this step. */
static int next_neighbour(mpi_sync *m) {
    const int world = m->sync.world, rank = m->sync.rank;
    const bool right = ((m->mixes++ + rank) & 1) == 0;
    const int other = right ? rank + 1 : rank - 1;
    if (world % 2 == 0) return (other + world) % world;
    return other < world ? other : -1;
}

static vly_status average_with_neighbour(vly_sync *s, vly_queue *q, const vly_params *p) {
    mpi_sync *m = (mpi_sync *)s;
    const int other = next_neighbour(m);
    vly_real *host;
    if (other < 0) return VLY_OK;
    VLY_TRY(copy_to_host(m, q, p->param, p->n, &host));
    VLY_TRY(check_mpi(m,
                      MPI_Sendrecv(host, (int)p->n, MPI_FLOAT, other, TAG, m->other, (int)p->n,
                                   MPI_FLOAT, other, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE),
                      "exchange with a neighbour"));
    for (int64_t i = 0; i < p->n; i++) host[i] = (host[i] + m->other[i]) / 2;
    return copy_from_host(q, p->param, host, p->n);
}

static vly_status broadcast_bytes(vly_sync *s, vly_queue *q, void *data, size_t bytes, int root) {
    mpi_sync *m = (mpi_sync *)s;
    const int64_t n = (int64_t)((bytes + sizeof(vly_real) - 1) / sizeof(vly_real));
    VLY_TRY(grow_buffers(m, n));
    VLY_TRY(q->c->download(q, m->host, data, bytes));
    VLY_TRY(q->c->queue_sync(q));
    VLY_TRY(
        check_mpi(m, MPI_Bcast(m->host, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD), "broadcast"));
    VLY_TRY(q->c->upload(q, data, m->host, bytes));
    return q->c->queue_sync(q);
}

/* One reduction: the sums of steps and episodes, and for each reason to stop the number of ranks
 * that have it. */
static vly_status agree_on_stop(vly_sync *s, const vly_standing *mine, vly_standing *all) {
    enum { REASONS = 8 };
    mpi_sync *m = (mpi_sync *)s;
    struct {
        long long steps, episodes, stop[REASONS];
    } sums = {.steps = mine->steps, .episodes = mine->episodes};
    if (mine->stop > 0 && mine->stop < REASONS) sums.stop[mine->stop] = 1;
    VLY_TRY(check_mpi(
        m, MPI_Allreduce(MPI_IN_PLACE, &sums, 2 + REASONS, MPI_LONG_LONG, MPI_SUM, MPI_COMM_WORLD),
        "agreement"));
    *all = (vly_standing){.steps = sums.steps, .episodes = sums.episodes};
    for (int i = 1; i < REASONS; i++)
        if (sums.stop[i] > 0) all->stop = i;
    return VLY_OK;
}

/* The mean over the ranks that have visited a cell; values of unvisited cells are not learned. */
static vly_status average_tables(mpi_sync *m, int n, vly_real *table, const uint32_t *visits) {
    VLY_TRY(grow_buffers(m, 2 * (int64_t)n));
    vly_real *sum = m->host, *say = m->host + n;
    for (int i = 0; i < n; i++) {
        say[i] = visits[i] > 0;
        sum[i] = say[i] * table[i];
    }
    VLY_TRY(check_mpi(m,
                      MPI_Allreduce(MPI_IN_PLACE, sum, 2 * n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD),
                      "all-reduce of the tables"));
    for (int i = 0; i < n; i++)
        if (say[i] > 0) table[i] = sum[i] / say[i];
    return VLY_OK;
}

/* Mixes in one neighbour's table, weighted by visits, so that a rank with little experience
 * changes little. */
static vly_status mix_tables(mpi_sync *m, int other, int n, vly_real *table,
                             const uint32_t *visits) {
    VLY_TRY(grow_buffers(m, 2 * (int64_t)n));
    for (int i = 0; i < n; i++) m->host[i] = table[i], m->host[n + i] = (vly_real)visits[i];
    VLY_TRY(check_mpi(m,
                      MPI_Sendrecv(m->host, 2 * n, MPI_FLOAT, other, TAG, m->other, 2 * n,
                                   MPI_FLOAT, other, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE),
                      "exchange of tables with a neighbour"));
    for (int i = 0; i < n; i++) {
        const vly_real theirs = m->other[n + i], both = theirs + m->host[n + i];
        if (theirs > 0) table[i] += theirs / both * (m->other[i] - table[i]);
    }
    return VLY_OK;
}

static vly_status merge_all(vly_sync *s, int states, int actions, vly_real *table,
                            uint32_t *visits) {
    return average_tables((mpi_sync *)s, states * actions, table, visits);
}

static vly_status merge_neighbour(vly_sync *s, int states, int actions, vly_real *table,
                                  uint32_t *visits) {
    mpi_sync *m = (mpi_sync *)s;
    const int other = next_neighbour(m);
    return other < 0 ? VLY_OK : mix_tables(m, other, states * actions, table, visits);
}

static const vly_sync_gradients all_gradients = {.reduce = average_gradients,
                                                 .compare = compare_weights};
static const vly_sync_tables all_tables = {.merge = merge_all};
static const vly_sync_mixing neighbour_mixing = {.mix = average_with_neighbour};
static const vly_sync_tables neighbour_tables = {.merge = merge_neighbour};

vly_status vly_mpi_create(vly_sync **out, vly_ranks_mode mode,
                          vly_status (*fail)(vly_status status, const char *format, ...));
void vly_mpi_destroy(vly_sync *s, int failed);

vly_status vly_mpi_create(vly_sync **out, vly_ranks_mode mode,
                          vly_status (*fail)(vly_status status, const char *format, ...)) {
    mpi_sync *m = calloc(1, sizeof *m);
    int given, before;
    if (!m) return fail(VLY_ENOMEM, "ranks: out of memory");
    m->fail = fail;
    MPI_Initialized(&before);
    m->ours = !before;
    if (!before && MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &given) != MPI_SUCCESS) {
        free(m);
        return fail(VLY_EPEER, "cannot initialise MPI");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    m->sync = (vly_sync){.broadcast = broadcast_bytes, .agree = agree_on_stop};
    if (mode == VLY_RANKS_ALLREDUCE)
        m->sync.gradients = &all_gradients, m->sync.tables = &all_tables;
    else
        m->sync.mixing = &neighbour_mixing, m->sync.tables = &neighbour_tables;
    MPI_Comm_rank(MPI_COMM_WORLD, &m->sync.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &m->sync.world);
    *out = &m->sync;
    return VLY_OK;
}

void vly_mpi_destroy(vly_sync *s, int failed) {
    mpi_sync *m = (mpi_sync *)s;
    if (failed) MPI_Abort(MPI_COMM_WORLD, 1);
    if (m->ours) MPI_Finalize();
    free(m->host), free(m->other);
    free(m);
}
