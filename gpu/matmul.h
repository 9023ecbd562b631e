/* matmul.h -- one product of a layer through cuBLASLt, with bias, ReLU or the bias gradient in its
 * epilogue.
 *
 *   VLY_TRY(vly_matmul_open(cuda, &(vly_matmul_desc){.form = VLY_PASS_FORWARD, .in = 64, .out = 6,
 *                                                   ...}, &m));
 *   VLY_TRY(vly_matmul_run(m, q, &(vly_matmul_args){.n = rows, .alpha = 1, .a = w, .b = x, .to = y,
 *                                                   .bias = bias}));
 *
 * All matrices are row-major:
 *   forward   to (n, out)  = alpha * b (n, in) times a (out, in) transposed, then the epilogue
 *   dx        to (n, in)   = alpha * b (n, out) times a (out, in)
 *   dw        to (out, in) = alpha * b (n, out) transposed times a (n, in) + beta * to; the
 *             epilogue may also sum the columns of b
 * The library's heuristic is queried once per n and alignment. Enqueues and returns; uses the
 * queue's workspace.
 */
#ifndef VLY_GPU_MATMUL_H
#define VLY_GPU_MATMUL_H
#include "gpu/cublaslt_library.h"
#include "gpu/internal.h"

typedef struct {
    vly_pass form;
    int in, out;
    vly_dtype operand, result; /* a and b; to */
    bool tf32;
    vly_lt_epilogue epilogue;
    int rows;       /* the n that the plan is for */
    int suggestion; /* of the library: 0 is its first; below VLY_SUGGESTIONS */
} vly_matmul_desc;

typedef struct {
    int n;
    float alpha, beta;
    const void *a, *b;
    void *to;
    const void *bias; /* of to's type; VLY_LT_BIAS_GRADIENT writes there */
} vly_matmul_args;

typedef struct vly_matmul vly_matmul;

/* Fails if the library has fewer suggestions for `rows`. For another n the last one is used. */
vly_status vly_matmul_open(vly_cuda *cuda, const vly_matmul_desc *desc, vly_matmul **out);
void vly_matmul_close(vly_matmul *m);
vly_status vly_matmul_run(vly_matmul *m, vly_queue *q, const vly_matmul_args *args);
/* A dw product. If `bias` is true and the library can, its epilogue also sums the columns of b;
 * *gives_bias is set then. */
vly_status vly_matmul_open_dw(vly_cuda *cuda, const vly_matmul_desc *desc, bool bias,
                              vly_matmul **out, bool *gives_bias);
#endif
