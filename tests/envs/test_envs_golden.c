#include <dirent.h>
#include "tests/envs/env_golden.h"

/* Claim: every recorded row of the reference implementations is ours, bit for bit. */
int main(void) {
    static const char *folder = "tests/golden/envs";
    DIR *dir = opendir(folder);
    CHECK(dir != NULL);
    long rows = 0;
    int files = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        rows += golden_replay(path);
        files++;
    }
    closedir(dir);
    CHECK(files > 0);
    printf("%ld rows in %d files\n", rows, files);
    return TEST_PASS;
}
