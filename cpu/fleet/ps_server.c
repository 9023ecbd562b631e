#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/finite.h"
#include "cpu/fleet/ps.h"
#include "cpu/fleet/ps_wire.h"

enum { MEMBERS_MAX = 4096, RECENT = 100, CHECK_MS = 500, PARTS_MAX = 31 };

const char *vly_ps_update_name(vly_ps_update update) {
    static const char *const names[] = {"sync",       "async",  "coordinated",
                                        "overlapped", "fedavg", "unrolls"};
    return names[update];
}

typedef struct {
    char name[32];
    uint64_t life, seq; /* of the newest push received */
    int parts_seen;     /* of that push, one bit each */
    int64_t done;       /* agent steps of its life up to that push */
    int64_t heard_ms;
    bool joined; /* its push is in the mean being collected */
} member;

struct vly_ps_server {
    vly_store *store;
    vly_compute *c;
    vly_queue *q;
    vly_ps_policy policy;
    vly_optimizer optimizer;
    vly_params params; /* device */
    vly_real *norm, *stats;
    vly_hyper *hyper_device;
    int64_t *part_steps; /* device: counts of optimizer steps, for parts 1 .. */
    int64_t n;
    unsigned char *publish; /* wire_params and n floats */
    vly_real *host;         /* (n) */
    double *sum;            /* (n) weighted sum of the pushes being collected */
    double weight;
    int collected;
    vly_hyper hyper; /* of the newest push */
    member *members;
    int member_count;
    int64_t counters[2]; /* version, steps */
    vly_ps_report report;
    double staleness_sum;
    int64_t staleness_count;
    float recent[RECENT];
    int64_t recent_count;
    int64_t checked_ms;
    uint64_t incarnation;
    bool stopping;
    void (*on_episode)(void *arg, double score);
    void *episode_arg;
    vly_status (*on_unroll)(void *arg, const void *unroll, size_t bytes);
    void *unroll_arg;
    /* UNROLLS: the last publication: version, time, duration */
    int64_t published, published_us, publish_cost_us;
};

/* ---- out ---- */

static vly_status publish_params(vly_ps_server *s) {
    wire_params head = {.magic = WIRE_MAGIC_PARAMS,
                        .flags = s->stopping ? WIRE_STOP : 0,
                        .version = s->counters[0],
                        .n = s->n,
                        .steps = s->counters[1],
                        .gradients = s->report.gradients,
                        .incarnation = s->incarnation};
    VLY_TRY(s->c->download(s->q, s->host, s->params.param, (size_t)s->n * sizeof *s->host));
    VLY_TRY(s->c->queue_sync(s->q));
    memcpy(s->publish, &head, sizeof head);
    for (int64_t i = 0; i < s->n; i++) {
        const float x = (float)s->host[i];
        if (!isfinite(x))
            return vly_fail(VLY_ENUMERIC,
                            "parameter server: the weights are not finite after a worker's push; "
                            "lower the learning rate");
        memcpy(s->publish + sizeof head + (size_t)i * sizeof x, &x, sizeof x);
    }
    return vly_store_set(s->store, WIRE_PARAMS, s->publish,
                         sizeof head + (size_t)s->n * sizeof(float));
}

static int64_t monotonic_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

vly_status vly_ps_server_learned(vly_ps_server *s, int64_t version) {
    const int64_t begun = monotonic_us();
    s->counters[0] = version;
    s->report.rounds++;
    if (begun - s->published_us < 4 * s->publish_cost_us) return VLY_OK;
    VLY_TRY(publish_params(s));
    s->published = version;
    s->published_us = monotonic_us();
    s->publish_cost_us = s->published_us - begun;
    return VLY_OK;
}

/* The token is the number of the push taken. The list holds at most one, so lists of workers
 * that are gone do not grow. */
static vly_status wake_worker(vly_ps_server *s, const member *m) {
    char list[64];
    snprintf(list, sizeof list, WIRE_WAKE, m->name);
    VLY_TRY(vly_store_delete(s->store, list));
    return vly_store_push(s->store, list, &m->seq, sizeof m->seq, 0, NULL);
}

/* Publishes again if the store has lost the weights. */
static vly_status check_published(vly_ps_server *s) {
    wire_params head;
    size_t got = 0;
    if (vly_now_ms() - s->checked_ms < CHECK_MS) return VLY_OK;
    s->checked_ms = vly_now_ms();
    const int64_t newest = s->policy.update == VLY_PS_UNROLLS ? s->published : s->counters[0];
    const vly_status status = vly_store_get_range(s->store, WIRE_PARAMS, 0, &head, sizeof head,
                                                  &got);
    if (status != VLY_OK && status != VLY_ENOTFOUND) return status;
    if (status == VLY_OK && got == sizeof head && head.version == newest &&
        head.incarnation == s->incarnation)
        return VLY_OK;
    s->published = s->counters[0];
    return publish_params(s);
}

