/* cuDNN accepts the graphs of every convolution this project has, in every pass and precision, on
 * the cards it is meant for: planned from descriptions of those cards, so that no GPU is needed.
 * Skips where the library is not installed. */
#include <time.h>
#include "gpu/engine_cudnn.h"
#include "tests/kit/check.h"

static const struct {
    const char *name;
    int version, processors, l2_mib, opt_in;
} cards[] = {{"NVIDIA H200", 900, 132, 60, 232448},
             {"NVIDIA A100-SXM4-80GB", 800, 108, 40, 166912},
             {"NVIDIA B200", 1000, 148, 126, 232448}};

static const char *description(int card) {
    static char text[2048];
    snprintf(text, sizeof text,
             "{\"cudaDeviceId\":0,\"deviceName\":\"%s\",\"deviceVer\":%d,\"driverVer\":13000,"
             "\"isTccDriver\":0,\"l2CacheSize\":%d,\"maxCtasPerSM\":32,"
             "\"maxRegistersPerSM\":65536,\"maxSharedMemoryPerBlock\":49152,"
             "\"maxSharedMemoryPerBlockOptin\":%d,\"maxThreadsPerBlock\":1024,"
             "\"maxThreadsPerSM\":2048,\"memClockRateKHz\":3201000,\"multiProcessorCount\":%d,"
             "\"pciDeviceId\":0,\"regsPerBlock\":65536,"
             "\"reservedSharedMemoryPerBlock\":1024,\"smClockRateKHz\":1980000,"
             "\"supportCoopLaunch\":1,\"totalGlobalMem\":150000000000,\"warpSize\":32,"
             "\"maxBlockSize\":[1024,1024,64],\"maxGridSize\":[2147483647,65535,65535]}",
             cards[card].name, cards[card].version, cards[card].l2_mib << 20, cards[card].opt_in,
             cards[card].processors);
    return text;
}

typedef struct {
    const char *name;
    int h, c, o, k, s, pad;
} shape;
static const shape shapes[] = {
    {"nature conv1", 84, 4, 32, 8, 4, 0},  {"nature conv2", 20, 32, 64, 4, 2, 0},
    {"nature conv3", 9, 64, 64, 3, 1, 0},  {"minatar conv", 10, 4, 16, 3, 1, 0},
    {"impala conv1", 84, 4, 16, 3, 1, 1},  {"impala conv2", 42, 16, 32, 3, 1, 1},
    {"impala conv3", 21, 32, 32, 3, 1, 1}, {"impala conv4", 11, 32, 32, 3, 1, 1}};

static int planned, refused;
static bool quiet;

static vly_conv conv_for(const shape *s, int n, vly_math math) {
    const vly_dtype type = math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32;
    const vly_layer_desc d = {.kind = VLY_CONV,
                              .act = VLY_ACT_RELU,
                              .batch_max = n,
                              .in_h = s->h,
                              .in_w = s->h,
                              .in_c = s->c,
                              .out_c = s->o,
                              .kernel = s->k,
                              .stride = s->s,
                              .pad = s->pad,
                              .x_type = type,
                              .y_type = type,
                              .x_scale = 1};
    return vly_conv_of(&d, math);
}

static void plan_one(const shape *s, int card, int n, vly_math math, vly_pass pass) {
    const vly_conv c = conv_for(s, n, math);
    static const char *const maths[] = {"fp32", "tf32", "bf16"}, *const passes[] = {"forward", "dx",
                                                                                    "dw"};
    vly_cudnn_plan *plan;
    const vly_status status = vly_cudnn_plan_create(&plan, &c, n, pass, (vly_cudnn_place){0, 0},
                                                    (size_t)256 << 20, 0, description(card));
    if (status == VLY_OK)
        planned++;
    else
        refused++;
    if (quiet && status == VLY_OK) {
        vly_cudnn_plan_destroy(plan);
        return;
    }
    printf("%-22s %-13s n %5d %s %-7s: ", cards[card].name, s->name, n, maths[math], passes[pass]);
    if (status == VLY_OK)
        printf("engine %lld\n", (long long)vly_cudnn_plan_engine(plan));
    else
        printf("%s\n", vly_error_text());
    vly_cudnn_plan_destroy(plan);
}

static vly_cudnn_kept *taken(const vly_conv *c, int variant) {
    vly_cudnn_kept *kept;
    CHECK_OK(vly_cudnn_plan_take(&kept, c, 256, VLY_PASS_FORWARD, variant, (size_t)256 << 20, 0,
                                 description(0)));
    return kept;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Given back and taken again it is the same plan; two users at once have two; a later variant is a
 * later suggestion. */
static void a_plan_is_made_once(void) {
    const vly_conv c = conv_for(&shapes[2], 256, VLY_MATH_BF16);
    const double start = seconds_now();
    vly_cudnn_kept *first = taken(&c, 0);
    const double made = seconds_now();
    vly_cudnn_plan *const plan = first->plan;
    vly_cudnn_kept *other = taken(&c, 0), *second = taken(&c, 1);
    CHECK(other->plan != plan && second->plan != plan);
    const vly_cudnn_place a = vly_cudnn_plan_place(plan), b = vly_cudnn_plan_place(other->plan),
                          later = vly_cudnn_plan_place(second->plan);
    CHECK(a.list == b.list && a.at == b.at);
    CHECK(later.list > a.list || later.at > a.at);
    vly_cudnn_plan_give_back(first);
    const double again = seconds_now();
    first = taken(&c, 0);
    CHECK(first->plan == plan);
    printf("a plan: %.1f ms, taken again: %.4f ms\n", 1e3 * (made - start),
           1e3 * (seconds_now() - again));
    vly_cudnn_plan_give_back(first);
    vly_cudnn_plan_give_back(other);
    vly_cudnn_plan_give_back(second);
    CHECK_EQ(vly_cudnn_plan_take(&first, &c, 256, VLY_PASS_FORWARD, VLY_CUDNN_VARIANTS, 0, 0, NULL),
             VLY_EINVAL);
}

int main(int argc, char **argv) {
    quiet = argc < 2 || strcmp(argv[1], "--list") != 0;
    if (!vly_cudnn_library_open()->handle) SKIP("no cuDNN: %s", vly_cudnn_library_open()->path);
    for (int card = 0; card < (int)(sizeof cards / sizeof *cards); card++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (vly_math math = VLY_MATH_FP32; math <= VLY_MATH_BF16; math++)
                for (vly_pass pass = VLY_PASS_FORWARD; pass < VLY_PASSES; pass++)
                    plan_one(&shapes[s], card, 256, math, pass);
    printf("%d planned, %d refused\n", planned, refused);
    CHECK_EQ(refused, 0);
    a_plan_is_made_once();
    return TEST_PASS;
}
