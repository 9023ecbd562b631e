/* conv_bf16.c -- convolutions of bf16 numbers: patches are rows of a matrix, which is multiplied
 * (bf16_simd.h).
 *
 * Tiles need the patches copied: 5,400 cache lines a sample in the Nature network. Vectors read
 * them in the image. uint8 pixels are exact in bf16; their scale goes into the weights. Gradients:
 * dW takes some samples' patches as pairs of rows, or, from one image of uint8, reads them where
 * they lie in an image of pairs of neighbours; dx adds the products of dy and the weights to the
 * places of their patches, in float.
 */
#include <string.h>
#include <stdlib.h>
#include "cpu/ops/bf16_simd.h"
#include "cpu/ops/ops.h"
#include "cpu/ops/simd.h"

enum {
    TILE = 16,
    DEPTH = 32,
    TILE_NUMBERS = 512,
    GROUPS = 16,
    PIXELS = 384 /* that dW takes at a time, about */
};

typedef struct {
    const vly_bf16_simd *simd;
    int pixels, k_tiles, k_padded, out_tiles, out_deep, out_padded;
    int together, pixels_padded; /* samples that dW takes at a time, and their pixels */
    int pad_w;
    int64_t padded; /* numbers of a padded image */
    bool copy_x;
    bool read_in_place, add_in_place; /* forward reads patches, dx adds them, without copies */
    bool pair_in_place;               /* dW reads patches of an image of pairs */
    int32_t *patch;                   /* (pixels) where each begins in the padded image */
    uint16_t *forward, *backward;     /* tiles (out_tiles, k_tiles), (k_padded / 16,
                                                         out_deep) */
    float *bias;
    char *scratch; /* (threads) x scratch_bytes, with: */
    size_t scratch_bytes, image_at, patch_at, dy_at, dy_t_at, column_at, dx_at;
    float *part; /* (GROUPS) x (out_padded, k_padded) and (out_padded) for the bias */
    int64_t part_size;
} conv_bf16;

typedef struct {
    vly_cpu *cpu;
    vly_layer *l;
    conv_bf16 *s;
    int n, groups;
    const void *x;
    const void *y, *dy;
    void *out, *dx;
    float *dw;
    bool accumulate;
} conv_bf16_call;

static int padded_to(int n, int to) {
    return (n + to - 1) / to * to;
}
static int64_t weight_tiles(const conv_bf16 *s) {
    return (int64_t)s->k_padded / TILE * s->out_deep;
}

static vly_status conv_bf16_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    (void)cpu;
    conv_bf16 *s = l->state;
    const int out = l->d.out_c, k = (int)l->patch_size;
    memcpy(s->bias, w + out * l->patch_size, (size_t)out * sizeof *w);
    for (int o = 0; o < s->out_tiles; o++)
        for (int t = 0; t < s->k_tiles; t++)
            s->simd->pack_transposed(w + (int64_t)o * TILE * k + t * DEPTH, k, out - o * TILE,
                                     k - t * DEPTH, l->d.x_scale,
                                     s->forward + ((int64_t)o * s->k_tiles + t) * TILE_NUMBERS);
    for (int64_t i = 0; s->backward && i < weight_tiles(s); i++) {
        const int column = (int)(i / s->out_deep) * TILE, row = (int)(i % s->out_deep) * DEPTH;
        s->simd->pack(w + (int64_t)row * k + column, k, out - row, k - column,
                      s->backward + i * TILE_NUMBERS);
    }
    return VLY_OK;
}

/* The (padded) image of a sample as bf16. */
static const uint16_t *padded_image_bf16(const conv_bf16_call *c, int64_t sample, int slot) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    const int64_t at = sample * l->in_size, row = (int64_t)l->d.in_w * l->d.in_c;
    if (!s->copy_x) return (const uint16_t *)c->x + at;
    uint16_t *to = (uint16_t *)(void *)(s->scratch + (size_t)slot * s->scratch_bytes + s->image_at);
    for (int y = 0; y < l->d.in_h; y++) { /* the border is zero since create */
        uint16_t *line = to + ((int64_t)(y + l->d.pad) * s->pad_w + l->d.pad) * l->d.in_c;
        if (l->d.x_type == VLY_U8)
            s->simd->from_u8(row, (const uint8_t *)c->x + at + y * row, line);
        else
            memcpy(line, (const uint16_t *)c->x + at + y * row, (size_t)row * sizeof *line);
    }
    return to;
}