/* ---- members ---- */

static member *find_member(vly_ps_server *s, const char *name) {
    int oldest = 0;
    for (int i = 0; i < s->member_count; i++) {
        if (strcmp(s->members[i].name, name) == 0) return &s->members[i];
        if (s->members[i].heard_ms < s->members[oldest].heard_ms) oldest = i;
    }
    member *m = &s->members[s->member_count < MEMBERS_MAX ? s->member_count++ : oldest];
    *m = (member){0};
    snprintf(m->name, sizeof m->name, "%s", name);
    return m;
}

static int count_living(const vly_ps_server *s) {
    const int64_t since = vly_now_ms() - s->policy.ttl_ms;
    int count = 0;
    for (int i = 0; i < s->member_count; i++) count += s->members[i].heard_ms >= since;
    return count;
}

/* All living workers are in the mean. Dead workers do not delay a barrier. */
static bool all_joined(const vly_ps_server *s) {
    const int64_t since = vly_now_ms() - s->policy.ttl_ms;
    for (int i = 0; i < s->member_count; i++)
        if (s->members[i].heard_ms >= since && !s->members[i].joined) return false;
    return s->collected > 0;
}

/* Workers that beat but have not pushed yet count as living. */
static vly_status record_beat(void *arg, const char *name, const char *json) {
    vly_ps_server *s = arg;
    if (strstr(json, "\"role\":\"worker\"") && strlen(name) < sizeof s->members[0].name) {
        member *m = find_member(s, name);
        m->heard_ms = vly_now_ms();
    }
    return VLY_OK;
}

/* ---- updates ---- */

static bool has_barrier(const vly_ps_server *s) {
    return s->policy.update == VLY_PS_SYNC || s->policy.update == VLY_PS_FEDAVG;
}

/* One optimizer step on a part of the arena only: with Adam a zero gradient would change the
 * rest too. Each part counts its own steps. */
static vly_status step_part(vly_ps_server *s, const vly_real *gradient, int64_t offset,
                            int64_t count, int part) {
    const vly_params *all = &s->params;
    const vly_params some = {.n = count,
                             .param = all->param + offset,
                             .grad = all->grad + offset,
                             .m = all->m ? all->m + offset : NULL,
                             .v = all->v ? all->v + offset : NULL,
                             .step = part == 0 ? all->step : s->part_steps + part};
    VLY_TRY(s->c->upload(s->q, s->hyper_device, &s->hyper, sizeof s->hyper));
    VLY_TRY(s->c->upload(s->q, some.grad, gradient, (size_t)count * sizeof *gradient));
    VLY_TRY(s->c->grad_norm(s->q, count, some.grad, s->norm));
    VLY_TRY(s->c->optimize(s->q, &s->optimizer, &some, s->norm, s->hyper_device, s->stats));
    VLY_TRY(s->c->queue_sync(s->q));
    if (part > 0) return VLY_OK; /* part 0 arrives last and completes the version */
    s->counters[0]++;
    s->report.rounds++;
    return VLY_OK;
}

static vly_status publish_then_wake(vly_ps_server *s, const member *const *who, int count) {
    VLY_TRY(publish_params(s));
    for (int i = 0; i < count; i++) VLY_TRY(wake_worker(s, who[i]));
    return VLY_OK;
}

/* Sends the weights and the tokens for waiting workers as one batch. A batch is not repeated on
 * a new connection, so if it fails they are sent one by one; sending twice is harmless. */
static vly_status publish_and_wake(vly_ps_server *s, const member *const *who, int count) {
    VLY_TRY(vly_store_begin(s->store));
    const vly_status queued = publish_then_wake(s, who, count), sent = vly_store_end(s->store);
    const vly_status status = queued == VLY_OK ? sent : queued;
    return status == VLY_EPEER ? publish_then_wake(s, who, count) : status;
}

static void add_to_mean(vly_ps_server *s, const wire_push *head, const unsigned char *data,
                        double weight) {
    for (int64_t i = 0; i < head->count; i++) {
        float x;
        memcpy(&x, data + (size_t)i * sizeof x, sizeof x);
        s->sum[head->offset + i] += weight * (double)x;
    }
    s->weight += weight;
    s->collected++;
}

