#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/record/checkpoint.h"
#include "common/base/file.h"
#include "common/base/philox.h"
#include "tests/kit/check.h"

static char folder[64] = "/tmp/vly-checkpoint-XXXXXX";

static float weights[257];
static uint8_t pixels[1003];
static double moments[2][3];
static int64_t cursor;

static void fill(uint64_t seed) {
    for (int i = 0; i < 257; i++)
        weights[i] = vly_unit(vly_philox(seed, VLY_STREAM_TEST, 1, (uint32_t)i).v[0]);
    for (int i = 0; i < 1003; i++)
        pixels[i] = (uint8_t)vly_philox(seed, VLY_STREAM_TEST, 2, (uint32_t)i).v[0];
    for (int i = 0; i < 6; i++)
        moments[i / 3][i % 3] = vly_unit(vly_philox(seed, VLY_STREAM_TEST, 3, (uint32_t)i).v[0]);
    cursor = (int64_t)seed;
}

static const vly_array *tensors(void) {
    static vly_array t[5];
    t[0] = (vly_array){"pixels", VLY_U8, 3, {17, 59, 1}, pixels, true, false};
    t[1] = (vly_array){"policy.0.weight", VLY_F32, 1, {257}, weights, true, true};
    t[2] = (vly_array){"empty", VLY_F32, 2, {0, 7}, NULL, true, false};
    t[3] = (vly_array){"cursor", VLY_I64, 0, {0}, &cursor, true, false};
    t[4] = (vly_array){"moments", VLY_F64, 2, {2, 3}, moments, false, false};
    return t;
}

static vly_checkpoint_data data_of(const char *steps) {
    static vly_note notes[2];
    notes[0] = (vly_note){"steps", "", true};
    notes[1] = (vly_note){"host", "somewhere \"else\"", false};
    snprintf(notes[0].value, sizeof notes[0].value, "%s", steps);
    return (vly_checkpoint_data){
        .tensors = tensors(), .tensor_count = 5, .notes = notes, .note_count = 2};
}

static const char *in_folder(const char *name) {
    static char path[2][400];
    static int i;
    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", folder, name);
    return path[i];
}

static void clear_folder(void) {
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.') unlink(in_folder(e->d_name));
    closedir(dir);
}