/* ---- forward ---- */

static void conv_bf16_forward_sample(void *arg, int i, int slot) {
    const conv_bf16_call *c = arg;
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    const int run = l->d.kernel * l->d.in_c;
    const int64_t step = (int64_t)s->pad_w * l->d.in_c;
    const uint16_t *x = padded_image_bf16(c, i, slot);
    uint16_t *rows =
        (uint16_t *)(void *)(s->scratch + (size_t)slot * s->scratch_bytes + s->patch_at);
    vly_bf16_product p = {.a = rows,
                          .lda = s->k_padded,
                          .b = s->forward,
                          .b_n = (int64_t)s->k_tiles * TILE_NUMBERS,
                          .b_row = 2 * TILE,
                          .m = s->pixels,
                          .n = l->d.out_c,
                          .k = (int)l->patch_size,
                          .y = (char *)c->out +
                               (size_t)(i * l->out_size) * vly_dtype_bytes(l->d.y_type),
                          .y_type = l->d.y_type,
                          .ldy = l->d.out_c,
                          .bias = s->bias,
                          .act = l->d.act,
                          .tanh = c->cpu->simd->tanh};
    if (s->read_in_place)
        p.a = x, p.a_at = s->patch, p.run = run, p.step = step;
    else
        for (int j = 0; j < s->pixels; j++)
            s->simd->patch(x + s->patch[j], l->d.kernel, run, step,
                           rows + (int64_t)j * s->k_padded);
    s->simd->multiply(&p);
}

static double conv_bf16_flops(const vly_layer *l, int n) {
    const conv_bf16 *s = l->state;
    return 4 * s->simd->cost * n * l->out_h * l->out_w * (double)l->patch_size * l->d.out_c;
}

static vly_status conv_bf16_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                    const vly_real *w, void *y) {
    (void)w;
    conv_bf16_call c = {.cpu = cpu, .l = l, .s = l->state, .n = n, .x = x, .out = y};
    vly_cpu_run(cpu, conv_bf16_flops(l, n), n, conv_bf16_forward_sample, &c);
    return VLY_OK;
}

/* ---- backward ---- */

/* The products of every pixel's dy and the weights, added at the pixel's patch in an image of sums.
 */
static void add_patches_bf16(const conv_bf16_call *c, const uint16_t *dy, float *columns,
                             float *sum) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    const int run = l->d.kernel * l->d.in_c;
    const int64_t line = (int64_t)s->pad_w * l->d.in_c;
    vly_bf16_product p = {.a = dy,
                          .lda = s->out_padded,
                          .b = s->backward,
                          .b_n = (int64_t)s->out_deep * TILE_NUMBERS,
                          .b_row = 2 * TILE,
                          .m = s->pixels,
                          .n = padded_to((int)l->patch_size, TILE),
                          .k = l->d.out_c,
                          .sum = columns,
                          .ld_sum = s->k_padded};
    if (s->add_in_place) {
        p.sum_at = s->patch, p.add = true, p.n = run;
        for (int ky = 0; ky < l->d.kernel; ky++, p.b += run / TILE * p.b_n)
            p.sum = sum + ky * line, s->simd->multiply(&p);
        return;
    }
    s->simd->multiply(&p);
    for (int j = 0; j < s->pixels; j++)
        for (int ky = 0; ky < l->d.kernel; ky++)
            s->simd->add(run, columns + (int64_t)j * s->k_padded + ky * run,
                         sum + s->patch[j] + ky * line);
}

static void dx_of_sample_bf16(const conv_bf16_call *c, int64_t sample, const uint16_t *dy,
                              char *scratch) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    const int64_t line = (int64_t)s->pad_w * l->d.in_c, row = (int64_t)l->d.in_w * l->d.in_c;
    float *sum = (float *)(void *)(scratch + s->dx_at);
    memset(sum, 0, (size_t)s->padded * sizeof *sum);
    add_patches_bf16(c, dy, (float *)(void *)(scratch + s->column_at), sum);
    for (int y = 0; y < l->d.in_h; y++)
        s->simd->to_bf16(row, sum + (y + l->d.pad) * line + (int64_t)l->d.pad * l->d.in_c,
                         (uint16_t *)c->dx + sample * l->in_size + y * row);
}