static void clear_mean(vly_ps_server *s) {
    memset(s->sum, 0, (size_t)s->n * sizeof *s->sum);
    s->weight = 0;
    s->collected = 0;
    for (int i = 0; i < s->member_count; i++) s->members[i].joined = false;
}

/* Applies the mean: as a step (gradients) or as the weights themselves (FEDAVG). */
static vly_status apply_collected(vly_ps_server *s) {
    const member *waiting[MEMBERS_MAX];
    int count = 0;
    for (int64_t i = 0; i < s->n; i++) s->host[i] = (vly_real)(s->sum[i] / s->weight);
    for (int i = 0; i < s->member_count; i++)
        if (has_barrier(s) && s->members[i].joined) waiting[count++] = &s->members[i];
    clear_mean(s);
    if (s->policy.update != VLY_PS_FEDAVG) {
        VLY_TRY(step_part(s, s->host, 0, s->n, 0));
    } else {
        VLY_TRY(s->c->upload(s->q, s->params.param, s->host, (size_t)s->n * sizeof *s->host));
        VLY_TRY(s->c->queue_sync(s->q));
        s->counters[0]++;
        s->report.rounds++;
    }
    return publish_and_wake(s, waiting, count);
}

static bool mean_is_ready(vly_ps_server *s) {
    if (s->collected == 0) return false;
    if (s->policy.update != VLY_PS_COORDINATED) return all_joined(s);
    const int want = s->policy.collect > 0 ? s->policy.collect : count_living(s);
    return s->collected >= want;
}

/* A stale gradient takes a shorter step (Zhang et al. 2016). The learning rate is scaled, not
 * the gradient, because RMSProp and Adam normalise the gradient by its own size. */
static vly_status apply_at_once(vly_ps_server *s, const wire_push *head, const unsigned char *data,
                                double staleness) {
    if (s->policy.weigh_staleness) s->hyper.lr *= (float)(1 / (1 + staleness));
    for (int64_t i = 0; i < head->count; i++) {
        float x;
        memcpy(&x, data + (size_t)i * sizeof x, sizeof x);
        s->host[i] = (vly_real)x;
    }
    return head->count ? step_part(s, s->host, head->offset, head->count, head->part) : VLY_OK;
}

/* ---- in ---- */

static vly_status reject_push(vly_ps_server *s) {
    s->report.rejected++;
    return VLY_OK;
}

/* Counts come from the store: a false one must not overflow a sum. */
static void count_pushed(int64_t *to, int64_t n) {
    if (__builtin_add_overflow(*to, n, to)) *to = INT64_MAX;
}

static void count_episodes(vly_ps_server *s, const wire_push *head) {
    for (int i = 0; i < head->returns; i++) {
        s->recent[s->recent_count++ % RECENT] = head->score[i];
        if (s->on_episode) s->on_episode(s->episode_arg, head->score[i]);
    }
    s->report.episodes += head->returns;
    count_pushed(&s->counters[1], head->steps);
}

/* False if this push, or this part of it, was received before. */
static bool is_new(vly_ps_server *s, member *m, const wire_push *head) {
    if (m->life != head->life) {
        if (m->life > head->life) return false; /* sent before the worker's restart */
        m->life = head->life, m->seq = 0, m->parts_seen = 0, m->done = 0;
    }
    if (head->seq < m->seq) return false;
    if (head->seq > m->seq) {
        /* for a worker's first push nothing is missing: earlier ones went to a previous learner */
        const uint64_t missing = head->seq - m->seq - 1;
        const int64_t unseen = head->done - head->steps - m->done;
        if (m->seq && missing > 0) {
            count_pushed(&s->report.lost, missing > INT64_MAX ? INT64_MAX : (int64_t)missing);
            count_pushed(&s->report.lost_steps, unseen > 0 ? unseen : 0);
        }
        m->seq = head->seq, m->parts_seen = 0, m->done = head->done;
    }
    if (m->parts_seen >> head->part & 1) return false;
    m->parts_seen |= 1 << head->part;
    return true;
}

static uint32_t expected_kind(vly_ps_update update) {
    return update == VLY_PS_FEDAVG    ? WIRE_WEIGHTS
           : update == VLY_PS_UNROLLS ? WIRE_UNROLL
                                      : WIRE_GRADIENT;
}

