#include "cpu/fleet/weights.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

vly_status vly_weights_create(vly_weights **out, vly_store *store, int64_t n) {
    vly_weights *w = calloc(1, sizeof *w);
    struct timespec t;
    if (w) w->message = malloc(sizeof(wire_params) + (size_t)n * sizeof(float));
    if (!w || !w->message) {
        free(w);
        return vly_fail(VLY_ENOMEM, "weights: out of memory");
    }
    clock_gettime(CLOCK_REALTIME, &t);
    w->store = store, w->n = n;
    w->seen.version = -1;
    w->incarnation = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    *out = w;
    return VLY_OK;
}

void vly_weights_destroy(vly_weights *w) {
    if (!w) return;
    free(w->message);
    free(w);
}

vly_status vly_weights_publish(vly_weights *w, int64_t version, int64_t steps, bool stop,
                               const vly_real *param) {
    w->seen = (wire_params){.magic = WIRE_MAGIC_PARAMS,
                            .flags = stop ? WIRE_STOP : 0,
                            .version = version,
                            .n = w->n,
                            .steps = steps,
                            .incarnation = w->incarnation};
    memcpy(w->message, &w->seen, sizeof w->seen);
    for (int64_t i = 0; i < w->n; i++) {
        const float x = (float)param[i];
        memcpy(w->message + sizeof w->seen + (size_t)i * sizeof x, &x, sizeof x);
    }
    return vly_store_set(w->store, WIRE_PARAMS, w->message,
                         sizeof w->seen + (size_t)w->n * sizeof(float));
}

vly_status vly_weights_peek(vly_weights *w, wire_params *head) {
    size_t got;
    VLY_TRY(vly_store_get_range(w->store, WIRE_PARAMS, 0, head, sizeof *head, &got));
    if (got == 0) return vly_fail(VLY_ENOTFOUND, "no weights are published yet");
    if (got != sizeof *head || head->magic != WIRE_MAGIC_PARAMS)
        return vly_fail(VLY_ECORRUPT, "the store's weights have an unknown format: run one version "
                                      "of the program everywhere");
    if (head->n != w->n)
        return vly_fail(VLY_EVERSION,
                        "the learner's network has %lld parameters, this actor's %lld: use the "
                        "same configuration",
                        (long long)head->n, (long long)w->n);
    return VLY_OK;
}

vly_status vly_weights_follow(vly_weights *w, vly_real *param, bool *fresh) {
    const size_t want = sizeof(wire_params) + (size_t)w->n * sizeof(float);
    wire_params head;
    size_t got;
    *fresh = false;
    const vly_status status = vly_weights_peek(w, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    const bool same = head.version == w->seen.version && head.incarnation == w->seen.incarnation;
    w->seen = head;
    if (same) return VLY_OK;
    VLY_TRY(vly_store_get(w->store, WIRE_PARAMS, w->message, want, &got));
    memcpy(&head, w->message, sizeof head);
    if (got != want || head.magic != WIRE_MAGIC_PARAMS || head.n != w->n)
        return vly_fail(VLY_ECORRUPT, "the store's weights are %zu bytes, not %zu", got, want);
    w->seen = head;
    for (int64_t i = 0; i < w->n; i++) {
        float x;
        memcpy(&x, w->message + sizeof head + (size_t)i * sizeof x, sizeof x);
        param[i] = x;
    }
    *fresh = true;
    return VLY_OK;
}
