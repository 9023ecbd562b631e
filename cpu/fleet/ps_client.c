#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "cpu/fleet/ps.h"
#include "cpu/fleet/ps_wire.h"

enum {
    WAIT_MS = 250,
    QUEUE_LIMIT = 64,
    UNROLLS_LIMIT = 4,
    PEEK_FROM = 16384,
    TTL_MS = 5000,
    LOCAL_MOST = 1024,
    RESEND_MS = 2000,
    PATIENCE_MS = 120000,
    PAUSE_FIRST_US = 125,
    PAUSE_MOST_US = 64000
};

struct vly_ps_client {
    vly_sync sync;
    vly_store *store;
    vly_ps_policy policy;
    char name[32], wake[64];
    int64_t n;
    uint64_t life, seq;
    wire_params seen;       /* header of the weights last loaded */
    unsigned char *message; /* wire_push and n floats */
    unsigned char *weights; /* wire_params and n floats, as fetched */
    vly_real *host;         /* (n) staging for the device */
    int64_t steps, samples; /* since the last push */
    int64_t done;           /* in this life */
    size_t room;            /* bytes in `message` after its header */
    int returns;
    float score[WIRE_RETURNS];
    int64_t beat_ms;
    /* FEDAVG */
    int local, local_steps;
    int64_t round_start_ms;
    double step_ms;
    /* OVERLAPPED: one gradient in flight, owned by the sender while `full` */
    pthread_t sender;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    vly_store *sender_store;
    vly_real *flight, *fresh; /* (n) each */
    wire_push flight_head;
    wire_params fresh_head;
    bool threaded, full, quit, have_fresh;
    vly_status sender_status;
    char sender_error[512];
};

static vly_status beat_worker(vly_ps_client *c, vly_store *store) {
    const int64_t now = vly_now_ms();
    char json[256];
    if (now - c->beat_ms < c->policy.ttl_ms / 4) return VLY_OK;
    c->beat_ms = now;
    snprintf(json, sizeof json,
             "{\"role\":\"worker\",\"update\":\"%s\",\"version\":%lld,\"seq\":%llu,\"pid\":%d}",
             vly_ps_update_name(c->policy.update), (long long)c->seen.version,
             (unsigned long long)c->seq, (int)getpid());
    return vly_store_beat(store, c->name, json, c->policy.ttl_ms);
}

/* ---- out ---- */

static void fill_push_head(vly_ps_client *c, wire_push *head, uint32_t kind,
                           const vly_hyper *hyper) {
    *head = (wire_push){.magic = WIRE_MAGIC_PUSH,
                        .kind = kind,
                        .seq = ++c->seq,
                        .life = c->life,
                        .base = c->seen.version,
                        .steps = c->steps,
                        .done = c->done,
                        .samples = c->samples,
                        .n = c->n,
                        .count = c->n,
                        .parts = 1,
                        .returns = c->returns};
    memcpy(head->worker, c->name, sizeof head->worker);
    memcpy(head->score, c->score, sizeof head->score);
    if (hyper) head->hyper = *hyper;
    c->steps = c->samples = c->returns = 0;
}

/* Waits while the store's queue is full. */
static vly_status push_message(vly_ps_client *c, vly_store *store, size_t bytes) {
    const int64_t deadline = vly_now_ms() + c->policy.patience_ms;
    /* short at first, because a queue of small pushes empties fast; doubled each time, because
     * thousands of workers may be waiting */
    int64_t pause_us = PAUSE_FIRST_US;
    for (bool accepted = false; !accepted;
         pause_us = pause_us < PAUSE_MOST_US ? pause_us * 2 : pause_us) {
        VLY_TRY(beat_worker(c, store));
        VLY_TRY(vly_store_push(store, WIRE_PUSHES, c->message, bytes, c->policy.queue_limit,
                               &accepted));
        if (accepted) break;
        if (vly_now_ms() > deadline)
            return vly_fail(
                VLY_ETIMEOUT,
                "parameter server: the queue of %d pushes stays full; is the learner alive?",
                c->policy.queue_limit);
        wire_params head_now;
        size_t got;
        if (vly_store_get_range(store, WIRE_PARAMS, 0, &head_now, sizeof head_now, &got) ==
                VLY_OK &&
            got == sizeof head_now && (head_now.flags & WIRE_STOP))
            return VLY_OK;
        nanosleep(&(struct timespec){0, pause_us * 1000}, NULL);
    }
    return VLY_OK;
}