static bool push_is_valid(const vly_ps_server *s, const wire_push *head, size_t bytes) {
    if (head->magic != WIRE_MAGIC_PUSH || head->n != s->n ||
        head->kind != expected_kind(s->policy.update))
        return false;
    if (head->returns < 0 || head->returns > WIRE_RETURNS || head->part < 0 ||
        head->part >= PARTS_MAX)
        return false;
    if (head->steps < 0 || head->done < head->steps || head->samples < 0 || head->count < 0)
        return false;
    if (!vly_all_finite(head->score, (size_t)head->returns) ||
        !vly_all_finite(&head->hyper, sizeof head->hyper / sizeof(float)))
        return false;
    const size_t payload = bytes - sizeof *head;
    if (head->kind == WIRE_UNROLL) return payload == (uint64_t)head->count && head->part == 0;
    return head->offset >= 0 && head->offset <= s->n && head->count <= s->n - head->offset &&
           payload == (size_t)head->count * sizeof(float);
}

/* A barrier averages pushes computed from one version. A worker that was considered dead and
 * returns pushes from an older version; its push is dropped and it loads the newer weights. */
static bool is_stale(const vly_ps_server *s, double staleness) {
    switch (s->policy.update) {
    case VLY_PS_SYNC:
    case VLY_PS_FEDAVG: return staleness != 0;
    case VLY_PS_ASYNC:
    case VLY_PS_OVERLAPPED:
        return s->policy.max_staleness > 0 && staleness > s->policy.max_staleness;
    default: return false;
    }
}

/* Counts an unroll when it is learned from; a corrupt one adds nothing. */
static vly_status handle_unroll(vly_ps_server *s, const wire_push *head,
                                const unsigned char *data) {
    const vly_status status = s->on_unroll ? s->on_unroll(s->unroll_arg, data, (size_t)head->count)
                                           : VLY_OK;
    return status == VLY_ECORRUPT ? reject_push(s) : status;
}

/* A barrier wakes its workers when it closes, and only part 0 of a push has a worker waiting. */
static vly_status answer_dropped(vly_ps_server *s, const member *m, const wire_push *head) {
    return has_barrier(s) || head->kind == WIRE_UNROLL || head->part > 0 ? VLY_OK
                                                                         : wake_worker(s, m);
}

static vly_status apply_push(vly_ps_server *s, member *m, const wire_push *head,
                             const unsigned char *data, double staleness) {
    if (head->kind == WIRE_GRADIENT) s->hyper = head->hyper;
    if (head->kind == WIRE_UNROLL) return handle_unroll(s, head, data);
    if (s->policy.update == VLY_PS_ASYNC || s->policy.update == VLY_PS_OVERLAPPED) {
        const member *const sender = m;
        VLY_TRY(apply_at_once(s, head, data, staleness));
        return head->part > 0 ? VLY_OK : publish_and_wake(s, &sender, 1);
    }
    if (has_barrier(s) && m->joined) return VLY_OK; /* at most one push per worker in a barrier */
    m->joined = true;
    add_to_mean(s, head, data,
                s->policy.update == VLY_PS_FEDAVG ? fmax(1, (double)head->samples) : 1);
    return has_barrier(s) ? VLY_OK : wake_worker(s, m);
}

static vly_status handle_push(vly_ps_server *s, const void *message, size_t bytes) {
    wire_push head;
    const unsigned char *data = (const unsigned char *)message + sizeof head;
    if (bytes < sizeof head) return reject_push(s);
    memcpy(&head, message, sizeof head);
    head.worker[sizeof head.worker - 1] = '\0';
    if (!push_is_valid(s, &head, bytes)) return reject_push(s);
    if (head.kind != WIRE_UNROLL && !vly_all_finite(data, (size_t)head.count))
        return reject_push(s);
    member *m = find_member(s, head.worker);
    m->heard_ms = vly_now_ms();
    if (!is_new(s, m, &head)) {
        s->report.dropped_duplicate++;
        return answer_dropped(s, m, &head);
    }
    count_episodes(s, &head);
    const double behind = (double)s->counters[0] - (double)head.base;
    if (is_stale(s, behind)) {
        s->report.dropped_stale++;
        return answer_dropped(s, m, &head);
    }
    const double staleness = fmax(behind, 0); /* a restarted learner may be behind its workers */
    s->report.gradients += head.part == 0;
    s->staleness_sum += staleness;
    s->staleness_count++;
    if (staleness > s->report.staleness_max) s->report.staleness_max = staleness;
    return apply_push(s, m, &head, data, staleness);
}

