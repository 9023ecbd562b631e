#include "benchmarks/bench_twin.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "cpu/run/device.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/ops/simd.h"

enum {
    TILE = 1000003
}; /* so many different numbers in an array; a prime, so that tiles and rows do not fall together */

/* ---- both sides ---- */

vly_status vly_bench_reference_open(vly_compute **out) {
    if (!vly_simd_force("base"))
        return vly_fail(VLY_EUNSUPPORTED, "the plain C code is not built in");
    const vly_status status = vly_compute_create_cpu(out, 0);
    vly_simd_force(NULL);
    return status;
}

static vly_status take(vly_bench_side *s, size_t bytes, void *out) {
    return s->c->alloc(s->c, bytes, "a benchmark", NULL, out);
}

static vly_status open_side(vly_bench_side *s) {
    const vly_hyper hyper = {.lr = 1e-5f,
                             .max_grad_norm = 0.5f,
                             .clip = 0.1f,
                             .value_coef = 0.5f,
                             .entropy_coef = 0.01f,
                             .gamma = 0.99f,
                             .lambda = 0.95f,
                             .rho_bar = 1,
                             .c_bar = 1,
                             .huber_delta = 1,
                             .tau = 0.005f,
                             .reward_scale = 1};
    const vly_rng rng = {1, 0};
    VLY_TRY(s->c->queue_create(s->c, VLY_QUEUE_LEARN, &s->q));
    VLY_TRY(take(s, sizeof hyper, &s->hyper));
    VLY_TRY(take(s, sizeof rng, &s->rng));
    VLY_TRY(s->c->upload(s->q, s->hyper, &hyper, sizeof hyper));
    VLY_TRY(s->c->upload(s->q, s->rng, &rng, sizeof rng));
    return s->c->queue_sync(s->q);
}

static vly_status add_kept(vly_bench_twin *t) {
    vly_bench_array norm = {.type = VLY_F32, .count = 4, .tolerance = 1e-4},
                    stats = {.type = VLY_F32, .count = VLY_STATS, .tolerance = 1e-4},
                    step = {.type = VLY_I64, .count = 1};
    VLY_TRY(vly_bench_twin_add(t, &norm));
    VLY_TRY(vly_bench_twin_add(t, &stats));
    VLY_TRY(vly_bench_twin_add(t, &step));
    for (int i = 0; i < VLY_SIDES; i++)
        t->side[i].norm = norm.on[i], t->side[i].stats = stats.on[i], t->side[i].step = step.on[i];
    t->kept = t->count;
    return vly_bench_twin_reset(t);
}

static vly_status open_both(vly_bench_twin *t) {
    const char *device = getenv("VLY_BENCH_DEVICE"), *divide = getenv("VLY_BENCH_DIVIDE");
    t->divide = divide ? atoi(divide) : 1;
    if (t->divide < 1)
        return vly_fail(VLY_EINVAL, "VLY_BENCH_DIVIDE=%.20s: a number of at least 1 is needed",
                        divide);
    VLY_TRY(vly_device_open(&t->side[VLY_SIDE_DEVICE].c, device ? device : "auto", 0, NULL, 0));
    VLY_TRY(vly_bench_reference_open(&t->side[VLY_SIDE_REFERENCE].c));
    t->gpu = !t->side[VLY_SIDE_DEVICE].c->info.is_host;
    for (int i = 0; i < VLY_SIDES; i++) VLY_TRY(open_side(&t->side[i]));
    return add_kept(t);
}

vly_status vly_bench_twin_open(vly_bench_twin *t) {
    memset(t, 0, sizeof *t);
    const vly_status status = open_both(t);
    if (status != VLY_OK) vly_bench_twin_close(t);
    return status;
}

static void drop_to(vly_bench_twin *t, int count) {
    while (t->count > count) {
        const vly_bench_array *a = &t->array[--t->count];
        for (int i = 0; i < VLY_SIDES; i++)
            if (a->on[i]) t->side[i].c->free(t->side[i].c, a->on[i]);
    }
}

void vly_bench_twin_close(vly_bench_twin *t) {
    drop_to(t, 0);
    for (int i = 0; i < VLY_SIDES; i++) {
        vly_bench_side *s = &t->side[i];
        if (!s->c) continue;
        if (s->hyper) s->c->free(s->c, s->hyper);
        if (s->rng) s->c->free(s->c, s->rng);
        if (s->q) s->c->queue_destroy(s->q);
        s->c->destroy(s->c);
    }
    memset(t, 0, sizeof *t);
}

vly_status vly_bench_twin_reset(vly_bench_twin *t) {
    const vly_real norm[4] = {1};
    for (int i = 0; i < VLY_SIDES; i++) {
        const vly_bench_side *s = &t->side[i];
        VLY_TRY(s->c->upload(s->q, s->norm, norm, sizeof norm));
        VLY_TRY(s->c->fill(s->q, s->stats, 0, VLY_STATS * sizeof(vly_real)));
        VLY_TRY(s->c->fill(s->q, s->step, 0, sizeof(int64_t)));
        VLY_TRY(s->c->queue_sync(s->q));
    }
    return VLY_OK;
}

/* ---- arrays ---- */

static float real_of(const vly_bench_array *a, uint32_t bits) {
    const float spread = a->spread > 0 ? a->spread : 1;
    return spread * (a->positive ? vly_unit(bits) : 2 * vly_unit(bits) - 1);
}

