/* conv.c -- convolutions in float, straight from NHWC images: no im2col.
 *
 * A patch is `kernel` runs of kernel * in_c numbers, one run an image row: the rows of the matrix
 * product are patches read where they lie. The gradient dx adds each pixel's product to the places
 * of its patch, run by run. dW of a group of samples is summed in its own buffer; groups depend on
 * the batch alone and are added in order.
 */
#include "cpu/ops/ops.h"
#include "cpu/ops/pack.h"

enum { GROUPS = 16 }; /* of samples, for dW */

typedef struct {
    vly_panels out, run; /* panels of y's columns; of one run of dx */
    int pad_w;           /* width of the padded image */
    int64_t padded;      /* numbers of a padded image */
    bool copy_x;      /* x is copied to scratch: converted, padded, or because reads pass its end */
    int64_t k_padded; /* of dW's rows: every run padded to whole vectors */
    int run_padded;
    int32_t *patch; /* (out_h * out_w) where each pixel's patch begins in the padded image */
    float *w_forward, *w_backward, *bias;
    float *scratch; /* (threads): padded x, masked dy, padded dx */
    int64_t scratch_size, dy_at, dx_at;
    float *part; /* (GROUPS) x (out_c, k_padded) and (out_c) for the bias */
    int64_t part_size;
} conv;

typedef struct {
    vly_cpu *cpu;
    vly_layer *l;
    conv *s;
    const vly_real *w;
    int n, groups;
    const void *x;
    const float *y, *dy;
    float *out, *dx, *dw;
    bool accumulate;
} call;

/* ---- packing ---- */

static vly_status conv_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    (void)cpu;
    conv *s = l->state;
    const int run = l->d.kernel * l->d.in_c, out = l->d.out_c;
    memcpy(s->bias, w + out * l->patch_size, (size_t)out * sizeof *w);
    for (int p = 0; p < s->out.count; p++)
        vly_pack_columns(&s->out, p, l->patch_size, w,
                         s->w_forward + vly_panel_column(&s->out, p) * l->patch_size);
    for (int ky = 0; s->w_backward && ky < l->d.kernel; ky++)
        for (int p = 0; p < s->run.count; p++)
            vly_pack_rows(&s->run, p, out, w + (int64_t)ky * run, l->patch_size,
                          s->w_backward + ((int64_t)ky * s->run.vectors * s->run.lanes +
                                           vly_panel_column(&s->run, p)) *
                                              out);
    return VLY_OK;
}

/* ---- images ---- */

static const float *padded_image(const call *c, int64_t sample, int slot) {
    const vly_layer *l = c->l;
    const conv *s = c->s;
    const int64_t at = sample * l->in_size, row = (int64_t)l->d.in_w * l->d.in_c;
    if (!s->copy_x) return (const float *)c->x + at;
    float *to = s->scratch + slot * s->scratch_size;
    if (l->d.pad == 0) {
        if (l->d.x_type == VLY_U8)
            c->cpu->simd->from_u8(l->in_size, (const uint8_t *)c->x + at, l->d.x_scale, to);
        else
            memcpy(to, (const float *)c->x + at, (size_t)l->in_size * sizeof *to);
        return to;
    }
    for (int y = 0; y < l->d.in_h; y++) { /* the border is zero since create */
        float *line = to + ((int64_t)(y + l->d.pad) * s->pad_w + l->d.pad) * l->d.in_c;
        if (l->d.x_type == VLY_U8)
            c->cpu->simd->from_u8(row, (const uint8_t *)c->x + at + y * row, l->d.x_scale, line);
        else
            memcpy(line, (const float *)c->x + at + y * row, (size_t)row * sizeof *line);
    }
    return to;
}

/* ---- forward ---- */

static void conv_forward_sample(void *arg, int i, int slot) {
    const call *c = arg;
    const vly_layer *l = c->l;
    const conv *s = c->s;
    vly_gemm g = {.a = padded_image(c, i, slot),
                  .a_at = s->patch,
                  .segments = l->d.kernel,
                  .length = l->d.kernel * l->d.in_c,
                  .step = (int64_t)s->pad_w * l->d.in_c,
                  .rows = l->out_h * l->out_w,
                  .ldc = l->d.out_c,
                  .act = l->d.act};
    for (int p = 0; p < s->out.count; p++) {
        const int first = vly_panel_column(&s->out, p);
        g.b = s->w_forward + first * l->patch_size, g.bias = s->bias + first;
        g.cols = vly_panel_columns(&s->out, p), g.vectors = vly_panel_vectors(&s->out, p);
        g.c = c->out + i * l->out_size + first;
        c->cpu->simd->gemm(&g);
    }
}

