/* engine_patches.c -- convolutions as cuBLASLt's products of unfolded patches (kernels/patches.h),
 * bias and ReLU in the epilogue.
 *
 *   forward  y (pixels, out)   = patches of x (pixels, k k in) times W transposed, epilogue
 *   dw       W' (out, k k in) += dz (pixels, out) transposed times patches of x; the bias gradient
 *            in the epilogue
 *   dx       cells (cells, s s in) = patches of dz times rearranged weights: over cells of stride x
 *            stride pixels (space to depth) the input gradient is a convolution of stride 1, so
 *            patches do not overlap in it and no sum follows
 *
 * Patches have kernel^2 / stride^2 times as many numbers as the image. Writing all of them to
 * memory would take longer than the rest, so only as many images are unfolded at a time as fit the
 * queue's patch memory, which is sized after the L2 cache. A 1 x 1 convolution needs no unfolding.
 * Pieces are summed in order: the result is deterministic. */
#include <stdlib.h>
#include "gpu/matmul.h"
#include "kernels/patches.h"

/* vly_bias_bytes has room for SUMS_MAX bias gradients. */
enum { ROWS_MAX = 1 << 30, SUMS_MAX = 264 };

typedef struct {
    vly_cuda *cuda;
    vly_matmul *product;
    vly_conv unfolded;  /* the convolution whose patches are unfolded: over x, or over dz for dx */
    vly_dtype type;     /* of both operands */
    int count, columns; /* numbers of a patch, and of its row */
    int rows, images;   /* rows per image, images per piece */
    bool direct;        /* 1 x 1: the image is the matrix of patches */
    bool bias_gradient;
    bool relu_apart;
    size_t cells_at; /* dx: where the cells lie in the patch memory */
    void *weights;   /* padded to `columns` (forward) or rearranged (dx); NULL: as stored */
    float *wide;     /* dw in rows of `columns`; NULL if columns == count */
} patches_plan;

