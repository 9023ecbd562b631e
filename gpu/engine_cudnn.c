/* engine_cudnn.c -- convolutions through cuDNN's graph interface: NHWC, bias and ReLU fused into
 * the forward pass.
 *
 * cuDNN wants bias and weight gradient in the type of its operands: with bf16 the gradient is
 * rounded once, at the end. Graphs are planned from a description of the device (cuDNN 9.8), so a
 * plan can be made, and its graph tested, on a machine that has the library and no GPU:
 * tests/gpu/device/cudnn_plans.c. Engines that are not deterministic are passed over, as are those
 * that round f32 operands unless the layer allows tf32. */
#include <stdlib.h>
#include <string.h>
#include "gpu/engine_cudnn.h"
#include "gpu/internal.h"

enum { DESCRIPTORS = 48, CANDIDATES = 12, VERSION_MIN = 90800 };
enum { UID_X = 1, UID_W, UID_Y, UID_BIAS, UID_CONV, UID_SUM };

struct vly_cudnn_plan {
    const vly_cudnn_library *lib;
    cudnnBackendDescriptor_t made[DESCRIPTORS]; /* all of them; destroyed in reverse order */
    int count;
    vly_cudnn_place place; /* of the suggestion that became the plan */
    cudnnBackendDescriptor_t plan;
    int64_t workspace_bytes, workspace_most;
    int64_t engine; /* cuDNN's index of the engine, for reports */
};

typedef cudnnBackendDescriptor_t descriptor;

/* ---- descriptors ---- */

static vly_status add_descriptor(vly_cudnn_plan *p, cudnnBackendDescriptorType_t type,
                                 descriptor *out) {
    if (p->count == DESCRIPTORS)
        return vly_fail(VLY_ECUDA, "cuDNN: more than %d descriptors", DESCRIPTORS);
    VLY_CUDNN_TRY(p->lib->BackendCreateDescriptor(type, out));
    p->made[p->count++] = *out;
    return VLY_OK;
}

static vly_status set_attribute(vly_cudnn_plan *p, descriptor d, cudnnBackendAttributeName_t name,
                                cudnnBackendAttributeType_t type, int64_t n, const void *value) {
    VLY_CUDNN_TRY(p->lib->BackendSetAttribute(d, name, type, n, value));
    return VLY_OK;
}

static vly_status finalize(vly_cudnn_plan *p, descriptor d) {
    VLY_CUDNN_TRY(p->lib->BackendFinalize(d));
    return VLY_OK;
}

static cudnnDataType_t cudnn_type(vly_dtype t) {
    return t == VLY_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* Dimensions in cuDNN's order (n, c, h, w), memory in NHWC. Weights: (out, in, kh, kw), stored as
 * (out, kh, kw, in). */
static vly_status tensor(vly_cudnn_plan *p, int64_t uid, vly_dtype type, int64_t n, int64_t c,
                         int64_t h, int64_t w, bool passing, descriptor *out) {
    const int64_t dims[4] = {n, c, h, w}, strides[4] = {h * w * c, 1, w * c, c}, alignment = 16;
    const cudnnDataType_t data = cudnn_type(type);
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &data));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid));
    VLY_TRY(
        set_attribute(p, *out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &passing));
    return finalize(p, *out);
}

static vly_status convolution(vly_cudnn_plan *p, const vly_conv *c, descriptor *out) {
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dims = 2, ones[2] = {1, 1}, strides[2] = {c->stride, c->stride},
                  pads[2] = {c->pad, c->pad};
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    VLY_TRY(
        set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1,
                          &compute));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
                          &mode));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads));
    VLY_TRY(
        set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2,
                          strides));
    return finalize(p, *out);
}

static vly_status pointwise(vly_cudnn_plan *p, cudnnPointwiseMode_t mode, descriptor x,
                            const descriptor *b, descriptor y, descriptor *out) {
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
    descriptor kind;
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &kind));
    VLY_TRY(set_attribute(p, kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    VLY_TRY(
        set_attribute(p, kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute));
    if (mode == CUDNN_POINTWISE_RELU_FWD) /* by default a NaN becomes 0 */
        VLY_TRY(set_attribute(p, kind, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION,
                              CUDNN_TYPE_NAN_PROPOGATION, 1, &nan));
    VLY_TRY(finalize(p, kind));
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &kind));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    if (b)
        VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                              CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, b));
    VLY_TRY(set_attribute(p, *out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y));
    return finalize(p, *out);
}

