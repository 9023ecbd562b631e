#include "benchmarks/bench_atari.h"
#include "benchmarks/bench_atari_stack.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "envs/atari/atari.h"
#include "envs/atari/emulator.h"
#include "envs/atari/roms.h"

enum { FRAMES = 250, SAMPLES_MOST = 99, STACK_ACTORS = 32, STACK_THREADS = 2 };

/* ---- ours ---- */

typedef struct {
    vly_rom *rom;
    vly_emulator_rules rules;
    vly_emulator emulator;
    vly_screens *screens; /* NULL: nothing is drawn */
    uint32_t random;
} raw_work;

static int next_action(uint32_t *random, int actions) {
    *random = *random * 1664525u + 1013904223u;
    return (int)((uint64_t)*random * (uint32_t)actions >> 32);
}

static double raw_frames(void *arg) {
    raw_work *w = arg;
    for (int i = 0; i < FRAMES; i++) {
        (void)vly_emulator_act(&w->emulator, &w->rules, next_action(&w->random, VLY_ATARI_ACTIONS),
                               w->screens);
        if (vly_emulator_over(&w->emulator))
            (void)vly_emulator_reset(&w->emulator, &w->rules, w->screens);
    }
    return FRAMES;
}

static vly_status raw_open(raw_work *w, const vly_atari_game *game) {
    static uint8_t bytes[VLY_ROM_MAX_BYTES];
    size_t n;
    VLY_TRY(vly_atari_rom_read(game, NULL, bytes, &n));
    VLY_TRY(vly_rom_create(&w->rom, bytes, n, &game->machine));
    w->rules = (vly_emulator_rules){.game = game, .rom = w->rom, .mode = game->default_mode};
    w->random = 1;
    return vly_emulator_load(&w->emulator, &w->rules, 1, w->screens);
}

/* ---- ale-py's, in a process that answers every line with a rate per second, of the clock and of
 * processor time ---- */

static const char peer_program[] =
    "import sys, os, time, random\n"
    "import ale_py\n"
    "game, what, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])\n"
    "ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)\n"
    "rng = random.Random(1)\n"
    "if what == 'raw':\n"
    "    ale = ale_py.ALEInterface()\n"
    "    ale.setFloat('repeat_action_probability', 0.0)\n"
    "    ale.loadROM(os.path.join(os.path.dirname(ale_py.__file__), 'roms', game + '.bin'))\n"
    "    def work():\n"
    "        for _ in range(100):\n"
    "            ale.act(rng.randrange(18))\n"
    "            if ale.game_over(): ale.reset_game()\n"
    "        return 100\n"
    "else:\n"
    "    import numpy as np\n"
    "    from ale_py.vector_env import AtariVectorEnv\n"
    "    env = AtariVectorEnv(game, num_envs=1, num_threads=1)\n"
    "    env.reset(seed=1)\n"
    "    actions = np.random.default_rng(1).integers(0, env.single_action_space.n, (50, 1))\n"
    "    def work():\n"
    "        for a in actions: env.step(a)\n"
    "        return 50\n"
    "print('ready', ale_py.__version__, flush=True)\n"
    "for line in sys.stdin:\n"
    "    done, start, cpu = 0, time.perf_counter(), time.process_time()\n"
    "    while time.perf_counter() - start < seconds: done += work()\n"
    "    print(done / (time.perf_counter() - start), done / (time.process_time() - cpu), "
    "flush=True)\n";

typedef struct {
    pid_t pid;
    FILE *to, *from;
    char version[32];
} peer;

static void peer_close(peer *p) {
    if (p->to) fclose(p->to);
    if (p->from) fclose(p->from);
    if (p->pid > 0) waitpid(p->pid, NULL, 0);
}

static const char *python(void) {
    const char *named = getenv("VLY_PYTHON");
    if (named && *named) return named;
    return access("build/peers/bin/python", X_OK) == 0 ? "build/peers/bin/python" : "python3";
}

static vly_status peer_open(peer *p, const char *game, const char *what, double seconds) {
    int in[2], out[2];
    char text[32], line[128];
    snprintf(text, sizeof text, "%g", seconds);
    if (pipe(in) != 0) return vly_fail(VLY_EIO, "no pipe for ale-py");
    if (pipe(out) != 0) {
        close(in[0]), close(in[1]);
        return vly_fail(VLY_EIO, "no pipe for ale-py");
    }
    fflush(NULL);
    p->pid = fork();
    if (p->pid == 0) {
        dup2(in[0], 0), dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execlp(python(), python(), "-c", peer_program, game, what, text, (char *)NULL);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    p->to = fdopen(in[1], "w"), p->from = fdopen(out[0], "r");
    if (p->pid > 0 && p->to && p->from && fgets(line, sizeof line, p->from) &&
        sscanf(line, "ready %31s", p->version) == 1)
        return VLY_OK;
    peer_close(p);
    return vly_fail(VLY_ENOTFOUND,
                    "ale-py does not run in %s: `sh tests/kit/peers.sh build/peers` installs it, "
                    "or VLY_PYTHON names a Python that has it",
                    python());
}

static int peer_rate(peer *p, double *wall, double *cpu) {
    char line[128];
    fputs("go\n", p->to);
    return fflush(p->to) == 0 && fgets(line, sizeof line, p->from) &&
           sscanf(line, "%lf %lf", wall, cpu) == 2;
}

/* ---- both ---- */

typedef struct {
    double wall[SAMPLES_MOST], cpu[SAMPLES_MOST];
} series;

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const vly_bench_options *o, const char *name, const char *unit,
                   const char *params, series *s, int n) {
    vly_bench_result r = {.samples = n};
    snprintf(r.name, sizeof r.name, "%s", name);
    snprintf(r.unit, sizeof r.unit, "%s", unit);
    snprintf(r.params, sizeof r.params, "%s", params);
    qsort(s->wall, (size_t)n, sizeof *s->wall, ascending);
    qsort(s->cpu, (size_t)n, sizeof *s->cpu, ascending);
    r.median = s->wall[n / 2], r.min = s->wall[0], r.max = s->wall[n - 1], r.cpu = s->cpu[n / 2];
    if (o->report) o->report(o->arg, &r);
}