static vly_dtype patches_operand(const vly_layer *l) {
    return l->conv.math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32;
}
static size_t round_up_256(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

/* Bytes of the patch memory that one image needs. */
static void patches_sizes(const vly_layer *l, vly_pass pass, patches_plan *s, size_t *row_bytes,
                          size_t *cell_bytes) {
    const vly_conv *c = &l->conv;
    s->type = patches_operand(l);
    s->unfolded = pass == VLY_PASS_DX ? vly_conv_turned(c) : *c;
    s->count = s->unfolded.kernel * s->unfolded.kernel * s->unfolded.in_c;
    s->columns = vly_patch_columns(s->count, s->type);
    s->rows = s->unfolded.out_h * s->unfolded.out_w;
    s->direct = c->kernel == 1 && c->stride == 1 && c->pad == 0 && s->columns == s->count &&
                s->unfolded.x_type == s->type;
    *row_bytes = s->direct ? 0 : (size_t)s->rows * (size_t)s->columns * vly_dtype_bytes(s->type);
    *cell_bytes = pass == VLY_PASS_DX && c->stride > 1
                      ? (size_t)s->rows * (size_t)s->unfolded.out_c * vly_dtype_bytes(s->type)
                      : 0;
}

/* Both operands must have one type, and the patch memory must hold at least one image. */
static bool patches_can(const vly_layer *l, vly_pass pass) {
    if (l->d.kind != VLY_CONV || !vly_cublaslt_library_open()->handle) return false;
    const vly_dtype type = patches_operand(l);
    if (l->d.x_type != type && l->d.x_type != VLY_U8) return false;
    if (pass == VLY_PASS_FORWARD ? l->d.y_type == VLY_BF16 && type == VLY_F32 : l->d.y_type != type)
        return false;
    patches_plan s = {0};
    size_t row_bytes, cell_bytes;
    patches_sizes(l, pass, &s, &row_bytes, &cell_bytes);
    return row_bytes + cell_bytes + 256 <= ((vly_cuda *)l->c)->patch_bytes;
}

static void patches_close(void *p) {
    patches_plan *s = p;
    vly_matmul_close(s->product);
    vly_arena_free(&s->cuda->arena, s->weights);
    vly_arena_free(&s->cuda->arena, s->wide);
    free(s);
}

static bool patches_give_bias(const void *p) {
    return ((const patches_plan *)p)->bias_gradient;
}

static vly_status patches_alloc(const vly_layer *l, vly_pass pass, patches_plan *s) {
    const size_t numbers = (size_t)s->unfolded.out_c * (size_t)s->columns;
    const bool packed = pass == VLY_PASS_DX || (pass == VLY_PASS_FORWARD && s->columns != s->count);
    if (packed)
        VLY_TRY(vly_arena_alloc(&s->cuda->arena, numbers * vly_dtype_bytes(s->type),
                                "a layer's packed weights", NULL, &s->weights));
    if (pass != VLY_PASS_DW || s->columns == s->count) return VLY_OK;
    void *memory;
    VLY_TRY(vly_arena_alloc(&s->cuda->arena,
                            (size_t)l->d.out_c * (size_t)s->columns * sizeof *s->wide,
                            "a layer's padded gradient", NULL, &memory));
    s->wide = memory;
    return VLY_OK;
}

static vly_status open_product(const vly_layer *l, vly_pass pass, int variant, patches_plan *s) {
    vly_matmul_desc d = {.form = VLY_PASS_FORWARD,
                         .in = s->columns,
                         .out = s->unfolded.out_c,
                         .operand = s->type,
                         .tf32 = l->conv.math == VLY_MATH_TF32,
                         .result = pass == VLY_PASS_FORWARD ? l->d.y_type : s->type,
                         .epilogue = VLY_LT_NO_EPILOGUE,
                         .rows = s->images * s->rows,
                         .suggestion = variant % VLY_SUGGESTIONS};
    if (pass == VLY_PASS_FORWARD)
        d.epilogue = l->d.act == VLY_ACT_RELU && !s->relu_apart ? VLY_LT_RELU_BIAS : VLY_LT_BIAS;
    if (pass != VLY_PASS_DW) return vly_matmul_open(s->cuda, &d, &s->product);
    d.form = VLY_PASS_DW, d.result = VLY_F32;
    /* the epilogue sums dz without the scale of the product: only if that is 1 */
    const int pieces = (l->d.batch_max + s->images - 1) / s->images;
    const bool aligned = pieces == 1 ||
                         l->d.out_c % 4 ==
                             0; /* each piece's sums must start at a multiple of 16 bytes */
    const bool bias = vly_layer_has_dz(l) && l->d.x_scale == 1.0f && pieces <= SUMS_MAX && aligned;
    return vly_matmul_open_dw(s->cuda, &d, bias, &s->product, &s->bias_gradient);
}

static vly_status patches_open(vly_layer *l, vly_pass pass, int variant, void **out) {
    patches_plan *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a plan");
    *out = s;
    s->cuda = (vly_cuda *)l->c;
    s->relu_apart = variant >= VLY_RELU_APART;
    if (s->relu_apart && (pass != VLY_PASS_FORWARD || l->d.act != VLY_ACT_RELU))
        return vly_fail(VLY_EUNSUPPORTED, "this pass has no ReLU");
    size_t row_bytes, cell_bytes;
    patches_sizes(l, pass, s, &row_bytes, &cell_bytes);
    const size_t each = row_bytes + cell_bytes,
                 fit = each ? (s->cuda->patch_bytes - 256) / each : ROWS_MAX,
                 few = (size_t)(ROWS_MAX / s->rows);
    const size_t images = fit < few ? fit : few;
    s->images = images < (size_t)l->d.batch_max ? (int)images : l->d.batch_max;
    if (s->images > 16)
        s->images = s->images / 16 * 16; /* pieces of y and dx start at multiples of 32 bytes */
    s->cells_at = round_up_256((size_t)s->images * row_bytes);
    VLY_TRY(patches_alloc(l, pass, s));
    return open_product(l, pass, variant, s);
}

/* ---- running ---- */

static const void *element_at(const void *base, int64_t numbers, vly_dtype type) {
    return (const char *)base + (size_t)numbers * vly_dtype_bytes(type);
}

static vly_status pack_weights(const vly_layer *l, vly_pass pass, const patches_plan *s,
                               const void *w, cudaStream_t stream) {
    if (!s->weights) return VLY_OK;
    if (pass == VLY_PASS_DX)
        return vly_turn_weights_launch(&l->conv, w, s->type, s->columns, s->weights, stream);
    return vly_widen_rows_launch(l->d.out_c, s->count, s->columns, s->type, w, s->weights, stream);
}

/* Unfolds m images from `from`; *rows is where their patches are. */
static vly_status unfold(const patches_plan *s, vly_queue *q, int m, const void *from,
                         const void **rows) {
    *rows = from;
    if (s->direct) return VLY_OK;
    *rows = vly_patches_of(q);
    return vly_unfold_launch(&s->unfolded, m, from, s->type, s->columns, vly_patches_of(q),
                             vly_stream_of(q));
}

static vly_status patches_forward(const vly_layer *l, vly_queue *q, const patches_plan *s,
                                  int first, int m, const void *w, const vly_pass_args *a) {
    const void *bias = l->d.y_type == VLY_BF16 ? l->bias_bf16 : (const void *)(a->w + l->weights),
               *rows;
    VLY_TRY(unfold(s, q, m, element_at(a->x, first * l->in_numbers, l->d.x_type), &rows));
    return vly_matmul_run(
        s->product, q,
        &(vly_matmul_args){.n = m * s->rows,
                           .alpha = l->conv.x_scale / l->conv.w_scale,
                           .a = w,
                           .b = rows,
                           .bias = bias,
                           .to = (void *)element_at(a->y, first * l->out_numbers, l->d.y_type)});
}

static vly_status patches_dx(const vly_layer *l, vly_queue *q, const patches_plan *s, int first,
                             int m, const void *w, const vly_pass_args *a) {
    void *to = (void *)element_at(a->dx, first * l->in_numbers, l->d.x_type),
         *cells = l->d.stride > 1 ? (char *)vly_patches_of(q) + s->cells_at : to;
    const void *rows;
    VLY_TRY(unfold(s, q, m, element_at(a->dz, first * l->out_numbers, l->d.y_type), &rows));
    VLY_TRY(vly_matmul_run(
        s->product, q,
        &(vly_matmul_args){.n = m * s->rows, .alpha = 1, .a = w, .b = rows, .to = cells}));
    return cells == to ? VLY_OK : vly_fold_cells_launch(&l->conv, m, cells, to, vly_stream_of(q));
}

static vly_status patches_dw(const vly_layer *l, vly_queue *q, const patches_plan *s, int first,
                             int m, const vly_pass_args *a) {
    const bool add = first > 0 || (a->accumulate && !s->wide);
    const void *rows;
    VLY_TRY(unfold(s, q, m, element_at(a->x, first * l->in_numbers, l->d.x_type), &rows));
    return vly_matmul_run(
        s->product, q,
        &(vly_matmul_args){.n = m * s->rows,
                           .alpha = l->conv.x_scale,
                           .beta = add ? 1 : 0,
                           .a = rows,
                           .b = element_at(a->dz, first * l->out_numbers, l->d.y_type),
                           .to = s->wide ? s->wide : a->dw,
                           .bias = (float *)l->partial +
                                   (size_t)(first / s->images) * (size_t)l->d.out_c});
}

static vly_status patches_finish(const vly_layer *l, vly_queue *q, vly_pass pass,
                                 const patches_plan *s, int n, const vly_pass_args *a) {
    cudaStream_t stream = vly_stream_of(q);
    if (s->relu_apart) return vly_relu_launch(l->d.y_type, n * l->out_numbers, a->y, a->y, stream);
    if (pass == VLY_PASS_FORWARD && l->d.act == VLY_ACT_TANH)
        return vly_tanh_launch(l->d.y_type, n * l->out_numbers, a->y, stream);
    if (pass != VLY_PASS_DW) return VLY_OK;
    if (s->wide)
        VLY_TRY(vly_narrow_rows_launch(l->d.out_c, s->columns, s->count, s->wide, a->dw,
                                       a->accumulate, stream));
    return a->db ? vly_sum_partials_launch(l->d.out_c, (n + s->images - 1) / s->images, l->partial,
                                           1.0f, a->db, a->accumulate, stream)
                 : VLY_OK;
}

static vly_status patches_run(vly_layer *l, vly_queue *q, vly_pass pass, void *p, int n,
                              const vly_pass_args *a) {
    const patches_plan *s = p;
    const void *stored = l->w_bf16 ? l->w_bf16 : (const void *)a->w,
               *w = s->weights ? s->weights : stored;
    VLY_TRY(pack_weights(l, pass, s, stored, vly_stream_of(q)));
    for (int first = 0; first < n; first += s->images) {
        const int m = n - first < s->images ? n - first : s->images;
        VLY_TRY(pass == VLY_PASS_FORWARD ? patches_forward(l, q, s, first, m, w, a)
                : pass == VLY_PASS_DX    ? patches_dx(l, q, s, first, m, w, a)
                                         : patches_dw(l, q, s, first, m, a));
    }
    return patches_finish(l, q, pass, s, n, a);
}

static vly_status patches_queue_open(vly_cuda_queue *q) {
    vly_cuda *cuda = vly_cuda_of(&q->base);
    if (!vly_cublaslt_library_open()->handle) return VLY_OK;
    return vly_arena_alloc(&cuda->arena, cuda->patch_bytes,
                           "a queue's memory for unfolded convolutions", NULL, &q->patches);
}

static void patches_queue_close(vly_cuda_queue *q) {
    vly_arena_free(&vly_cuda_of(&q->base)->arena, q->patches);
    q->patches = NULL;
}

const vly_engine vly_engine_patches = {"patches",           VLY_VARIANTS, true,
                                       patches_can,         patches_open, patches_close,
                                       patches_give_bias,   patches_run,  patches_queue_open,
                                       patches_queue_close, false};