static void pair_patches(const conv_bf16_call *c, int64_t sample, uint16_t *pairs, int slot) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    const int run = l->d.kernel * l->d.in_c;
    const int64_t step = (int64_t)s->pad_w * l->d.in_c;
    const uint16_t *x = padded_image_bf16(c, sample, slot);
    for (int p = 0; p < s->pixels; p += 2, pairs += 2 * s->k_padded)
        s->simd->patch_pair(x + s->patch[p], p + 1 < s->pixels ? x + s->patch[p + 1] : NULL,
                            l->d.kernel, run, step, pairs);
}

/* Each number of an image beside the one that has its place in the next patch. A pair of pixels,
 * an even one and its right neighbour, has its patches as pairs of rows there. */
static void multiply_paired_image(const conv_bf16_call *c, int64_t sample, const uint16_t *dy_t,
                                  uint16_t *pairs, float *part, bool add) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    const int run = l->d.kernel * l->d.in_c;
    const int64_t row = (int64_t)l->d.in_w * l->d.in_c, apart = (int64_t)l->d.stride * l->d.in_c,
                  line = 2 * (row - apart);
    const uint8_t *x = (const uint8_t *)c->x + sample * l->in_size;
    for (int y = 0; y < l->d.in_h; y++)
        s->simd->pair_u8(row - apart, x + y * row, apart, pairs + y * line);
    vly_bf16_product p = {.a = dy_t,
                          .lda = s->pixels_padded,
                          .run = l->out_w,
                          .step = l->out_w,
                          .b = pairs,
                          .b_n = 2 * TILE,
                          .b_row = 4 * apart,
                          .b_step = l->d.stride * line - 2 * l->out_w * apart,
                          .m = l->d.out_c,
                          .n = run,
                          .k = s->pixels,
                          .sum = part,
                          .ld_sum = s->k_padded,
                          .add = add};
    for (int ky = 0; ky < l->d.kernel; ky++, p.b += line, p.sum += run) s->simd->multiply(&p);
}

/* Samples from .. to - 1: masked dy as rows, patches as pairs of rows, dx, and one product into the
 * group's dW. */
static void backward_samples(const conv_bf16_call *c, int from, int to, float *part, bool add,
                             int slot) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    char *scratch = s->scratch + (size_t)slot * s->scratch_bytes;
    uint16_t *dy = (uint16_t *)(void *)(scratch + s->dy_at),
             *dy_t = (uint16_t *)(void *)(scratch + s->dy_t_at);
    uint16_t *pairs = (uint16_t *)(void *)(scratch + s->patch_at);
    const int rows = padded_to(s->pixels, 2), used = (to - from) * rows,
              end = padded_to(used, DEPTH);
    const size_t type = vly_dtype_bytes(l->d.y_type);
    for (int i = from; i < to; i++) { /* a sample's pixels are rounded up to pairs, the odd one has
                                         no gradient */
        const int64_t first = (int64_t)(i - from) * rows;
        uint16_t *own = dy + first * s->out_padded;
        s->simd->mask(l->d.act, l->d.y_type, s->pixels, l->d.out_c,
                      (const char *)c->y + (size_t)(i * l->out_size) * type,
                      (const char *)c->dy + (size_t)(i * l->out_size) * type, own, s->out_padded,
                      part + (int64_t)s->out_padded * s->k_padded);
        memset(own + (int64_t)s->pixels * s->out_padded, 0,
               (size_t)(rows - s->pixels) * (size_t)s->out_padded * sizeof *dy);
        if (!s->pair_in_place) pair_patches(c, i, pairs + first * s->k_padded, slot);
        if (c->dx) dx_of_sample_bf16(c, i, own, scratch);
    }
    memset(dy + (int64_t)used * s->out_padded, 0,
           (size_t)(end - used) * (size_t)s->out_padded * sizeof *dy);
    s->simd->transpose(dy, end, s->out_padded, s->out_padded, dy_t, s->pixels_padded);
    if (s->pair_in_place) {
        multiply_paired_image(c, from, dy_t, pairs, part, add);
        return;
    }
    memset(pairs + (int64_t)used * s->k_padded, 0,
           (size_t)(end - used) * (size_t)s->k_padded * sizeof *pairs);
    s->simd->multiply(&(vly_bf16_product){.a = dy_t,
                                          .lda = s->pixels_padded,
                                          .b = pairs,
                                          .b_n = 2 * TILE,
                                          .b_row = 2 * s->k_padded,
                                          .m = l->d.out_c,
                                          .n = padded_to((int)l->patch_size, TILE),
                                          .k = used,
                                          .sum = part,
                                          .ld_sum = s->k_padded,
                                          .add = add});
}

