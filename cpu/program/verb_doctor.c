#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/compute_open.h"
#include "cpu/machine/processors.h"
#include "cpu/machine/system.h"
#include "cpu/program/verbs.h"
#include "envs/atari/roms.h"
#include "envs/mujoco/mujoco.h"

typedef struct {
    vly_cli *cli;
    json_t *facts, *missing, *gpu; /* gpu: what the back end says of devices, libraries, engines */
} doctor;

__attribute__((format(printf, 3, 4))) static void fact(doctor *d, const char *name,
                                                       const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(d->cli->people, "  %-12s %s\n", name, text);
    json_object_set_new(d->facts, name, json_string(text));
}

static void lacks(doctor *d, const char *what, const char *good_for, const char *mend) {
    fprintf(d->cli->people, "  %-12s missing: %s. Mend: %s\n", what, good_for, mend);
    json_array_append_new(
        d->missing, json_pack("{s:s, s:s, s:s}", "what", what, "for", good_for, "mend", mend));
}

static bool on_path(const char *program) {
    char path[4096], folders[8192];
    const char *from = getenv("PATH");
    snprintf(folders, sizeof folders, "%s", from ? from : "/usr/bin:/bin");
    for (char *f = strtok(folders, ":"); f; f = strtok(NULL, ":")) {
        snprintf(path, sizeof path, "%s/%s", f, program);
        if (access(path, X_OK) == 0) return true;
    }
    return false;
}

static void check_processor(doctor *d) {
    char text[512], features[512];
    vly_system_cpu_name(text, sizeof text);
    vly_system_cpu_features(features, sizeof features);
    fact(d, "processor", "%s, %d usable of %ld", text, vly_processors(),
         sysconf(_SC_NPROCESSORS_ONLN));
    fact(d, "features", "%s", features);
    fact(d, "memory", "%.1f GB", (double)vly_system_memory_bytes() / 1e9);
}

static void check_gpu(doctor *d) {
    vly_cuda_info info;
    vly_cuda_describe(&info);
    if (info.plugin) {
        fact(d, "gpu", "%d usable, back end %s", info.devices, info.plugin_path);
        for (char *line = strtok(info.text, "\n"); line; line = strtok(NULL, "\n")) {
            fprintf(d->cli->people, "               %s\n", line);
            json_array_append_new(d->gpu, json_string(line));
        }
    }
    if (!info.why[0]) return;
    if (info.driver)
        lacks(d, "gpu", info.why, "make cuda");
    else
        fact(d, "gpu", "none: %s; everything runs on the processor", info.why);
}

static void check_libraries(doctor *d) {
    char why[512], text[512] = "";
    json_t *system = vly_system_json(), *libraries = json_object_get(system, "libraries"), *value;
    const char *name;
    json_object_foreach(libraries, name, value) {
        size_t used = strlen(text);
        if (json_is_string(value))
            snprintf(text + used, sizeof text - used, "%s%s %s", used ? ", " : "", name,
                     json_string_value(value));
    }
    fact(d, "libraries", "%s", text);
    json_decref(system);
    static const struct {
        const char *file, *name, *good_for, *mend;
    } optional[] = {
        {"libmpi.so.40", "Open MPI", "all-reduce training on several machines",
         "apt-get install libopenmpi-dev openmpi-bin"},
    };
#ifdef VLY_HAVE_REDIS
    fact(d, "hiredis", "built in");
#else
    lacks(d, "hiredis", "distributed training through Redis",
          "apt-get install libhiredis-dev, then build again");
#endif
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        vly_system_try_library(optional[i].file, why, sizeof why);
        if (*why)
            lacks(d, optional[i].name, optional[i].good_for, optional[i].mend);
        else
            fact(d, optional[i].name, "%s", optional[i].file);
    }
}

static void check_programs(doctor *d) {
    static const struct {
        const char *name, *good_for, *mend;
    } programs[] = {
        {"redis-server", "distributed training on one machine without a server of your own",
         "apt-get install redis-server"},
        {"mpirun", "synchronous training on several machines", "apt-get install openmpi-bin"},
        {"ffmpeg", "videos of agents", "apt-get install ffmpeg"},
        {"gnuplot", "curves as pictures", "apt-get install gnuplot-nox"},
    };
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (on_path(programs[i].name))
            fact(d, programs[i].name, "here");
        else
            lacks(d, programs[i].name, programs[i].good_for, programs[i].mend);
    }
}

static void check_roms(doctor *d) {
    static uint8_t found[VLY_ATARI_GAMES];
    int n = vly_atari_rom_scan(NULL, found);
    if (n)
        fact(d, "atari roms", "%d of %d games", n, VLY_ATARI_GAMES);
    else
        lacks(d, "atari roms", "Atari games", "make roms");
}

static void check_mujoco(doctor *d) {
    char found[1200];
    if (vly_mujoco_find(found, sizeof found) == VLY_OK)
        fact(d, "mujoco", "%s", found);
    else
        lacks(d, "mujoco", "MuJoCo environments", "make mujoco");
}

static int doctor_verb(vly_cli *cli) {
    doctor d = {cli, json_object(), json_array(), json_array()};
    fprintf(cli->people, "volley %s, commit %s\n", vly_system_version(), vly_system_commit());
    check_processor(&d);
    check_gpu(&d);
    check_libraries(&d);
    check_programs(&d);
    check_roms(&d);
    check_mujoco(&d);
    size_t missing = json_array_size(d.missing);
    fprintf(cli->people, "%s\n",
            missing ? "What is missing is optional: training and evaluation on this machine work."
                    : "Nothing is missing.");
    json_t *system = vly_system_json();
    json_object_set_new(system, "facts", d.facts);
    json_object_set_new(system, "missing", d.missing);
    json_object_set_new(system, "gpu", d.gpu);
    if (cli->json)
        vly_cli_print_json(system);
    else
        json_decref(system);
    return VLY_EXIT_DONE;
}

const vly_verb vly_verb_doctor = {
    .name = "doctor",
    .positional_help = "",
    .summary = "what this machine has, what is missing, and the command that mends it",
    .examples = "volley doctor",
    .run = doctor_verb,
};