static void put(const vly_bench_array *a, uint32_t bits, void *to) {
    const float f = real_of(a, bits);
    const int32_t row = (int32_t)vly_below(bits, (uint32_t)(a->below > 0 ? a->below : 1));
    const int64_t wide = row;
    const uint16_t low = vly_bf16_from_f32(f);
    const uint8_t byte = !a->flags ? (uint8_t)bits : bits % 100 == 0 ? VLY_ROW_TERMINATED : 0;
    const void *from = a->type == VLY_F32    ? (const void *)&f
                       : a->type == VLY_I32  ? (const void *)&row
                       : a->type == VLY_I64  ? (const void *)&wide
                       : a->type == VLY_BF16 ? (const void *)&low
                                             : (const void *)&byte;
    memcpy(to, from, vly_dtype_bytes(a->type));
}

/* The first `unit` bytes of host are made, the rest repeats them. */
static void repeat(uint8_t *host, size_t unit, size_t bytes) {
    for (size_t done = unit; done < bytes; done *= 2)
        memcpy(host + done, host, done < bytes - done ? done : bytes - done);
}

static vly_status fill(vly_bench_twin *t, const vly_bench_array *a, uint8_t *host) {
    const size_t size = vly_dtype_bytes(a->type), unique = a->period < TILE ? a->period : TILE;
    for (size_t i = 0; i < unique; i++)
        put(a, vly_philox(7, VLY_STREAM_TEST, (uint64_t)t->count, (uint32_t)i).v[0],
            host + i * size);
    repeat(host, unique * size, a->period * size);
    repeat(host, a->period * size, a->count * size);
    for (int i = 0; i < VLY_SIDES; i++) {
        const vly_bench_side *s = &t->side[i];
        VLY_TRY(s->c->upload(s->q, a->on[i], host,
                             (i == VLY_SIDE_DEVICE ? a->count : a->period) * size));
        VLY_TRY(s->c->queue_sync(s->q));
    }
    return VLY_OK;
}

vly_status vly_bench_twin_add(vly_bench_twin *t, vly_bench_array *a) {
    if (t->count == VLY_BENCH_ARRAYS)
        return vly_fail(VLY_EINVAL, "more than %d arrays", VLY_BENCH_ARRAYS);
    if (a->period == 0) a->period = a->count;
    if (a->count == 0 || a->count % a->period != 0)
        return vly_fail(VLY_EINVAL, "an array of %zu numbers that repeats %zu", a->count,
                        a->period);
    const size_t size = vly_dtype_bytes(a->type);
    vly_bench_array *kept = &t->array[t->count++];
    *kept = *a;
    VLY_TRY(take(&t->side[VLY_SIDE_DEVICE], a->count * size, &kept->on[VLY_SIDE_DEVICE]));
    VLY_TRY(take(&t->side[VLY_SIDE_REFERENCE], a->period * size, &kept->on[VLY_SIDE_REFERENCE]));
    *a = *kept;
    uint8_t *host = malloc(a->count * size);
    if (!host)
        return vly_fail(VLY_ENOMEM, "no memory for a benchmark (%zu bytes)", a->count * size);
    const vly_status status = fill(t, kept, host);
    free(host);
    return status;
}

void vly_bench_twin_forget(vly_bench_twin *t) {
    drop_to(t, t->kept);
}

/* ---- comparing ---- */

static double real_at(vly_dtype type, const void *data, size_t i) {
    return type == VLY_F32 ? (double)((const float *)data)[i]
                           : (double)vly_bf16_to_f32(((const uint16_t *)data)[i]);
}

static void compare_reals(const vly_bench_array *a, const void *got, vly_bench_result *r) {
    const void *want = a->on[VLY_SIDE_REFERENCE];
    const double factor = a->factor > 0 ? a->factor : 1;
    double squares = 0;
    for (size_t i = 0; i < a->period; i++)
        squares += real_at(a->type, want, i) * real_at(a->type, want, i);
    const double size = factor * sqrt(squares / (double)a->period) + 1e-30;
    for (size_t i = 0, k = 0; i < a->count; i++, k = k + 1 == a->period ? 0 : k + 1) {
        const double w = factor * real_at(a->type, want, k),
                     error = fabs(real_at(a->type, got, i) - w) / (fabs(w) + size);
        if (!(error <= a->tolerance)) r->wrong++; /* NaN is wrong */
        if (!(error <= r->error)) r->error = isnan(error) ? 1e30 : error;
    }
}

static void compare_bits(const vly_bench_array *a, const void *got, vly_bench_result *r) {
    const size_t size = vly_dtype_bytes(a->type);
    for (size_t i = 0, k = 0; i < a->count; i++, k = k + 1 == a->period ? 0 : k + 1)
        if (memcmp((const char *)got + i * size, (const char *)a->on[VLY_SIDE_REFERENCE] + k * size,
                   size) != 0)
            r->wrong++;
}

static vly_status compare(vly_bench_twin *t, const vly_bench_array *a, vly_bench_result *r) {
    const vly_bench_side *s = &t->side[VLY_SIDE_DEVICE];
    const size_t bytes = a->count * vly_dtype_bytes(a->type);
    void *got = malloc(bytes);
    if (!got) return vly_fail(VLY_ENOMEM, "no memory to verify a benchmark (%zu bytes)", bytes);
    vly_status status = s->c->download(s->q, got, a->on[VLY_SIDE_DEVICE], bytes);
    if (status == VLY_OK) status = s->c->queue_sync(s->q);
    if (status == VLY_OK) (a->tolerance > 0 ? compare_reals : compare_bits)(a, got, r);
    free(got);
    r->verified += (long long)a->count;
    return status;
}

vly_status vly_bench_twin_compare(vly_bench_twin *t, vly_bench_result *r) {
    for (int i = 0; i < t->count; i++)
        if (!t->array[i].scratch) VLY_TRY(compare(t, &t->array[i], r));
    return VLY_OK;
}