static double conv_flops(const vly_layer *l, int n) {
    return 2.0 * n * l->out_h * l->out_w * (double)l->patch_size * l->d.out_c;
}

static vly_status conv_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const vly_real *w,
                               void *y) {
    call c = {.cpu = cpu, .l = l, .s = l->state, .w = w, .n = n, .x = x, .out = y};
    vly_cpu_run(cpu, conv_flops(l, n), n, conv_forward_sample, &c);
    return VLY_OK;
}

/* ---- backward ---- */

static void add_dw(const call *c, const float *x, const float *dy, float *part, bool add) {
    const vly_layer *l = c->l;
    const conv *s = c->s;
    const int64_t row = (int64_t)s->pad_w * l->d.in_c;
    c->cpu->simd->gemm_sum(&(vly_gemm_sum){.a = dy,
                                           .a_row = (int64_t)l->out_w * l->d.out_c,
                                           .a_col = l->d.out_c,
                                           .b = x,
                                           .b_row = row * l->d.stride,
                                           .b_col = (int64_t)l->d.stride * l->d.in_c,
                                           .height = l->out_h,
                                           .width = l->out_w,
                                           .m = l->d.out_c,
                                           .segments = l->d.kernel,
                                           .length = l->d.kernel * l->d.in_c,
                                           .step = row,
                                           .c = part,
                                           .ldc = s->k_padded,
                                           .c_step = s->run_padded,
                                           .add = add});
    c->cpu->simd->sum_rows(l->out_h * l->out_w, l->d.out_c, dy, l->d.out_c,
                           part + l->d.out_c * s->k_padded);
}

static void dx_of_sample(const call *c, int64_t sample, const float *dy, int slot) {
    const vly_layer *l = c->l;
    const conv *s = c->s;
    const int64_t line = (int64_t)l->d.in_w * l->d.in_c,
                  padded_line = (int64_t)s->pad_w * l->d.in_c;
    float *own = c->dx + sample * l->in_size,
          *to = l->d.pad ? s->scratch + slot * s->scratch_size + s->dx_at : own;
    memset(to, 0, (size_t)s->padded * sizeof *to);
    vly_gemm g = {.a = dy,
                  .lda = l->d.out_c,
                  .segments = 1,
                  .length = l->d.out_c,
                  .rows = l->out_h * l->out_w,
                  .c_at = s->patch,
                  .add = true};
    for (int ky = 0; ky < l->d.kernel; ky++)
        for (int p = 0; p < s->run.count; p++) {
            const int first = vly_panel_column(&s->run, p);
            g.b = s->w_backward +
                  ((int64_t)ky * s->run.vectors * s->run.lanes + first) * l->d.out_c;
            g.cols = vly_panel_columns(&s->run, p), g.vectors = vly_panel_vectors(&s->run, p);
            g.c = to + ky * padded_line + first;
            c->cpu->simd->gemm(&g);
        }
    for (int y = 0; l->d.pad && y < l->d.in_h; y++)
        memcpy(own + y * line, to + (y + l->d.pad) * padded_line + (int64_t)l->d.pad * l->d.in_c,
               (size_t)line * sizeof *own);
}

static void backward_group(void *arg, int group, int slot) {
    const call *c = arg;
    const vly_layer *l = c->l;
    const conv *s = c->s;
    const int from = (int)((int64_t)c->n * group / c->groups),
              to = (int)((int64_t)c->n * (group + 1) / c->groups);
    float *part = s->part + group * s->part_size,
          *dy = s->scratch + slot * s->scratch_size + s->dy_at;
    memset(part + l->d.out_c * s->k_padded, 0, (size_t)l->d.out_c * sizeof *part);
    for (int i = from; i < to; i++) {
        c->cpu->simd->mask(l->d.act, l->out_size, c->y + i * l->out_size, c->dy + i * l->out_size,
                           dy);
        add_dw(c, padded_image(c, i, slot), dy, part, i > from);
        if (c->dx) dx_of_sample(c, i, dy, slot);
    }
}

static void sum_groups(const call *c) {
    const vly_layer *l = c->l;
    const conv *s = c->s;
    const int run = l->d.kernel * l->d.in_c;
    if (!c->accumulate)
        memset(c->dw, 0, (size_t)(l->d.out_c * (l->patch_size + 1)) * sizeof *c->dw);
    for (int group = 0; group < c->groups; group++) {
        const float *part = s->part + group * s->part_size;
        for (int o = 0; o < l->d.out_c; o++)
            for (int ky = 0; ky < l->d.kernel; ky++)
                for (int j = 0; j < run; j++)
                    c->dw[o * l->patch_size + ky * run + j] +=
                        part[o * s->k_padded + ky * s->run_padded + j];
        for (int o = 0; o < l->d.out_c; o++)
            c->dw[l->d.out_c * l->patch_size + o] += part[l->d.out_c * s->k_padded + o];
    }
}

