/* An engine that breaks the device while it is tried, and engines that are left out of trials. */
#include <unistd.h>
#include "tests/gpu/layer_parity.h"

static const vly_layer_desc layer = {.kind = VLY_LINEAR,
                                     .batch_max = 40,
                                     .in_c = 128,
                                     .out_c = 72,
                                     .x_type = VLY_BF16,
                                     .y_type = VLY_BF16,
                                     .x_scale = 1};

static void names_that_are_none_are_refused(parity *p) {
    static const char *const wrong[] = {"wgmm", "staged,cublas", "staged#1", "own", "staged,own"};
    vly_layer *l;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_EQ(setenv("VLY_ENGINES_OFF", wrong[i], 1), 0);
        CHECK_EQ(p->gpu->layer_create(p->gpu, &layer, &l), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), "VLY_ENGINES_OFF=") && strstr(vly_error_text(), wrong[i]));
        CHECK(strstr(vly_error_text(), i < 3 ? "there are own, " : "own cannot be left out"));
    }
    unsetenv("VLY_ENGINES_OFF");
}

#ifdef VLY_TEST_SHIM
#include "gpu/internal.h"

static char folder[] = "/tmp/vly-faults-XXXXXX", choices_path[64];

/* What engines.tsv holds; "" without the file. */
static const char *choices(void) {
    static char text[8192];
    FILE *f = fopen(choices_path, "r");
    const size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f) fclose(f);
    return text;
}

static vly_status create(parity *p, const char *off, char engine[32]) {
    vly_layer *l;
    CHECK_EQ(off ? setenv("VLY_ENGINES_OFF", off, 1) : unsetenv("VLY_ENGINES_OFF"), 0);
    const vly_status status = p->gpu->layer_create(p->gpu, &layer, &l);
    unsetenv("VLY_ENGINES_OFF");
    if (status != VLY_OK) return status;
    snprintf(engine, 32, "%s", vly_layer_engine(l, VLY_PASS_FORWARD));
    p->gpu->layer_destroy(l);
    return VLY_OK;
}

/* Descriptors of wgmma name memory that is not the block's: own and staged were fine before. */
static void an_engine_that_breaks_the_device_ends_the_trials(parity *p) {
    char engine[32];
    vly_shim_bend(UINT64_C(1) << 13, 0);
    CHECK_EQ(create(p, NULL, engine), VLY_ECUDA);
    CHECK(strstr(vly_error_text(), "the engine wgmma (forward of a layer)"));
    CHECK(strstr(vly_error_text(), "VLY_ENGINES_OFF=wgmma:"));
    CHECK(strstr(vly_error_text(), "leads out of a shared array"));
    CHECK_STR(choices(), "");
    vly_shim_clear();
    CHECK_EQ(create(p, "cublaslt", engine), VLY_ECUDA);
    CHECK(strstr(vly_error_text(), "VLY_ENGINES_OFF=cublaslt,wgmma:"));
    vly_shim_clear();
    CHECK_STR(choices(), "");
}

static void without_it_the_others_compete(parity *p) {
    char engine[32], again[32];
    CHECK_OK(create(p, "wgmma", engine));
    CHECK(strcmp(engine, "wgmma") != 0);
    CHECK(strstr(choices(), " without wgmma|") && strstr(choices(), "staged#1 "));
    CHECK(!strstr(choices(), "wgmma "));
    const size_t length = strlen(choices());
    CHECK_OK(create(p, ",wgmma,", again)); /* remembered */
    CHECK_STR(again, engine);
    CHECK_EQ(strlen(choices()), length);
    CHECK_OK(create(p, "wgmma,staged", engine)); /* no contest */
    CHECK_STR(engine, "own");
    CHECK_EQ(strlen(choices()), length);
    vly_shim_bend(0, 0);
}

/* What was chosen among all is not taken while its engine is left out, nor the other way round. */
static void choices_are_those_of_the_engines_that_competed(parity *p) {
    char engine[32];
    const size_t before = strlen(choices());
    CHECK_OK(create(p, NULL, engine));
    const size_t all = strlen(choices());
    CHECK(all > before && strstr(choices() + before, "wgmma "));
    CHECK(!strstr(choices() + before, "without"));
    CHECK_OK(create(p, "staged", engine));
    CHECK(strcmp(engine, "staged") != 0);
    CHECK(strlen(choices()) > all && strstr(choices() + all, " without staged|"));
}
#endif

int main(void) {
#if defined(VLY_TEST_SHIM) && defined(__SANITIZE_THREAD__)
    SKIP("the shim runs kernels on one thread: nothing here for ThreadSanitizer, and fibers take "
         "minutes under it");
#endif
    parity both = parity_open(), *p = &both;
    unsetenv("VLY_ENGINE");
    names_that_are_none_are_refused(p);
#ifdef VLY_TEST_SHIM
    CHECK(mkdtemp(folder));
    snprintf(choices_path, sizeof choices_path, "%s/engines.tsv", folder);
    setenv("VLY_CACHE_DIR", folder, 1);
    setenv("VLY_SHIM_TRIALS", "1", 1);
    an_engine_that_breaks_the_device_ends_the_trials(p);
    without_it_the_others_compete(p);
    choices_are_those_of_the_engines_that_competed(p);
    CHECK(unlink(choices_path) == 0 && rmdir(folder) == 0);
#endif
    parity_close(p);
    return TEST_PASS;
}