static void backward_group_bf16(void *arg, int group, int slot) {
    const conv_bf16_call *c = arg;
    const conv_bf16 *s = c->s;
    const int from = (int)((int64_t)c->n * group / c->groups),
              to = (int)((int64_t)c->n * (group + 1) / c->groups);
    float *part = s->part + group * s->part_size;
    memset(part + (int64_t)s->out_padded * s->k_padded, 0, (size_t)s->out_padded * sizeof *part);
    for (int i = from; i < to; i += s->together)
        backward_samples(c, i, i + s->together < to ? i + s->together : to, part, i > from, slot);
}

static void sum_groups_bf16(const conv_bf16_call *c) {
    const vly_layer *l = c->l;
    const conv_bf16 *s = c->s;
    if (!c->accumulate)
        memset(c->dw, 0, (size_t)(l->d.out_c * (l->patch_size + 1)) * sizeof *c->dw);
    for (int group = 0; group < c->groups; group++) {
        const float *part = s->part + group * s->part_size;
        for (int o = 0; o < l->d.out_c; o++)
            for (int64_t k = 0; k < l->patch_size; k++)
                c->dw[o * l->patch_size + k] += l->d.x_scale * part[(int64_t)o * s->k_padded + k];
        for (int o = 0; o < l->d.out_c; o++)
            c->dw[l->d.out_c * l->patch_size + o] += part[(int64_t)s->out_padded * s->k_padded + o];
    }
}

static vly_status conv_bf16_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                     const void *y, const vly_real *w, void *dy, void *dx,
                                     vly_real *dw, bool accumulate) {
    (void)w;
    conv_bf16_call c = {.cpu = cpu,
                        .l = l,
                        .s = l->state,
                        .n = n,
                        .groups = n < GROUPS ? n : GROUPS,
                        .x = x,
                        .y = y,
                        .dy = dy,
                        .dx = dx,
                        .dw = dw,
                        .accumulate = accumulate};
    vly_cpu_run(cpu, 3 * conv_bf16_flops(l, n), c.groups, backward_group_bf16, &c);
    sum_groups_bf16(&c);
    return VLY_OK;
}

/* ---- creation ---- */

static void conv_bf16_destroy(vly_layer *l) {
    conv_bf16 *s = l->state;
    free(s->patch);
    vly_cpu_give_back(s->forward);
    vly_cpu_give_back(s->backward);
    vly_cpu_give_back(s->bias);
    vly_cpu_give_back(s->scratch);
    vly_cpu_give_back(s->part);
    free(s);
}

/* Places of a thread's scratch, each on its own cache line. */
static size_t reserve_bytes(size_t *end, size_t bytes) {
    const size_t at = *end;
    *end += (bytes + 127) / 64 * 64;
    return at;
}

