/* patches.h -- convolutions unfolded in memory, for a library that multiplies matrices.
 *
 *   const int columns = vly_patch_columns(c.kernel * c.kernel * c.in_c, VLY_BF16);
 *   // y (n * oh * ow, out) = rows * w'
 *   VLY_TRY(vly_unfold_launch(&c, n, x, VLY_BF16, columns, rows, stream));
 *
 * The input gradient is the same over slopes: with the image cut into cells of stride x stride
 * pixels (space to depth), a cell's gradient depends on the ceil(kernel / stride) output pixels per
 * direction that end at it. So
 *
 *   // a convolution of stride 1 from dz to cells
 *   const vly_conv t = vly_conv_turned(&c);
 *   // cells (n * t.out_h * t.out_w, t.out_c) = rows * turned'
 *   vly_unfold_launch(&t, n, dz, ...);
 *   vly_turn_weights_launch(&c, w, type, columns, turned, stream);
 *   // not for stride 1: there cells are pixels
 *   vly_fold_cells_launch(&c, n, cells, dx, stream);
 *
 * needs no sum over overlapping patches. Types are VLY_F32 and VLY_BF16, images of vly_unfold also
 * VLY_U8 (not scaled). Every buffer is aligned to 16 bytes. Enqueues and returns.
 */
#ifndef VLY_KERNELS_PATCHES_H
#define VLY_KERNELS_PATCHES_H
#include "kernels/conv.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Rows padded to multiples of 16 bytes, which tensor cores read directly. */
static inline int vly_patch_columns(int count, vly_dtype type) {
    return type == VLY_BF16 ? (count + 7) / 8 * 8 : (count + 3) / 4 * 4;
}

/* rows (n * out_h * out_w, columns) of `type`: each output pixel's patch in (ky, kx, c) order,
 * zeros behind it and where it is padded. */
vly_status vly_unfold_launch(const vly_conv *c, int n, const void *x, vly_dtype type, int columns,
                             void *rows, cudaStream_t stream);

/* The convolution that computes the input gradient: from dz (oh, ow, out) to cells of (stride,
 * stride, in) numbers. */
vly_conv vly_conv_turned(const vly_conv *c);
/* out (stride * stride * in, columns): row (dy, dx, c), column (ty, tx, o): the weight that takes
 * channel o of that tap to the cell's number; 0 where the kernel ends before, and behind the last
 * tap. w (out, ky, kx, in) of the same type. */
vly_status vly_turn_weights_launch(const vly_conv *c, const void *w, vly_dtype type, int columns,
                                   void *out, cudaStream_t stream);
/* Depth to space: dx (n, in_h, in_w, in), of c->x_type, from cells of that type; what the padding
 * saw is left out. */
vly_status vly_fold_cells_launch(const vly_conv *c, int n, const void *cells, void *dx,
                                 cudaStream_t stream);

/* to (rows, columns) = from (rows, count), padded with zeros. */
vly_status vly_widen_rows_launch(int rows, int count, int columns, vly_dtype type, const void *from,
                                 void *to, cudaStream_t stream);
/* to (rows, count) = (accumulate ? to : 0) + the first numbers of from (rows, columns); f32. */
vly_status vly_narrow_rows_launch(int rows, int columns, int count, const float *from, float *to,
                                  bool accumulate, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
