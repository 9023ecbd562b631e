/* The driver's numbers, from a library that stands in for the driver's. */
#include "tests/kit/check.h"
#include "cpu/machine/gpu_use.h"

static void numbers_are_shares_and_bytes(void) {
    double share = -1, bytes = -1;
    vly_gpu_use *g = vly_gpu_use_open(VLY_TEST_NVML, 0);
    CHECK(g && vly_gpu_use_read(g, &share, &bytes));
    CHECK_NEAR(share, 0.87, 1e-12);
    CHECK_EQ(bytes, 600);
    vly_gpu_use_close(g);
}

static void what_is_missing_is_no_error(void) {
    double share, bytes;
    CHECK(!vly_gpu_use_open("/no/such/library.so", 0) && !vly_gpu_use_open(VLY_TEST_NOT_NVML, 0));
    CHECK(!vly_gpu_use_open(VLY_TEST_NVML, 2) && !vly_gpu_use_open(VLY_TEST_NVML, -1));
    CHECK(!vly_gpu_use_read(NULL, &share, &bytes));
    vly_gpu_use *g = vly_gpu_use_open(VLY_TEST_NVML, 1); /* there, but it does not answer */
    CHECK(g && !vly_gpu_use_read(g, &share, &bytes));
    vly_gpu_use_close(g);
    vly_gpu_use_close(NULL);
}

static void numbers_follow_cuda(void) {
    double share, bytes;
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    vly_gpu_use *g = vly_gpu_use_open(VLY_TEST_NVML, 1);
    CHECK(g && vly_gpu_use_read(g, &share, &bytes)); /* the driver's 0 */
    vly_gpu_use_close(g);
    unsetenv("CUDA_VISIBLE_DEVICES");
    CHECK_EQ(vly_gpu_use_index("cuda:2,3"), 2);
    CHECK_EQ(vly_gpu_use_index("cuda"), 0);
    CHECK_EQ(vly_gpu_use_index("auto"), 0);
}

int main(void) {
    numbers_are_shares_and_bytes();
    what_is_missing_is_no_error();
    numbers_follow_cuda();
    return TEST_PASS;
}