static int files_in_folder(void) {
    int n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void what_is_written_is_what_is_read(void) {
    char digest[VLY_DIGEST_TEXT];
    vly_checkpoint *c;
    fill(7);
    vly_checkpoint_data d = data_of("81920");
    CHECK_OK(vly_checkpoint_write(in_folder("x.safetensors"), &d, digest));
    CHECK_OK(vly_checkpoint_open(&c, in_folder("x.safetensors")));
    CHECK_OK(vly_checkpoint_verify(c));
    CHECK(vly_checkpoint_is_ours(c));
    CHECK_STR(vly_checkpoint_digest(c), digest);
    CHECK_EQ(vly_checkpoint_tensors(c), 5);
    for (int i = 0; i < 5; i++) {
        const vly_array *want = &tensors()[i], *got = vly_checkpoint_find(c, want->name);
        char back[8192];
        size_t bytes = vly_array_bytes(want);
        CHECK(got && got->dtype == want->dtype && got->ndim == want->ndim &&
              got->state == want->state && got->weight == want->weight);
        for (int k = 0; k < want->ndim; k++) CHECK_EQ(got->shape[k], want->shape[k]);
        memset(back, 0x5a, sizeof back);
        CHECK_OK(vly_checkpoint_read(c, want->name, want->dtype, back, bytes));
        CHECK(bytes == 0 || memcmp(back, want->data, bytes) == 0);
        CHECK_EQ(back[bytes], 0x5a);
    }
    int64_t steps;
    CHECK_OK(vly_checkpoint_note_int(c, "steps", &steps));
    CHECK_EQ(steps, 81920);
    CHECK_STR(vly_checkpoint_note_text(c, "host"), "somewhere \"else\"");
    CHECK_EQ(vly_checkpoint_read(c, "nope", VLY_F32, weights, 4), VLY_ENOTFOUND);
    CHECK_EQ(vly_checkpoint_read(c, "cursor", VLY_F64, &cursor, 8), VLY_EINVAL);
    CHECK_EQ(vly_checkpoint_read(c, "cursor", VLY_I64, &cursor, 16), VLY_EINVAL);
    vly_checkpoint_close(c);
}

static vly_status fetch(void *arg, int i, size_t offset, void *to, size_t bytes) {
    memcpy(to, (const char *)((const vly_array *)arg)[i].data + offset, bytes);
    return VLY_OK;
}

/* The digest follows contents and what is marked, not order, other notes, or where the data came
 * from. */
static void the_digest_is_the_state_and_nothing_else(void) {
    char a[VLY_DIGEST_TEXT], b[VLY_DIGEST_TEXT];
    vly_array t[5];
    vly_note n[2];
    fill(7);
    vly_checkpoint_data d = data_of("1");
    CHECK_OK(vly_checkpoint_write(in_folder("a"), &d, a));
    for (int i = 0; i < 5; i++) t[i] = d.tensors[4 - i];
    n[0] = d.notes[1], n[1] = d.notes[0];
    strcpy(n[0].value, "elsewhere");
    vly_checkpoint_data e = {.tensors = t, .tensor_count = 5, .notes = n, .note_count = 2};
    moments[1][1] += 1; /* not marked as state */
    CHECK_OK(vly_checkpoint_write(in_folder("b"), &e, b));
    CHECK_STR(a, b);
    vly_array remote[5];
    memcpy(remote, t, sizeof remote);
    for (int i = 0; i < 5; i++) remote[i].data = NULL;
    vly_checkpoint_data f = {.tensors = remote,
                             .tensor_count = 5,
                             .notes = n,
                             .note_count = 2,
                             .fetch = fetch,
                             .arg = t};
    CHECK_OK(vly_checkpoint_write(in_folder("b"), &f, b));
    CHECK_STR(a, b);
    pixels[500] ^= 1;
    CHECK_OK(vly_checkpoint_write(in_folder("b"), &e, b));
    CHECK(strcmp(a, b));
    pixels[500] ^= 1;
    strcpy(n[1].value, "2");
    CHECK_OK(vly_checkpoint_write(in_folder("b"), &e, b));
    CHECK(strcmp(a, b));
}

/* Any cut and any changed byte is noticed, with the file's name in the words. */
static void damage_is_noticed(void) {
    char *good, *bad;
    size_t bytes;
    vly_checkpoint *c;
    fill(9);
    vly_checkpoint_data d = data_of("5");
    CHECK_OK(vly_checkpoint_write(in_folder("x"), &d, NULL));
    CHECK_OK(vly_file_read(in_folder("x"), 1 << 20, &good, &bytes));
    bad = malloc(bytes);
    for (size_t cut = 0; cut < bytes; cut++) {
        vly_status status = vly_checkpoint_open_memory(&c, good, cut, "cut.safetensors");
        CHECK_EQ(status, VLY_ECORRUPT);
        CHECK(strstr(vly_error_text(), "cut.safetensors"));
    }
    for (size_t i = 0; i < bytes; i++) {
        memcpy(bad, good, bytes);
        bad[i] ^= (char)(1 + vly_below(vly_philox(3, VLY_STREAM_TEST, i, 0).v[0], 255));
        vly_status status = vly_checkpoint_open_memory(&c, bad, bytes, "bad.safetensors");
        if (status == VLY_OK) {
            status = vly_checkpoint_verify(c);
            bool harmless = false; /* a changed note that is not state, or a key that became another
                                      note's */
            if (status == VLY_OK) {
                const char *host = vly_checkpoint_note_text(c, "host");
                harmless = !vly_checkpoint_is_ours(c) || !host ||
                           strcmp(host, "somewhere \"else\"") || vly_checkpoint_notes(c) != 2;
                if (!harmless) /* white space for white space in the padding, or state turned off
                                  where it counts for nothing */
                    harmless = bad[i] == ' ' || bad[i] == '\n' || bad[i] == '\t' ||
                               bad[i] == '\r' || vly_checkpoint_find(c, "moments")->state;
            }
            CHECK(status == VLY_ECORRUPT || harmless);
            vly_checkpoint_close(c);
        } else
            CHECK(status == VLY_ECORRUPT || status == VLY_EVERSION);
    }
    free(good);
    free(bad);
}

static void header_lies_are_refused(void) {
    static const struct {
        const char *header;
        size_t data;
        const char *words;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8,
         "end at byte 4 of 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "a hole at byte 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[4],\"data_offsets\":[2,6]}}",
         6, "an overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\","
         "\"shape\":[1],\"data_offsets\":[0,1]}}",
         1, "duplicate"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
         "do not make its 4 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
         "do not make"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904,4],\"data_offsets\":[0,0]}}",
         0, "do not make"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "valid shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4000]}}", 4,
         "outside the file"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "F31"},
        {"{\"a\":5}", 0, "lacks dtype"},
        {"[1]", 0, "not JSON"},
        {"{\"__metadata__\":{\"volley.format\":\"9\"}}", 0, "newer version"},
        {"{\"__metadata__\":{\"volley.format\":\"1\"}}", 0, "digest is missing"},
        {"{\"__metadata__\":{\"x\":3}}", 0, "not text"},
        {"{\"__metadata__\":[]}", 0, "not a JSON object"},
        {"{", 0, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char file[512] = {0};
        size_t n = strlen(bad[i].header);
        vly_checkpoint *c;
        file[0] = (char)n;
        memcpy(file + 8, bad[i].header, n);
        CHECK(vly_checkpoint_open_memory(&c, file, 8 + n + bad[i].data, "x") != VLY_OK);
        if (!strstr(vly_error_text(), bad[i].words))
            fprintf(stderr, "case %zu: %s\n", i, vly_error_text());
        CHECK(strstr(vly_error_text(), bad[i].words));
    }
}