static bool conv_bf16_alloc(vly_cpu *cpu, vly_layer *l) {
    conv_bf16 *s = l->state;
    const vly_layer_desc *d = &l->d;
    const size_t rows = (size_t)(d->learn ? s->pixels_padded : padded_to(s->pixels, DEPTH)),
                 tile = TILE_NUMBERS * sizeof(uint16_t);
    s->image_at = reserve_bytes(&s->scratch_bytes, s->copy_x ? (size_t)s->padded * 2 : 0);
    const bool patches = d->learn || !s->read_in_place, columns = d->needs_dx && !s->add_in_place;
    const size_t patch_bytes = s->pair_in_place ? (size_t)s->padded * 4
                                                : rows * (size_t)s->k_padded * 2;
    s->patch_at = reserve_bytes(&s->scratch_bytes, patches ? patch_bytes : 0);
    s->dy_at = reserve_bytes(&s->scratch_bytes,
                             d->learn ? (rows + 2) * (size_t)s->out_padded * 2 : 0);
    s->dy_t_at = reserve_bytes(&s->scratch_bytes, d->learn ? rows * (size_t)s->out_padded * 2 : 0);
    s->column_at =
        reserve_bytes(&s->scratch_bytes,
                      columns ? (size_t)padded_to(s->pixels, DEPTH) * (size_t)s->k_padded * 4 : 0);
    s->dx_at = reserve_bytes(&s->scratch_bytes, d->needs_dx ? (size_t)s->padded * 4 : 0);
    s->part_size = (int64_t)s->out_padded * (s->k_padded + 1) + 16;
    s->patch = calloc((size_t)s->pixels, sizeof *s->patch);
    bool ok = s->patch &&
              (s->forward = vly_cpu_take((size_t)s->out_tiles * (size_t)s->k_tiles * tile));
    ok = ok && (s->bias = vly_cpu_take((size_t)s->out_padded * 4));
    ok = ok &&
         (s->scratch = vly_cpu_take((size_t)vly_workers_threads(cpu->workers) * s->scratch_bytes));
    if (d->learn) ok = ok && (s->part = vly_cpu_take((size_t)GROUPS * (size_t)s->part_size * 4));
    if (d->needs_dx) ok = ok && (s->backward = vly_cpu_take((size_t)weight_tiles(s) * tile));
    return ok;
}

static const vly_plan conv_bf16_plan = {"conv_bf16", conv_bf16_prepare, conv_bf16_forward,
                                        conv_bf16_backward, conv_bf16_destroy};

vly_status vly_plan_conv_bf16(vly_cpu *cpu, vly_layer *l) {
    const vly_layer_desc *d = &l->d;
    const vly_bf16_simd *simd = vly_bf16_simd_best();
    if (!simd || !cpu->c.info.has_bf16 || !l->bf16 || (d->x_type == VLY_BF16 && d->x_scale != 1))
        return VLY_EUNSUPPORTED;
    if ((int64_t)(d->in_h + 2 * d->pad) * (d->in_w + 2 * d->pad) * d->in_c > INT32_MAX ||
        l->patch_size > 1 << 20)
        return VLY_EUNSUPPORTED;
    conv_bf16 *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->state = s;
    s->simd = simd;
    s->pixels = l->out_h * l->out_w;
    s->k_padded = padded_to((int)l->patch_size, DEPTH), s->k_tiles = s->k_padded / DEPTH;
    s->out_tiles = padded_to(d->out_c, TILE) / TILE,
    s->out_deep = padded_to(d->out_c, DEPTH) / DEPTH, s->out_padded = s->out_deep * DEPTH;
    s->together = padded_to(s->pixels, 2) >= PIXELS ? 1 : PIXELS / padded_to(s->pixels, 2);
    s->pixels_padded = padded_to(s->together * padded_to(s->pixels, 2), DEPTH);
    s->pad_w = d->in_w + 2 * d->pad;
    s->padded = (int64_t)(d->in_h + 2 * d->pad) * s->pad_w * d->in_c;
    s->copy_x = d->x_type == VLY_U8 || d->pad > 0;
    s->read_in_place = simd->in_place && d->kernel * d->in_c % 2 == 0;
    s->add_in_place = simd->in_place && d->kernel * d->in_c % TILE == 0;
    s->pair_in_place = s->add_in_place && d->x_type == VLY_U8 && d->pad == 0 && s->together == 1 &&
                       l->out_w % 2 == 0;
    if (!conv_bf16_alloc(cpu, l)) {
        conv_bf16_destroy(l);
        return vly_fail(VLY_ENOMEM, "no memory for a convolution of %lld weights",
                        (long long)(d->out_c * l->patch_size));
    }
    for (int y = 0; y < l->out_h; y++)
        for (int x = 0; x < l->out_w; x++)
            s->patch[y * l->out_w + x] =
                (int32_t)(((int64_t)y * d->stride * s->pad_w + (int64_t)x * d->stride) * d->in_c);
    l->plan = &conv_bf16_plan;
    return VLY_OK;
}
