/* replay.c -- a fuzz target without a fuzzer: every file of a folder once, and each of them cut and
 * bent, so often that there are some two thousand inputs. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/base/file.h"
#include "common/base/philox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void bend(uint8_t *data, size_t bytes, uint64_t seed) {
    for (uint32_t i = 0; bytes && i < 4; i++) {
        const vly_u32x4 r = vly_philox(seed, VLY_STREAM_TEST, i, 0);
        data[vly_below(r.v[0], (uint32_t)bytes)] = (uint8_t)r.v[1];
    }
}

enum { INPUTS = 2000, TRIES_MOST = 50 };

static int count_files(const char *folder) {
    int n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) n += e->d_name[0] != '.';
    if (dir) closedir(dir);
    return n;
}

static uint64_t tries_of(int files) {
    const int tries = files ? INPUTS / 2 / files : 0;
    return (uint64_t)(tries < 1 ? 1 : tries > TRIES_MOST ? TRIES_MOST : tries);
}

int main(int argc, char **argv) {
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    int files = 0;
    if (!dir) return fprintf(stderr, "which corpus?\n"), 1;
    const uint64_t tries = tries_of(count_files(argv[1]));
    for (struct dirent *e; (e = readdir(dir));) {
        char path[1024], *data;
        size_t bytes;
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        if (vly_file_read(path, 1 << 24, &data, &bytes) != VLY_OK)
            return fprintf(stderr, "%s\n", vly_error_text()), 1;
        LLVMFuzzerTestOneInput((uint8_t *)data, bytes);
        for (uint64_t i = 0; i < tries; i++) {
            LLVMFuzzerTestOneInput((uint8_t *)data, bytes * i / tries);
            bend((uint8_t *)data, bytes, i);
            LLVMFuzzerTestOneInput((uint8_t *)data, bytes);
        }
        free(data);
        files++;
    }
    closedir(dir);
    printf("%d files\n", files);
    return files ? 0 : 1;
}