static vly_status alternate(const vly_bench_options *o, const char *game, const char *what,
                            const char *unit, vly_bench_fn work, void *arg) {
    static series ours, theirs, ratio;
    vly_bench_options once = *o;
    int n = o->samples > 0 ? o->samples : 7;
    if (n > SAMPLES_MOST) n = SAMPLES_MOST;
    if (!(once.seconds > 0)) once.seconds = 0.2;
    once.samples = 1;
    peer ale = {0};
    char name[48], other[64], params[96];
    VLY_TRY(peer_open(&ale, game, what, once.seconds));
    int good = peer_rate(&ale, &theirs.wall[0], &theirs.cpu[0]); /* warms up */
    for (int i = 0; i < n && good; i++) {
        vly_bench_result r = {.samples = 0};
        vly_bench_rate(&once, work, arg, &r);
        ours.wall[i] = r.median, ours.cpu[i] = r.cpu;
        good = peer_rate(&ale, &theirs.wall[i], &theirs.cpu[i]);
        ratio.wall[i] = ours.wall[i] / theirs.wall[i], ratio.cpu[i] = ours.cpu[i] / theirs.cpu[i];
    }
    peer_close(&ale);
    if (!good) return vly_fail(VLY_EIO, "ale-py stopped while it played %s", game);
    snprintf(name, sizeof name, "%s/%s", game, what);
    report(o, name, unit, "\"threads\": 1", &ours, n);
    snprintf(params, sizeof params, "\"threads\": 1, \"ale_py\": \"%s\"", ale.version);
    snprintf(other, sizeof other, "%s/ale", name);
    report(o, other, unit, params, &theirs, n);
    snprintf(other, sizeof other, "%s/ratio", name);
    report(o, other, "times", params, &ratio, n);
    return VLY_OK;
}

static vly_status measure(const vly_bench_options *o, const char *game, const char *what,
                          const char *unit, const char *params, vly_bench_fn work, void *arg) {
    if (o->vs) return alternate(o, game, what, unit, work, arg);
    vly_bench_result r = {.samples = 0};
    snprintf(r.name, sizeof r.name, "%s/%s", game, what);
    snprintf(r.unit, sizeof r.unit, "%s", unit);
    snprintf(r.params, sizeof r.params, "%s", params);
    vly_bench_rate(o, work, arg, &r);
    if (o->report) o->report(o->arg, &r);
    return VLY_OK;
}

static int wanted(const vly_bench_options *o, const char *game, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "%s/%s", game, what);
    return vly_bench_wanted(o, name);
}

static vly_status measure_raw(const vly_bench_options *o, const vly_atari_game *game,
                              const char *what, vly_screens *screens) {
    static raw_work raw;
    if (!wanted(o, game->name, what)) return VLY_OK;
    raw = (raw_work){.screens = screens};
    vly_status status = raw_open(&raw, game);
    if (status == VLY_OK)
        status = measure(o, game->name, what, "frames/s", "\"threads\": 1", raw_frames, &raw);
    vly_rom_destroy(raw.rom);
    return status;
}

static vly_status measure_stack(const vly_bench_options *o, const vly_atari_game *game,
                                const char *what, int actors, int threads) {
    vly_bench_stack steps;
    char params[64];
    if (!wanted(o, game->name, what)) return VLY_OK;
    snprintf(params, sizeof params, "\"actors\": %d, \"threads\": %d", actors, threads);
    vly_status status = vly_bench_stack_open(&steps, game, actors, threads);
    if (status == VLY_OK)
        status = measure(o, game->name, what, "steps/s", params, vly_bench_stack_steps, &steps);
    vly_bench_stack_close(&steps);
    return status;
}

static vly_status measure_all(const vly_bench_options *o, const vly_atari_game *game) {
    static vly_screens screens;
    VLY_TRY(measure_raw(o, game, "raw", NULL));
    if (!o->vs) VLY_TRY(measure_raw(o, game, "drawn", &screens));
    VLY_TRY(measure_stack(o, game, "obs84", 1, 1));
    for (int threads = 1; !o->vs && threads <= STACK_THREADS; threads++) {
        char what[24];
        snprintf(what, sizeof what, "stack84/%d", threads);
        VLY_TRY(measure_stack(o, game, what, STACK_ACTORS, threads));
    }
    return VLY_OK;
}

vly_status vly_bench_atari(const vly_bench_options *o, const vly_atari_game *game) {
    void (*was)(int) = signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error, no end */
    const vly_status status = measure_all(o, game);
    signal(SIGPIPE, was);
    return status;
}