static vly_status push_floats(vly_ps_client *c, vly_store *store, const wire_push *head,
                              const vly_real *data) {
    memcpy(c->message, head, sizeof *head);
    for (int64_t i = 0; i < head->count; i++) {
        const float x = (float)data[head->offset + i];
        memcpy(c->message + sizeof *head + (size_t)i * sizeof x, &x, sizeof x);
    }
    return push_message(c, store, sizeof *head + (size_t)head->count * sizeof(float));
}

/* ---- in ---- */

/* Reads the header of the published weights; VLY_ENOTFOUND if there are none. */
static vly_status peek_weights(vly_ps_client *c, vly_store *store, wire_params *head) {
    size_t got;
    VLY_TRY(vly_store_get_range(store, WIRE_PARAMS, 0, head, sizeof *head, &got));
    if (got == 0) return vly_fail(VLY_ENOTFOUND, "no weights are published yet");
    if (got != sizeof *head || head->magic != WIRE_MAGIC_PARAMS)
        return vly_fail(VLY_ECORRUPT, "the store's weights have an unknown format: run one version "
                                      "of the program everywhere");
    if (head->n != c->n)
        return vly_fail(VLY_EVERSION,
                        "the learner's network has %lld parameters, this worker's %lld: use the "
                        "same configuration",
                        (long long)head->n, (long long)c->n);
    return VLY_OK;
}

static vly_status fetch_weights(vly_ps_client *c, vly_store *store, wire_params *head,
                                vly_real *into) {
    const size_t want = sizeof *head + (size_t)c->n * sizeof(float);
    size_t got;
    VLY_TRY(vly_store_get(store, WIRE_PARAMS, c->weights, want, &got));
    memcpy(head, c->weights, sizeof *head);
    if (got != want || head->magic != WIRE_MAGIC_PARAMS || head->n != c->n)
        return vly_fail(VLY_ECORRUPT, "the store's weights are %zu bytes, not %zu", got, want);
    if (head->steps < 0 || head->gradients < 0)
        return vly_fail(VLY_ECORRUPT, "the store's weights are of a negative number of steps");
    for (int64_t i = 0; i < c->n; i++) {
        float x;
        memcpy(&x, c->weights + sizeof *head + (size_t)i * sizeof x, sizeof x);
        if (!isfinite(x))
            return vly_fail(VLY_ECORRUPT, "the store's weights hold a number that is not finite");
        into[i] = x;
    }
    return VLY_OK;
}

/* Waits for weights newer than `than`, or for the end of the run. `sent`: the push whose result
 * is awaited, still in c->message. It is sent again every RESEND_MS, in case the store lost it
 * (the server applies a push once). */
static vly_status wait_newer(vly_ps_client *c, int64_t than, const wire_push *sent) {
    const int64_t deadline = vly_now_ms() + c->policy.patience_ms;
    int64_t resend = vly_now_ms() + RESEND_MS;
    for (;;) {
        wire_params head;
        const vly_status status = peek_weights(c, c->store, &head);
        /* a restarted learner may continue from an older version */
        const bool restarted = than >= 0 && head.incarnation != c->seen.incarnation;
        if (status == VLY_OK && ((head.flags & WIRE_STOP) || head.version > than || restarted))
            return VLY_OK;
        if (status != VLY_OK && status != VLY_ENOTFOUND) return status;
        if (vly_now_ms() > deadline)
            return vly_fail(VLY_ETIMEOUT,
                            "parameter server: no new weights for %d s; is the learner alive?",
                            c->policy.patience_ms / 1000);
        const void *token;
        size_t bytes;
        VLY_TRY(beat_worker(c, c->store));
        if (sent && vly_now_ms() > resend) {
            bool accepted;
            resend = vly_now_ms() + RESEND_MS;
            VLY_TRY(vly_store_push(c->store, WIRE_PUSHES, c->message,
                                   sizeof *sent + (size_t)sent->count * sizeof(float),
                                   c->policy.queue_limit, &accepted));
        }
        const vly_status woken = vly_store_pop(c->store, c->wake, WAIT_MS, &token, &bytes);
        if (woken != VLY_OK && woken != VLY_ENOTFOUND) return woken;
    }
}