vly_status vly_ps_server_serve(vly_ps_server *s, int wait_ms) {
    const void *message;
    size_t bytes;
    VLY_TRY(check_published(s));
    const vly_status status = vly_store_pop(s->store, WIRE_PUSHES, wait_ms, &message, &bytes);
    if (status != VLY_OK && status != VLY_ENOTFOUND) return status;
    if (status == VLY_OK) VLY_TRY(handle_push(s, message, bytes));
    /* before the mean is applied: workers that have joined the fleet meanwhile are waited for */
    if (has_barrier(s) && mean_is_ready(s)) {
        int count;
        VLY_TRY(vly_store_members(s->store, record_beat, s, &count));
    }
    return mean_is_ready(s) ? apply_collected(s) : VLY_OK;
}

void vly_ps_server_report(vly_ps_server *s, vly_ps_report *out) {
    const int64_t n = s->recent_count < RECENT ? s->recent_count : RECENT;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += s->recent[i];
    *out = s->report;
    out->version = s->counters[0];
    out->steps = s->counters[1];
    out->workers = count_living(s);
    out->staleness_mean = s->staleness_count ? s->staleness_sum / (double)s->staleness_count : 0;
    out->return_mean_100 = n ? sum / (double)n : NAN;
    out->returns = (int)n;
    s->staleness_sum = 0, s->staleness_count = 0, s->report.staleness_max = 0;
}

vly_status vly_ps_server_stop(vly_ps_server *s) {
    s->stopping = true;
    VLY_TRY(publish_params(s));
    for (int i = 0; i < s->member_count; i++) VLY_TRY(wake_worker(s, &s->members[i]));
    return VLY_OK;
}

void vly_ps_server_on_unroll(vly_ps_server *s,
                             vly_status (*fn)(void *arg, const void *unroll, size_t bytes),
                             void *arg) {
    s->on_unroll = fn;
    s->unroll_arg = arg;
}

void vly_ps_server_on_episode(vly_ps_server *s, void (*fn)(void *arg, double score), void *arg) {
    s->on_episode = fn;
    s->episode_arg = arg;
}

/* ---- life ---- */

static vly_status allocate_server(vly_ps_server *s) {
    VLY_TRY(s->c->alloc(s->c, 4 * sizeof(vly_real), "a norm", "", (void **)&s->norm));
    VLY_TRY(s->c->alloc(s->c, VLY_STATS * sizeof(vly_real), "statistics", "", (void **)&s->stats));
    VLY_TRY(
        s->c->alloc(s->c, sizeof(vly_hyper), "hyper-parameters", "", (void **)&s->hyper_device));
    VLY_TRY(
        s->c->alloc(s->c, PARTS_MAX * sizeof(int64_t), "counters", "", (void **)&s->part_steps));
    for (int i = 0; i < PARTS_MAX; i++)
        VLY_TRY(s->c->copy(s->q, s->part_steps + i, s->params.step, sizeof(int64_t)));
    s->publish = malloc(sizeof(wire_params) + (size_t)s->n * sizeof(float));
    s->host = calloc((size_t)s->n, sizeof *s->host);
    s->sum = calloc((size_t)s->n, sizeof *s->sum);
    s->members = calloc(MEMBERS_MAX, sizeof *s->members);
    return s->publish && s->host && s->sum && s->members
               ? VLY_OK
               : vly_fail(VLY_ENOMEM, "parameter server: out of memory");
}

vly_status vly_ps_server_create(vly_ps_server **out, vly_store *store, vly_compute *c, vly_queue *q,
                                const vly_ps_policy *policy, const vly_optimizer *optimizer,
                                const vly_params *params, int64_t version, int64_t steps) {
    vly_ps_server *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "parameter server: out of memory");
    s->store = store, s->c = c, s->q = q, s->policy = *policy, s->optimizer = *optimizer;
    if (!s->policy.ttl_ms) s->policy.ttl_ms = 5000;
    s->params = *params, s->n = params->n;
    s->incarnation = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    vly_status status = allocate_server(s);
    if (status == VLY_OK) s->counters[0] = s->published = version, s->counters[1] = steps;
    if (status == VLY_OK) status = publish_params(s);
    if (status != VLY_OK) {
        vly_ps_server_destroy(s);
        return status;
    }
    *out = s;
    return VLY_OK;
}

void vly_ps_server_destroy(vly_ps_server *s) {
    if (!s) return;
    void *const device[] = {s->norm, s->stats, s->hyper_device, s->part_steps};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        if (device[i]) s->c->free(s->c, device[i]);
    free(s->publish), free(s->host), free(s->sum), free(s->members);
    free(s);
}