static int bad_ones;
static void count_bad(void *arg, const char *path, const char *words) {
    (void)arg;
    CHECK(strstr(words, path) || strstr(words, "checkpoint"));
    bad_ones++;
}

static void the_last_few_and_the_best_are_kept(void) {
    char path[VLY_PATH];
    vly_checkpoint *c;
    clear_folder();
    for (int i = 1; i <= 6; i++) {
        char steps[16];
        snprintf(steps, sizeof steps, "%d", i * 100);
        fill((uint64_t)i);
        vly_checkpoint_data d = data_of(steps);
        CHECK_OK(vly_checkpoints_save(folder, i * 100, 3, i == 2, &d, path, NULL));
    }
    CHECK_EQ(files_in_folder(), 4); /* 400, 500, 600, best */
    CHECK_OK(vly_checkpoints_open_newest(&c, folder, NULL, NULL));
    CHECK(strstr(vly_checkpoint_path(c), "000000000600"));
    vly_checkpoint_close(c);
    CHECK_OK(vly_checkpoint_open(&c, in_folder("best.safetensors")));
    CHECK_STR(vly_checkpoint_note_text(c, "steps"), "200");
    vly_checkpoint_close(c);
    /* the newest damaged, the next foreign: the third is found, and both are named */
    CHECK_EQ(truncate(path, 500), 0);
    static const char foreign[] = "\x02\0\0\0\0\0\0\0{}";
    CHECK_OK(vly_file_replace(in_folder("step-000000000500.safetensors"), foreign, 10));
    CHECK_OK(vly_checkpoints_open_newest(&c, folder, count_bad, NULL));
    CHECK_EQ(bad_ones, 2);
    CHECK(strstr(vly_checkpoint_path(c), "000000000400"));
    vly_checkpoint_close(c);
    CHECK_OK(vly_checkpoints_drop_after(folder, 400));
    CHECK_EQ(files_in_folder(), 2);
    CHECK_EQ(truncate(in_folder("step-000000000400.safetensors"), 0), 0);
    CHECK_OK(vly_checkpoints_open_newest(&c, folder, NULL, NULL)); /* the best is the last resort */
    CHECK_STR(vly_checkpoint_note_text(c, "steps"), "200");
    vly_checkpoint_close(c);
    CHECK_EQ(truncate(in_folder("best.safetensors"), 9), 0);
    CHECK_EQ(vly_checkpoints_open_newest(&c, folder, NULL, NULL), VLY_ECORRUPT);
    clear_folder();
    CHECK_EQ(vly_checkpoints_open_newest(&c, folder, NULL, NULL), VLY_ENOTFOUND);
    CHECK_EQ(vly_checkpoints_open_newest(&c, in_folder("none"), NULL, NULL), VLY_ENOTFOUND);
}