/* Waits until the server has taken push `sent`. Without this wait a worker's weights would be as
 * old as the queue is long. */
static vly_status wait_taken(vly_ps_client *c, vly_store *store, const wire_push *sent) {
    const int64_t deadline = vly_now_ms() + c->policy.patience_ms;
    int64_t resend = vly_now_ms() + RESEND_MS;
    for (;;) {
        const void *token;
        size_t bytes;
        uint64_t seq = 0;
        const vly_status status = vly_store_pop(store, c->wake, WAIT_MS, &token, &bytes);
        if (status == VLY_OK && bytes == sizeof seq) memcpy(&seq, token, sizeof seq);
        if (seq >= sent->seq) return VLY_OK;
        if (status == VLY_OK) continue; /* for an earlier push */
        if (status != VLY_ENOTFOUND) return status;
        wire_params head;
        if (peek_weights(c, store, &head) == VLY_OK && (head.flags & WIRE_STOP)) return VLY_OK;
        if (vly_now_ms() > deadline)
            return vly_fail(
                VLY_ETIMEOUT,
                "parameter server: no gradient was taken for %d s; is the learner alive?",
                c->policy.patience_ms / 1000);
        VLY_TRY(beat_worker(c, store));
        if (vly_now_ms() < resend) continue;
        resend = vly_now_ms() + RESEND_MS;
        bool accepted;
        VLY_TRY(vly_store_push(store, WIRE_PUSHES, c->message,
                               sizeof *sent + (size_t)sent->count * sizeof(float),
                               c->policy.queue_limit, &accepted));
    }
}

static vly_status load_weights(vly_ps_client *c, vly_queue *q, const vly_params *p) {
    wire_params head;
    VLY_TRY(fetch_weights(c, c->store, &head, c->host));
    c->seen = head; /* not that of weights that were refused */
    VLY_TRY(q->c->upload(q, p->param, c->host, (size_t)c->n * sizeof *c->host));
    return q->c->queue_sync(q);
}

/* Small weights are loaded without reading the header first: that takes as long. */
static vly_status load_if_newer(vly_ps_client *c, vly_queue *q, const vly_params *p) {
    wire_params head;
    if (c->n < PEEK_FROM) {
        const vly_status status = load_weights(c, q, p);
        return status == VLY_ENOTFOUND ? VLY_OK : status;
    }
    const vly_status status = peek_weights(c, c->store, &head);
    if (status == VLY_ENOTFOUND)
        return VLY_OK; /* the store was restarted; the server publishes again */
    VLY_TRY(status);
    if (head.version == c->seen.version && head.incarnation == c->seen.incarnation &&
        !(head.flags & WIRE_STOP))
        return VLY_OK;
    const vly_status loaded = load_weights(c, q, p);
    return loaded == VLY_ENOTFOUND ? VLY_OK : loaded;
}

/* Repeats both if the store dies in between: the server publishes again. */
static vly_status wait_and_load(vly_ps_client *c, vly_queue *q, const vly_params *p, int64_t than,
                                const wire_push *sent) {
    for (;;) {
        VLY_TRY(wait_newer(c, than, sent));
        const vly_status status = load_weights(c, q, p);
        if (status != VLY_ENOTFOUND) return status;
    }
}

/* ---- OVERLAPPED ---- */