/* ---- graphs ---- */

typedef struct {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t conv, x, w, y, alpha, beta;
} names;

static const names pass_names[VLY_PASSES] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};

/* The convolution; in the forward pass also the bias and the activation. */
static vly_status operations(vly_cudnn_plan *p, const vly_conv *c, int n, vly_pass pass,
                             descriptor ops[3], int *count) {
    const names *name = &pass_names[pass];
    const vly_dtype operand = c->math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32;
    const bool forward = pass == VLY_PASS_FORWARD, relu = c->act == VLY_ACT_RELU;
    const float one = 1.0f, zero = 0.0f;
    descriptor conv, x, w, y, bias, product, sum;
    VLY_TRY(convolution(p, c, &conv));
    VLY_TRY(tensor(p, UID_X, c->x_type, n, c->in_c, c->in_h, c->in_w, false, &x));
    VLY_TRY(tensor(p, UID_W, operand, c->out_c, c->in_c, c->kernel, c->kernel, false, &w));
    VLY_TRY(tensor(p, UID_Y, c->y_type, n, c->out_c, c->out_h, c->out_w, false, &y));
    if (forward)
        VLY_TRY(tensor(p, UID_CONV, VLY_F32, n, c->out_c, c->out_h, c->out_w, true, &product));
    VLY_TRY(add_descriptor(p, name->operation, &ops[0]));
    VLY_TRY(set_attribute(p, ops[0], name->conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &conv));
    VLY_TRY(set_attribute(p, ops[0], name->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    VLY_TRY(set_attribute(p, ops[0], name->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w));
    VLY_TRY(set_attribute(p, ops[0], name->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                          forward ? &product : &y));
    VLY_TRY(set_attribute(p, ops[0], name->alpha, CUDNN_TYPE_FLOAT, 1, &one));
    VLY_TRY(set_attribute(p, ops[0], name->beta, CUDNN_TYPE_FLOAT, 1, &zero));
    VLY_TRY(finalize(p, ops[0]));
    *count = 1;
    if (!forward) return VLY_OK;
    VLY_TRY(tensor(p, UID_BIAS, operand, 1, c->out_c, 1, 1, false, &bias));
    if (relu) VLY_TRY(tensor(p, UID_SUM, VLY_F32, n, c->out_c, c->out_h, c->out_w, true, &sum));
    VLY_TRY(pointwise(p, CUDNN_POINTWISE_ADD, product, &bias, relu ? sum : y, &ops[(*count)++]));
    return relu ? pointwise(p, CUDNN_POINTWISE_RELU_FWD, sum, NULL, y, &ops[(*count)++]) : VLY_OK;
}

/* ---- engines ---- */

static bool has_note(const vly_cudnn_plan *p, descriptor engine, cudnnBackendNumericalNote_t note) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    if (p->lib->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                    CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
                                    &count, notes) != CUDNN_STATUS_SUCCESS)
        return true; /* unknown: treated as noted */
    for (int64_t i = 0; i < count; i++)
        if (notes[i] == note) return true;
    return false;
}

static vly_status config_engine(vly_cudnn_plan *p, descriptor config, descriptor *engine) {
    int64_t count = 0;
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine));
    VLY_CUDNN_TRY(p->lib->BackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                              CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, engine));
    return VLY_OK;
}

static bool acceptable(vly_cudnn_plan *p, const vly_conv *c, descriptor engine) {
    if (has_note(p, engine, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) ||
        has_note(p, engine, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION))
        return false;
    if (has_note(p, engine, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)) return false;
    return c->math != VLY_MATH_FP32 || !has_note(p, engine, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
}

static vly_status try_config(vly_cudnn_plan *p, descriptor device, descriptor config) {
    descriptor plan;
    int64_t count = 0;
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan));
    VLY_TRY(set_attribute(p, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config));
    VLY_TRY(set_attribute(p, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device));
    VLY_TRY(finalize(p, plan));
    VLY_CUDNN_TRY(p->lib->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                              CUDNN_TYPE_INT64, 1, &count, &p->workspace_bytes));
    if (p->workspace_bytes > p->workspace_most)
        return vly_fail(VLY_EUNSUPPORTED, "cuDNN: this plan needs %lld bytes of workspace",
                        (long long)p->workspace_bytes);
    p->plan = plan;
    return VLY_OK;
}

