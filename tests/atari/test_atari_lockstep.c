/* The console beside ALE, frame by frame: RAM and palette screen equal, always. */
#include <sys/stat.h>
#include <unistd.h>
#include "tests/atari/console.h"
#include "tests/atari/romgen.h"
#include "tests/kit/check.h"

enum { FRAMES_MAX_TEXT = 1 << 16 };

static const char *python(void) {
    const char *p = getenv("VLY_PYTHON");
    return p && *p ? p : "python3";
}

static int have_ale(void) {
    char command[512];
    snprintf(command, sizeof command, "%s -c 'import ale_py' >/dev/null 2>&1", python());
    return system(command) == 0;
}

/* ---- comparing ---- */

static int read_all(FILE *f, void *to, size_t n) {
    return fread(to, 1, n, f) == n;
}

static int first_difference(const uint8_t *a, const uint8_t *b, int n) {
    for (int i = 0; i < n; ++i)
        if (a[i] != b[i]) return i;
    return -1;
}

/* The pixels of a line that differ, ours over theirs. */
static void print_rows(const uint8_t *ours, const uint8_t *theirs, int line) {
    int from = first_difference(ours + line * 160, theirs + line * 160, 160), shown = 0;
    if (from < 0) return;
    fprintf(stderr, "  line %d:", line);
    for (int x = from; x < 160 && shown < 12; ++x) {
        uint8_t a = ours[line * 160 + x], b = theirs[line * 160 + x];
        if (a == b) continue;
        fprintf(stderr, " %d:%02x/%02x", x, a, b);
        ++shown;
    }
    fputc('\n', stderr);
}

/* Returns the number of unequal records; reports the first. */
static int compare(FILE *trace, const uint8_t *bytes, size_t n, const char *name) {
    static console c;
    static uint8_t ram[128], screen[VLY_SCREEN_BYTES];
    int head[3], unequal = 0;
    CHECK(read_all(trace, head, sizeof head));
    console_open(&c, bytes, n);
    int height = console_height(&c), ok = head[0] == height && head[1] == 160;
    if (!ok) fprintf(stderr, "%s: screen %dx%d, not %dx160\n", name, head[0], head[1], height);
    for (int i = 0; i < head[2]; ++i) {
        uint8_t label;
        CHECK(read_all(trace, &label, 1) && read_all(trace, ram, sizeof ram));
        CHECK(read_all(trace, screen, (size_t)head[0] * 160));
        if (!ok) continue;
        console_play(&c, label);
        int r = first_difference(ram, c.m.ram, 128);
        int s = first_difference(screen, console_screen(&c), height * 160);
        if (r < 0 && s < 0) continue;
        if (unequal++ == 0)
            fprintf(stderr,
                    "%s: record %d action %d: RAM[%02x] %02x, not %02x; screen (%d,%d) "
                    "%02x, not %02x\n",
                    name, i, label, r < 0 ? 0 : r + 0x80, r < 0 ? 0 : c.m.ram[r],
                    r < 0 ? 0 : ram[r], s < 0 ? -1 : s % 160, s < 0 ? -1 : s / 160,
                    s < 0 ? 0 : console_screen(&c)[s], s < 0 ? 0 : screen[s]);
        if (unequal == 1)
            for (int y = 0; y < height; ++y) print_rows(console_screen(&c), screen, y);
    }
    console_close(&c);
    return ok ? unequal : head[2];
}

static void write_file(const char *path, const uint8_t *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

/* Plays `count` ROMs that `make` writes; returns how many were unequal. */
static int lockstep(romgen_kind kind, int first, int count, int frames) {
    char dir[] = "/tmp/vly_lockstep_XXXXXX", path[256];
    static char command[FRAMES_MAX_TEXT];
    static uint8_t rom[VLY_ROM_MAX_BYTES];
    int bad = 0;
    CHECK(mkdtemp(dir));
    size_t used = (size_t)snprintf(command, sizeof command, "%s tests/atari/ale_trace.py",
                                   python());
    for (int i = 0; i < count; ++i) {
        size_t n = romgen(kind, (uint64_t)(first + i), rom);
        snprintf(path, sizeof path, "%s/%d", dir, i);
        CHECK(mkdir(path, 0700) == 0);
        snprintf(path, sizeof path, "%s/%d/amidar.bin", dir, i);
        write_file(path, rom, n);
        used += (size_t)snprintf(command + used, sizeof command - used, " %s %d %d", path, frames,
                                 first + i);
        CHECK(used < sizeof command);
    }
    FILE *trace = popen(command, "r");
    CHECK(trace);
    for (int i = 0; i < count; ++i) {
        char name[64];
        snprintf(name, sizeof name, "%s %d", romgen_names[kind], first + i);
        size_t n = romgen(kind, (uint64_t)(first + i), rom);
        int unequal = compare(trace, rom, n, name);
        if (unequal) fprintf(stderr, "%s: %d of %d records differ\n", name, unequal, frames + 1);
        bad += unequal != 0;
    }
    CHECK_EQ(pclose(trace), 0);
    snprintf(path, sizeof path, "rm -rf %s", dir);
    CHECK_EQ(system(path), 0);
    printf("%-7s %d of %d ROMs equal over %d frames\n", romgen_names[kind], count - bad, count,
           frames);
    return bad;
}

static int lockstep_file(const char *file, int frames, int seed) {
    char dir[] = "/tmp/vly_lockstep_XXXXXX", path[256], command[1024];
    static uint8_t rom[VLY_ROM_MAX_BYTES + 1];
    FILE *f = fopen(file, "rb");
    CHECK(f);
    size_t n = fread(rom, 1, sizeof rom, f);
    fclose(f);
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/amidar.bin", dir);
    write_file(path, rom, n);
    snprintf(command, sizeof command, "%s tests/atari/ale_trace.py %s %d %d", python(), path,
             frames, seed);
    FILE *trace = popen(command, "r");
    CHECK(trace);
    int unequal = compare(trace, rom, n, file);
    pclose(trace);
    unlink(path);
    rmdir(dir);
    printf("%s: %d of %d records differ\n", file, unequal, frames + 1);
    return unequal;
}

int main(int argc, char **argv) {
    if (!have_ale())
        SKIP("no lockstep with ALE: %s cannot import ale_py (pip install ale-py, or VLY_PYTHON)",
             python());
    if (argc == 4) return lockstep_file(argv[1], atoi(argv[2]), atoi(argv[3])) != 0;
    int bad = 0;
    for (int k = 0; k < ROMGEN_COUNT; ++k) {
        if (argc == 5 && strcmp(argv[1], romgen_names[k]) != 0) continue;
        if (argc != 5 && k == ROMGEN_NOISE) continue; /* some are known to differ */
        bad += argc == 5 ? lockstep((romgen_kind)k, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]))
                         : lockstep((romgen_kind)k, 3, 2, 40);
    }
    return bad ? TEST_FAIL : TEST_PASS;
}
