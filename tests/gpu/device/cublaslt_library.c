/* NVIDIA's own cuBLASLt has every function that we call, and takes what we describe: needs the
 * library, and no GPU. */
#include "gpu/cublaslt_library.h"
#include "tests/kit/check.h"

static const vly_cublaslt_library *lib;

static void descriptions_are_taken(int compute, uint32_t epilogue) {
    vly_lt_desc desc;
    const int32_t turned = VLY_LT_TRANSPOSED;
    const void *bias = &desc;
    CHECK_EQ(lib->MatmulDescCreate(&desc, compute, VLY_LT_F32), 0);
    CHECK_EQ(lib->MatmulDescSetAttribute(desc, VLY_LT_TRANSA, &turned, sizeof turned), 0);
    CHECK_EQ(lib->MatmulDescSetAttribute(desc, VLY_LT_TRANSB, &turned, sizeof turned), 0);
    CHECK_EQ(lib->MatmulDescSetAttribute(desc, VLY_LT_EPILOGUE, &epilogue, sizeof epilogue), 0);
    CHECK_EQ(lib->MatmulDescSetAttribute(desc, VLY_LT_BIAS_POINTER, &bias, sizeof bias), 0);
    CHECK(lib->MatmulDescSetAttribute(desc, VLY_LT_EPILOGUE, &epilogue, 1) != 0); /* the sizes are
                                                                                     looked at */
    CHECK_EQ(lib->MatmulDescDestroy(desc), 0);
}

static void layouts_are_taken(int type) {
    vly_lt_layout layout;
    CHECK_EQ(lib->MatrixLayoutCreate(&layout, type, 64, 1 << 20, 64), 0);
    CHECK_EQ(lib->MatrixLayoutDestroy(layout), 0);
}

static void preferences_are_taken(void) {
    vly_lt_preference preference;
    const uint64_t workspace = (uint64_t)32 << 20;
    const uint32_t least = 4;
    CHECK_EQ(lib->MatmulPreferenceCreate(&preference), 0);
    CHECK_EQ(lib->MatmulPreferenceSetAttribute(preference, VLY_LT_WORKSPACE_BYTES, &workspace,
                                               sizeof workspace),
             0);
    for (int name = VLY_LT_ALIGN_A; name <= VLY_LT_ALIGN_D; name++)
        CHECK_EQ(lib->MatmulPreferenceSetAttribute(preference, name, &least, sizeof least), 0);
    CHECK_EQ(lib->MatmulPreferenceDestroy(preference), 0);
}

int main(void) {
    static const uint32_t epilogues[] = {VLY_LT_NO_EPILOGUE, VLY_LT_BIAS, VLY_LT_RELU_BIAS,
                                         VLY_LT_BIAS_GRADIENT};
    lib = vly_cublaslt_library_open();
    if (!lib->handle) {
        CHECK(!strstr(lib->path, "too old"));
        SKIP("no cuBLASLt: %s", lib->path);
    }
    CHECK(lib->version / 10000 == CUDART_VERSION / 1000);
    for (size_t i = 0; i < sizeof epilogues / sizeof *epilogues; i++) {
        descriptions_are_taken(VLY_LT_COMPUTE_F32, epilogues[i]);
        descriptions_are_taken(VLY_LT_COMPUTE_TF32, epilogues[i]);
    }
    layouts_are_taken(VLY_LT_F32);
    layouts_are_taken(VLY_LT_BF16);
    preferences_are_taken();
    CHECK(*lib->GetStatusString(7));
    return TEST_PASS;
}