/* Takes the first of cuDNN's suggestions, from from.at on, that is acceptable and yields a plan. */
static vly_status choose_config(vly_cudnn_plan *p, const vly_conv *c, descriptor graph,
                                descriptor device, vly_cudnn_place from) {
    static const cudnnBackendHeurMode_t lists[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    const cudnnBackendHeurMode_t mode = lists[from.list];
    descriptor heuristics, configs[CANDIDATES];
    int64_t count = 0;
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics));
    VLY_TRY(set_attribute(p, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph));
    VLY_TRY(
        set_attribute(p, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    VLY_TRY(set_attribute(p, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device));
    VLY_TRY(finalize(p, heuristics));
    for (int i = 0; i < CANDIDATES; i++)
        VLY_TRY(add_descriptor(p, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]));
    VLY_CUDNN_TRY(p->lib->BackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                              CUDNN_TYPE_BACKEND_DESCRIPTOR, CANDIDATES, &count,
                                              configs));
    for (int i = from.at; i < count && i < CANDIDATES; i++) {
        const int before = p->count;
        descriptor engine;
        int64_t got = 0;
        if (config_engine(p, configs[i], &engine) == VLY_OK && acceptable(p, c, engine) &&
            try_config(p, device, configs[i]) == VLY_OK) {
            p->place = (vly_cudnn_place){from.list, i};
            p->lib->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                        &got, &p->engine);
            return VLY_OK;
        }
        while (p->count > before) p->lib->BackendDestroyDescriptor(p->made[--p->count]);
    }
    return vly_fail(VLY_EUNSUPPORTED, "cuDNN has no deterministic engine for this convolution");
}

static vly_status plan_with(vly_cudnn_plan *p, const vly_conv *c, int n, vly_pass pass,
                            descriptor device, vly_cudnn_place from) {
    descriptor ops[3], graph;
    int count;
    VLY_TRY(operations(p, c, n, pass, ops, &count));
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &graph));
    VLY_TRY(set_attribute(p, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                          count, ops));
    VLY_TRY(finalize(p, graph));
    const int before = p->count;
    if (from.list == 0) {
        if (choose_config(p, c, graph, device, from) == VLY_OK) return VLY_OK;
        while (p->count > before) p->lib->BackendDestroyDescriptor(p->made[--p->count]);
        from = (vly_cudnn_place){1, 0};
    }
    return choose_config(p, c, graph, device, from);
}

static vly_status describe_target(vly_cudnn_plan *p, int index, const char *json,
                                  descriptor *device) {
    const int32_t id = index;
    VLY_TRY(add_descriptor(p, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, device));
    if (json)
        VLY_TRY(set_attribute(p, *device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                              CUDNN_TYPE_CHAR, (int64_t)strlen(json), json));
    else
        VLY_TRY(
            set_attribute(p, *device, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &id));
    return finalize(p, *device);
}

void vly_cudnn_plan_destroy(vly_cudnn_plan *p) {
    if (!p) return;
    while (p->count > 0) p->lib->BackendDestroyDescriptor(p->made[--p->count]);
    free(p);
}

vly_status vly_cudnn_plan_create(vly_cudnn_plan **out, const vly_conv *c, int n, vly_pass pass,
                                 vly_cudnn_place from, size_t workspace_most, int index,
                                 const char *json) {
    *out = NULL;
    vly_cudnn_plan *p = calloc(1, sizeof *p);
    if (!p) return vly_fail(VLY_ENOMEM, "no memory for a plan");
    p->lib = vly_cudnn_library_open();
    p->workspace_most = (int64_t)workspace_most;
    descriptor device;
    vly_status status = p->lib->GetVersion() < VERSION_MIN
                            ? vly_fail(VLY_EUNSUPPORTED, "cuDNN %zu is older than 9.8",
                                       p->lib->GetVersion())
                            : VLY_OK;
    if (status == VLY_OK) status = describe_target(p, index, json, &device);
    if (status == VLY_OK) status = plan_with(p, c, n, pass, device, from);
    if (status != VLY_OK) {
        vly_cudnn_plan_destroy(p);
        return status;
    }
    *out = p;
    return VLY_OK;
}

vly_cudnn_place vly_cudnn_plan_place(const vly_cudnn_plan *p) {
    return p->place;
}