/* A file that may not grow is what a full disk looks like to write(). */
static void a_full_disk_keeps_the_previous(void) {
    clear_folder();
    fill(1);
    vly_checkpoint_data d = data_of("1");
    CHECK_OK(vly_checkpoint_write(in_folder("x"), &d, NULL));
    pid_t child = fork();
    if (child == 0) {
        struct rlimit small = {2048, 2048};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        fill(2);
        d = data_of("2");
        _exit(vly_checkpoint_write(in_folder("x"), &d, NULL) == VLY_ENOSPACE ? 0 : 1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ(files_in_folder(), 1); /* no temporary either */
    vly_checkpoint *c;
    CHECK_OK(vly_checkpoint_open(&c, in_folder("x")));
    CHECK_OK(vly_checkpoint_verify(c));
    CHECK_STR(vly_checkpoint_note_text(c, "steps"), "1");
    vly_checkpoint_close(c);
}

/* Twice what a save takes on this disk, 6 ms at least and 200 ms at most. */
static uint32_t kill_span_ns(void) {
    struct timespec begun, ended;
    vly_checkpoint_data d = data_of("0");
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (int64_t i = -3; i < 0; i++)
        CHECK_OK(vly_checkpoints_save(folder, i, 2, false, &d, NULL, NULL));
    clock_gettime(CLOCK_MONOTONIC, &ended);
    clear_folder();
    const double ns = 1e9 * (double)(ended.tv_sec - begun.tv_sec) +
                      (double)(ended.tv_nsec - begun.tv_nsec);
    return (uint32_t)fmin(fmax(2 * ns / 3, 6e6), 200e6);
}

/* A child saves without end and tells each save that was acknowledged; it is killed at a random
 * moment. What was acknowledged is there afterwards, or something newer, and it verifies. */
static void a_kill_loses_nothing_that_was_acknowledged(int kills) {
    int64_t acknowledged = 0;
    int unacknowledged_newer = 0;
    clear_folder();
    const uint32_t span_ns = kill_span_ns();
    for (int k = 0; k < kills; k++) {
        int ends[2];
        CHECK_EQ(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            for (int64_t i = acknowledged + 1;; i++) {
                char steps[24];
                snprintf(steps, sizeof steps, "%lld", (long long)i);
                fill((uint64_t)i);
                vly_checkpoint_data d = data_of(steps);
                if (vly_checkpoints_save(folder, i, 2, i % 3 == 0, &d, NULL, NULL) != VLY_OK)
                    _exit(1);
                if (write(ends[1], &i, sizeof i) != sizeof i) _exit(1);
            }
        }
        close(ends[1]);
        struct timespec wait = {
            0,
            200000 + (long)vly_below(vly_philox(5, VLY_STREAM_TEST, (uint64_t)k, 0).v[0], span_ns)};
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        CHECK(WIFSIGNALED(status));
        for (int64_t i; read(ends[0], &i, sizeof i) == sizeof i;) acknowledged = i;
        close(ends[0]);
        if (acknowledged == 0) continue;
        vly_checkpoint *c;
        bad_ones = 0;
        CHECK_OK(vly_checkpoints_open_newest(&c, folder, count_bad, NULL));
        CHECK_EQ(bad_ones, 0);
        int64_t steps;
        CHECK_OK(vly_checkpoint_note_int(c, "steps", &steps));
        CHECK(steps >= acknowledged);
        unacknowledged_newer += steps > acknowledged;
        fill((uint64_t)steps);
        float back[257];
        CHECK_OK(vly_checkpoint_read(c, "policy.0.weight", VLY_F32, back, sizeof back));
        CHECK(memcmp(back, weights, sizeof back) == 0);
        vly_checkpoint_close(c);
        acknowledged = steps;
    }
    CHECK(acknowledged > 0);
    fill(1);
    vly_checkpoint_data d = data_of("x");
    CHECK_OK(vly_checkpoints_save(folder, acknowledged + 1, 2, false, &d, NULL, NULL));
    CHECK(files_in_folder() <= 3); /* the leftovers of the killed are gone */
    printf("%d kills, %lld saves, 0 unloadable, 0 acknowledged lost, %d renamed but not yet "
           "acknowledged\n",
           kills, (long long)acknowledged, unacknowledged_newer);
}

int main(int argc, char **argv) {
    CHECK(mkdtemp(folder));
    what_is_written_is_what_is_read();
    the_digest_is_the_state_and_nothing_else();
    damage_is_noticed();
    header_lies_are_refused();
    the_last_few_and_the_best_are_kept();
    a_full_disk_keeps_the_previous();
    a_kill_loses_nothing_that_was_acknowledged(argc > 1 ? atoi(argv[1]) : 500);
    clear_folder();
    rmdir(folder);
    return TEST_PASS;
}