static vly_status send_flight(vly_ps_client *c) {
    const int parts = c->policy.parts;
    /* the last layers first: their gradients are ready first */
    for (int part = parts - 1; part >= 0; part--) {
        wire_push head = c->flight_head;
        head.part = part, head.parts = parts;
        head.offset = c->n * part / parts;
        head.count = c->n * (part + 1) / parts - head.offset;
        if (part != parts - 1) head.steps = head.returns = 0;
        VLY_TRY(push_floats(c, c->sender_store, &head, c->flight));
        if (part == 0) VLY_TRY(wait_taken(c, c->sender_store, &head));
    }
    wire_params head;
    const vly_status status = peek_weights(c, c->sender_store, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    if (head.version == c->fresh_head.version && head.incarnation == c->fresh_head.incarnation &&
        !(head.flags & WIRE_STOP))
        return VLY_OK;
    const vly_status fetched = fetch_weights(c, c->sender_store, &head, c->fresh);
    if (fetched == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(fetched);
    c->fresh_head = head;
    c->have_fresh = true;
    return VLY_OK;
}

static void *sender_main(void *arg) {
    vly_ps_client *c = arg;
    pthread_mutex_lock(&c->lock);
    while (!c->quit) {
        if (!c->full) {
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        pthread_mutex_unlock(&c->lock); /* flight and fresh belong to this thread while full */
        const vly_status status = send_flight(c);
        pthread_mutex_lock(&c->lock);
        if (status != VLY_OK)
            snprintf(c->sender_error, sizeof c->sender_error, "%s", vly_error_text());
        c->sender_status = status;
        c->full = false;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Clips by the norm of the whole gradient, which the server cannot compute from a part. */
static void clip_whole(vly_real *gradient, int64_t n, vly_hyper *hyper) {
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (double)gradient[i] * (double)gradient[i];
    const double norm = sqrt(squares), most = (double)hyper->max_grad_norm;
    if (most > 0 && norm > most)
        for (int64_t i = 0; i < n; i++) gradient[i] *= (vly_real)(most / norm);
    hyper->max_grad_norm = 0;
}

/* Waits for the previous push, loads the weights that came back, and starts sending this
 * gradient. */
static vly_status exchange_flight(vly_ps_client *c, vly_queue *q, const vly_params *p,
                                  const vly_hyper *hyper) {
    vly_status status;
    pthread_mutex_lock(&c->lock);
    while (c->full) pthread_cond_wait(&c->changed, &c->lock);
    status = c->sender_status;
    if (status != VLY_OK) status = vly_fail(status, "%s", c->sender_error);
    if (status == VLY_OK) {
        fill_push_head(c, &c->flight_head, WIRE_GRADIENT, hyper);
        memcpy(c->flight, c->host, (size_t)c->n * sizeof *c->host);
        if (c->have_fresh) {
            c->seen = c->fresh_head;
            status = q->c->upload(q, p->param, c->fresh, (size_t)c->n * sizeof *c->fresh);
            if (status == VLY_OK) status = q->c->queue_sync(q);
            c->have_fresh = false;
        }
        c->full = true;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* ---- called by algorithms ---- */

static vly_status apply_gradient(vly_sync *s, vly_queue *q, const vly_params *p,
                                 const vly_hyper *hyper) {
    vly_ps_client *c = (vly_ps_client *)s;
    vly_hyper h;
    if (vly_ps_client_stopped(c)) return VLY_OK;
    VLY_TRY(q->c->download(q, c->host, p->grad, (size_t)c->n * sizeof *c->host));
    VLY_TRY(q->c->download(q, &h, hyper, sizeof h));
    VLY_TRY(q->c->queue_sync(q));
    for (int64_t i = 0; i < c->n; i++)
        if (!isfinite(c->host[i]))
            return vly_fail(VLY_ENUMERIC, "worker %s: a gradient is not finite", c->name);
    if (c->policy.update == VLY_PS_OVERLAPPED) {
        clip_whole(c->host, c->n, &h);
        return exchange_flight(c, q, p, &h);
    }
    wire_push head;
    fill_push_head(c, &head, WIRE_GRADIENT, &h);
    VLY_TRY(push_floats(c, c->store, &head, c->host));
    if (c->policy.update != VLY_PS_SYNC) {
        VLY_TRY(wait_taken(c, c->store, &head));
        return load_if_newer(c, q, p);
    }
    return wait_and_load(c, q, p, head.base, &head);
}

/* Adapts K so that the exchange of a round takes a tenth of the time of its computation. */
static void adapt_local_steps(vly_ps_client *c, double round_ms, double exchange_ms) {
    if (!c->policy.adaptive || c->local < 1) return;
    const double step = fmax(round_ms / c->local, 1e-3);
    c->step_ms = c->step_ms > 0 ? 0.7 * c->step_ms + 0.3 * step : step;
    const double want = 10 * exchange_ms / c->step_ms;
    const double bounded = fmin(fmax(want, c->local_steps / 2.0), c->local_steps * 2.0);
    c->local_steps = (int)fmin(fmax(bounded, 1), LOCAL_MOST);
}

static vly_status average_weights(vly_sync *s, vly_queue *q, const vly_params *p) {
    vly_ps_client *c = (vly_ps_client *)s;
    if (++c->local < c->local_steps || vly_ps_client_stopped(c)) return VLY_OK;
    const int64_t computed = vly_now_ms();
    VLY_TRY(q->c->download(q, c->host, p->param, (size_t)c->n * sizeof *c->host));
    VLY_TRY(q->c->queue_sync(q));
    wire_push head;
    fill_push_head(c, &head, WIRE_WEIGHTS, NULL);
    VLY_TRY(push_floats(c, c->store, &head, c->host));
    VLY_TRY(wait_and_load(c, q, p, head.base, &head));
    const int64_t done = vly_now_ms();
    adapt_local_steps(c, (double)(computed - c->round_start_ms), (double)(done - computed));
    c->round_start_ms = done;
    c->local = 0;
    return VLY_OK;
}

/* ---- UNROLLS ---- */

static vly_status send_unroll(vly_sync *s, const void *unroll, size_t bytes) {
    vly_ps_client *c = (vly_ps_client *)s;
    wire_push head;
    if (vly_ps_client_stopped(c)) return VLY_OK;
    if (bytes > c->room) { /* at the first unroll; all have the same size */
        unsigned char *message = realloc(c->message, sizeof head + bytes);
        if (!message) return vly_fail(VLY_ENOMEM, "no memory for an unroll of %zu bytes", bytes);
        c->message = message, c->room = bytes;
    }
    fill_push_head(c, &head, WIRE_UNROLL, NULL);
    head.count = (int64_t)bytes;
    memcpy(c->message, &head, sizeof head);
    memcpy(c->message + sizeof head, unroll, bytes);
    return push_message(c, c->store, sizeof head + bytes);
}

static vly_status refresh_weights(vly_sync *s, vly_queue *q, const vly_params *p,
                                  int64_t *version) {
    vly_ps_client *c = (vly_ps_client *)s;
    const vly_status status = vly_ps_client_stopped(c) ? VLY_OK : load_if_newer(c, q, p);
    *version = c->seen.version;
    return status;
}

static vly_status allocate_client(vly_ps_client *c, int64_t n) {
    c->n = n;
    c->room = (size_t)n * sizeof(float);
    c->message = malloc(sizeof(wire_push) + (size_t)n * sizeof(float));
    c->weights = malloc(sizeof(wire_params) + (size_t)n * sizeof(float));
    c->host = calloc((size_t)n, sizeof *c->host);
    c->flight = calloc((size_t)n, sizeof *c->flight);
    c->fresh = calloc((size_t)n, sizeof *c->fresh);
    return c->message && c->weights && c->host && c->flight && c->fresh
               ? VLY_OK
               : vly_fail(VLY_ENOMEM, "parameter server: out of memory");
}

/* Every worker starts from the published weights. The first broadcast is that of the weights. */
static vly_status receive_weights(vly_sync *s, vly_queue *q, void *data, size_t bytes, int root) {
    vly_ps_client *c = (vly_ps_client *)s;
    (void)root;
    if (c->n == 0) VLY_TRY(allocate_client(c, (int64_t)(bytes / sizeof(vly_real))));
    if (bytes != (size_t)c->n * sizeof(vly_real))
        return VLY_OK; /* other data than the weights stays each worker's own */
    const vly_params p = {.n = c->n, .param = data};
    return wait_and_load(c, q, &p, -1, NULL);
}

void vly_ps_client_note(vly_ps_client *c, int64_t steps, const double *returns, int count) {
    c->steps += steps;
    c->done += steps;
    c->samples += steps;
    for (int i = 0; i < count; i++) {
        if (c->returns == WIRE_RETURNS) { /* keep the newest */
            memmove(c->score, c->score + 1, (WIRE_RETURNS - 1) * sizeof c->score[0]);
            c->returns--;
        }
        c->score[c->returns++] = (float)returns[i];
    }
}

static int64_t client_fleet_steps(vly_sync *s) {
    return ((const vly_ps_client *)s)->seen.steps;
}
static int64_t client_fleet_gradients(vly_sync *s) {
    return ((const vly_ps_client *)s)->seen.gradients;
}
int64_t vly_ps_client_steps(const vly_ps_client *c) {
    return c->seen.steps;
}
bool vly_ps_client_stopped(const vly_ps_client *c) {
    return (c->seen.flags & WIRE_STOP) != 0;
}
vly_sync *vly_ps_client_sync(vly_ps_client *c) {
    return &c->sync;
}

static const vly_sync_mixing average = {.mix = average_weights};
static const vly_sync_unrolls send_unrolls = {.send = send_unroll, .refresh = refresh_weights};
static const vly_sync_server push_gradients = {.apply = apply_gradient,
                                               .gradients = client_fleet_gradients};

/* ---- life ---- */

static vly_status start_sender(vly_ps_client *c, const char *url, const char *run) {
    VLY_TRY(vly_store_open(&c->sender_store, url, run, NULL));
    if (pthread_mutex_init(&c->lock, NULL) || pthread_cond_init(&c->changed, NULL) ||
        pthread_create(&c->sender, NULL, sender_main, c))
        return vly_fail(VLY_ENOMEM, "parameter server: cannot start a sender thread");
    c->threaded = true;
    return VLY_OK;
}

vly_status vly_ps_client_create(vly_ps_client **out, vly_store *store, const char *url,
                                const char *run, const char *worker, const vly_ps_policy *policy) {
    if (!worker[0] || strlen(worker) >= sizeof((wire_push *)0)->worker)
        return vly_fail(VLY_EINVAL, "parameter server: invalid worker name '%s'", worker);
    vly_ps_client *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "parameter server: out of memory");
    c->store = store, c->policy = *policy;
    if (!c->policy.queue_limit)
        c->policy.queue_limit = policy->update == VLY_PS_UNROLLS ? UNROLLS_LIMIT : QUEUE_LIMIT;
    if (!c->policy.ttl_ms) c->policy.ttl_ms = TTL_MS;
    if (!c->policy.patience_ms) c->policy.patience_ms = PATIENCE_MS;
    if (!c->policy.parts) c->policy.parts = 2;
    c->local_steps = c->policy.local_steps > 0 ? c->policy.local_steps : 1;
    snprintf(c->name, sizeof c->name, "%s", worker);
    snprintf(c->wake, sizeof c->wake, WIRE_WAKE, worker);
    c->life = (uint64_t)vly_now_ms() * 65536u + (uint64_t)(getpid() & 65535);
    c->seen.version = -1;
    c->round_start_ms = vly_now_ms();
    c->sync = (vly_sync){.world = 1, .broadcast = receive_weights, .steps = client_fleet_steps};
    switch (policy->update) {
    case VLY_PS_FEDAVG: c->sync.mixing = &average; break;
    case VLY_PS_UNROLLS: c->sync.unrolls = &send_unrolls; break;
    default: c->sync.server = &push_gradients; break;
    }
    const vly_status status = policy->update == VLY_PS_OVERLAPPED ? start_sender(c, url, run)
                                                                  : VLY_OK;
    if (status != VLY_OK) {
        vly_ps_client_destroy(c);
        return status;
    }
    *out = c;
    return VLY_OK;
}

void vly_ps_client_destroy(vly_ps_client *c) {
    if (!c) return;
    if (c->threaded) {
        pthread_mutex_lock(&c->lock);
        c->quit = true;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->sender, NULL);
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
    }
    vly_store_close(c->sender_store);
    free(c->message), free(c->weights), free(c->host), free(c->flight), free(c->fresh);
    free(c);
}