int64_t vly_cudnn_plan_engine(const vly_cudnn_plan *p) {
    return p->engine;
}

/* ---- the engine ---- */

static bool cudnn_can(const vly_layer *l, vly_pass pass) {
    (void)pass;
    return l->d.kind == VLY_CONV && vly_cudnn_library_open()->handle && l->d.x_type != VLY_U8 &&
           l->d.x_scale == 1.0f && l->d.x_type == l->d.y_type;
}

static vly_status cudnn_open(vly_layer *l, vly_pass pass, int variant, void **plan) {
    return vly_cudnn_plan_take((vly_cudnn_kept **)plan, &l->conv, l->d.batch_max, pass, variant,
                               ((vly_cuda *)l->c)->workspace_bytes, ((vly_cuda *)l->c)->device,
                               NULL);
}

static void cudnn_close(void *plan) {
    vly_cudnn_plan_give_back(plan);
}

static vly_status execute_plan(const vly_cudnn_plan *p, vly_queue *q, descriptor pack, int n,
                               const int64_t *uids, void **data) {
    void *workspace = vly_workspace_of(q);
    VLY_CUDNN_TRY(p->lib->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                                              CUDNN_TYPE_INT64, n, uids));
    VLY_CUDNN_TRY(p->lib->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                              CUDNN_TYPE_VOID_PTR, n, data));
    VLY_CUDNN_TRY(p->lib->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                              CUDNN_TYPE_VOID_PTR, 1, &workspace));
    VLY_CUDNN_TRY(p->lib->BackendFinalize(pack));
    VLY_CUDNN_TRY(p->lib->BackendExecute(((vly_cuda_queue *)q)->cudnn, p->plan, pack));
    return VLY_OK;
}

static vly_status cudnn_run(vly_layer *l, vly_queue *q, vly_pass pass, void *plan, int n,
                            const vly_pass_args *a) {
    (void)n;
    const vly_cudnn_plan *p = ((const vly_cudnn_kept *)plan)->plan;
    const void *w = l->w_bf16 ? l->w_bf16 : (const void *)a->w;
    const bool forward = pass == VLY_PASS_FORWARD;
    const int64_t uids[4] = {UID_X, UID_W, UID_Y, UID_BIAS};
    const void *data[4] = {pass == VLY_PASS_DX ? a->dx : a->x, pass == VLY_PASS_DW ? l->partial : w,
                           forward ? a->y : a->dz,
                           l->w_bf16 ? l->bias_bf16 : (const void *)(a->w + l->weights)};
    descriptor pack;
    VLY_CUDNN_TRY(p->lib->BackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack));
    const vly_status status = execute_plan(p, q, pack, forward ? 4 : 3, uids, (void **)data);
    p->lib->BackendDestroyDescriptor(pack);
    VLY_TRY(status);
    if (forward && l->d.act == VLY_ACT_TANH)
        return vly_tanh_launch(l->d.y_type, (int64_t)l->d.batch_max * l->out_numbers, a->y,
                               vly_stream_of(q));
    if (pass == VLY_PASS_DW && l->w_bf16)
        return vly_add_bf16_launch(l->weights, l->partial, a->dw, a->accumulate, vly_stream_of(q));
    if (pass == VLY_PASS_DW)
        return vly_sum_partials_launch(l->weights, 1, l->partial, 1.0f, a->dw, a->accumulate,
                                       vly_stream_of(q));
    return VLY_OK;
}

/* A handle is bound to one stream, and a queue is used by one thread at a time. */
static vly_status cudnn_queue_open(vly_cuda_queue *q) {
    const vly_cudnn_library *lib = vly_cudnn_library_open();
    cudnnHandle_t handle;
    if (!lib->handle) return VLY_OK;
    VLY_CUDNN_TRY(lib->Create(&handle));
    q->cudnn = handle;
    VLY_CUDNN_TRY(lib->SetStream(handle, q->stream));
    return VLY_OK;
}

static void cudnn_queue_close(vly_cuda_queue *q) {
    if (q->cudnn) vly_cudnn_library_open()->Destroy(q->cudnn);
    q->cudnn = NULL;
}

const vly_engine vly_engine_cudnn = {"cudnn",          VLY_CUDNN_VARIANTS, false, cudnn_can,
                                     cudnn_open,       cudnn_close,        NULL,  cudnn_run,
                                     cudnn_queue_open, cudnn_queue_close,  false};