static vly_status conv_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const void *y,
                                const vly_real *w, void *dy, void *dx, vly_real *dw,
                                bool accumulate) {
    call c = {.cpu = cpu,
              .l = l,
              .s = l->state,
              .w = w,
              .n = n,
              .groups = n < GROUPS ? n : GROUPS,
              .x = x,
              .y = y,
              .dy = dy,
              .dx = dx,
              .dw = dw,
              .accumulate = accumulate};
    vly_cpu_run(cpu, 2 * conv_flops(l, n), c.groups, backward_group, &c);
    sum_groups(&c);
    return VLY_OK;
}

/* ---- creation ---- */

static void conv_destroy(vly_layer *l) {
    conv *s = l->state;
    free(s->patch);
    vly_cpu_give_back(s->w_forward);
    vly_cpu_give_back(s->w_backward);
    vly_cpu_give_back(s->bias);
    vly_cpu_give_back(s->scratch);
    vly_cpu_give_back(s->part);
    free(s);
}

static const vly_plan conv_plan = {"conv", conv_prepare, conv_forward, conv_backward, conv_destroy};

static int64_t line_up(int64_t n) {
    return (n + 31) / 16 * 16;
} /* whole cache lines, and one to read beyond the end */

static bool conv_memory(vly_cpu *cpu, vly_layer *l) {
    conv *s = l->state;
    const vly_layer_desc *d = &l->d;
    const size_t out_padded = (size_t)(s->out.vectors * s->out.lanes),
                 run_vectors = (size_t)(s->run.vectors * s->run.lanes);
    s->dy_at = s->copy_x ? line_up(s->padded) : 0;
    s->dx_at = s->dy_at + (d->learn ? line_up(l->out_size) : 0);
    s->scratch_size = s->dx_at + (d->needs_dx && d->pad ? line_up(s->padded) : 0);
    s->part_size = line_up(d->out_c * (s->k_padded + 1));
    s->patch = calloc((size_t)(l->out_h * l->out_w), sizeof *s->patch);
    s->w_forward = vly_cpu_take(out_padded * (size_t)l->patch_size * 4);
    s->bias = vly_cpu_take(out_padded * 4);
    s->scratch =
        vly_cpu_take((size_t)vly_workers_threads(cpu->workers) * (size_t)s->scratch_size * 4);
    if (d->learn) s->part = vly_cpu_take((size_t)GROUPS * (size_t)s->part_size * 4);
    if (d->needs_dx)
        s->w_backward = vly_cpu_take((size_t)d->kernel * run_vectors * (size_t)d->out_c * 4);
    return s->patch && s->w_forward && s->bias && s->scratch && (s->part || !d->learn) &&
           (s->w_backward || !d->needs_dx);
}

vly_status vly_plan_conv(vly_cpu *cpu, vly_layer *l) {
    const vly_layer_desc *d = &l->d;
    if (d->x_type == VLY_BF16 || d->y_type == VLY_BF16 || (d->x_type == VLY_F32 && d->x_scale != 1))
        return VLY_EUNSUPPORTED;
    const int run = d->kernel * d->in_c, lanes = cpu->simd->lanes;
    if ((int64_t)(d->in_h + 2 * d->pad) * (d->in_w + 2 * d->pad) * d->in_c > INT32_MAX)
        return VLY_EUNSUPPORTED;
    conv *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->state = s;
    s->out = vly_panels_of(cpu->simd, d->out_c), s->run = vly_panels_of(cpu->simd, run);
    s->pad_w = d->in_w + 2 * d->pad;
    s->padded = (int64_t)(d->in_h + 2 * d->pad) * s->pad_w * d->in_c;
    s->copy_x = d->x_type == VLY_U8 || d->pad > 0 || (d->learn && run % lanes);
    s->run_padded = (run + lanes - 1) / lanes * lanes;
    s->k_padded = (int64_t)d->kernel * s->run_padded;
    if (!conv_memory(cpu, l)) {
        conv_destroy(l);
        return vly_fail(VLY_ENOMEM, "no memory for a convolution of %lld weights",
                        (long long)(d->out_c * l->patch_size));
    }
    for (int y = 0; y < l->out_h; y++)
        for (int x = 0; x < l->out_w; x++)
            s->patch[y * l->out_w + x] =
                (int32_t)(((int64_t)y * d->stride * s->pad_w + (int64_t)x * d->stride) * d->in_c);
    l->plan = &conv_plan;
    return VLY_OK;
}
