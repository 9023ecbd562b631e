#include "envs/mujoco/library.h"
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vly_mj_layout layouts[] = {
#define LAYOUT(...) {__VA_ARGS__},
#include "envs/mujoco/layouts.def"
#undef LAYOUT
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, PATH = 2048 };

static const char supported[] =
#define LAYOUT(version, name, ...) name ", "
#include "envs/mujoco/layouts.def"
#undef LAYOUT
    ;

const char *vly_mj_supported(void) {
    static _Thread_local char text[sizeof supported];
    snprintf(text, sizeof text, "%.*s", (int)sizeof supported - 3, supported);
    return text;
}

/* ---- what the library says when it gives up ---- */

static _Thread_local vly_mj_trap *trap;
static _Thread_local char trouble[256];

vly_mj_trap *vly_mj_trap_set(vly_mj_trap *now) {
    vly_mj_trap *before = trap;
    trap = now;
    return before;
}

const char *vly_mj_trouble(void) {
    return trouble;
}

/* mju_error() must not return. Outside of a trap it ends the process, as the library does by itself. */
static void give_back_control(const char *words) {
    snprintf(trouble, sizeof trouble, "%s", words);
    if (trap) longjmp(trap->back, 1);
    fprintf(stderr, "volley: MuJoCo: %s\n", words);
    abort();
}

/* Its own handler writes MUJOCO_LOG.TXT into the working directory. What a warning is about, an unstable
 * simulation, restarts in the library. */
static void ignore_warning(const char *words) {
    (void)words;
}

typedef void (*handler)(const char *);

/* A process that has the library already (Python's mujoco) may have handlers of its own. */
static void set_handler(const vly_mj_library *mj, const char *name, handler ours) {
    handler *theirs = dlsym(mj->handle, name);
    if (theirs && !*theirs) *theirs = ours;
}

/* ---- finding it ---- */

static vly_status find_folder(char *folder, size_t bytes) {
    const char *own = getenv("VOLLEY_MUJOCO"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    int n = -1;
    if (own && *own)
        n = snprintf(folder, bytes, "%s", own);
    else if (cache && *cache)
        n = snprintf(folder, bytes, "%s/volley/mujoco", cache);
    else if (home && *home)
        n = snprintf(folder, bytes, "%s/.cache/volley/mujoco", home);
    if (n >= 0 && (size_t)n < bytes) return VLY_OK;
    return vly_fail(
        VLY_ENOTFOUND,
        "no folder for MuJoCo: neither VOLLEY_MUJOCO nor HOME names one, or its name is "
        "longer than %zu characters",
        bytes - 1);
}

static const vly_mj_layout *find_layout(const char *name) {
    for (int i = 0; i < LAYOUTS; i++)
        if (strcmp(layouts[i].name, name) == 0) return &layouts[i];
    return NULL;
}

/* The newest supported library of the folder; *other: the name of one that is not supported. */
static const vly_mj_layout *newest(const char *folder, char *other, size_t bytes) {
    static const char prefix[] = "libmujoco.so.";
    const vly_mj_layout *best = NULL;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strncmp(e->d_name, prefix, sizeof prefix - 1) != 0) continue;
        const vly_mj_layout *one = find_layout(e->d_name + sizeof prefix - 1);
        if (!one)
            snprintf(other, bytes, "; %.60s is there", e->d_name);
        else if (!best || one > best)
            best = one;
    }
    if (dir) closedir(dir);
    return best;
}

static vly_status choose_version(const char *folder, const char *version,
                                 const vly_mj_layout **out) {
    char other[96] = "";
    *out = *version ? find_layout(version) : newest(folder, other, sizeof other);
    if (*out) return VLY_OK;
    if (*version)
        return vly_fail(VLY_EVERSION, "MuJoCo %.32s is not supported: %s are", version,
                        vly_mj_supported());
    return vly_fail(*other ? VLY_EVERSION : VLY_ENOTFOUND,
                    "no MuJoCo library of a supported version (%s) in %s%s: 'make mujoco' fetches "
                    "one, VOLLEY_MUJOCO names another folder",
                    vly_mj_supported(), folder, other);
}

/* ---- loading it ---- */

void *vly_mj_symbol(const vly_mj_library *mj, const char *name) {
    return dlsym(mj->handle, name);
}

static vly_status find_functions(vly_mj_library *mj, const char *path) {
    const char *missing = NULL;
    void *found;
#define X(member, name, result, arguments)                  \
    if (!(found = dlsym(mj->handle, name))) missing = name; \
    memcpy(&mj->member, &found, sizeof found);
    VLY_MJ_FUNCTIONS(X)
#undef X
    if (missing) return vly_fail(VLY_EVERSION, "%s: it has no function '%s'", path, missing);
    return VLY_OK;
}

/* By what the library says of itself, whatever its file is called. */
static vly_status check_version(const vly_mj_library *mj, const char *path) {
    const int is = mj->version();
    if (is == mj->layout->version) return VLY_OK;
    return vly_fail(
        VLY_EVERSION,
        "%s: it is version %d of MuJoCo, not %s; supported are %s: 'make mujoco' fetches "
        "one",
        path, is, mj->layout->name, vly_mj_supported());
}

static vly_status load_mujoco(vly_mj_library *mj) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/libmujoco.so.%s", mj->folder, mj->layout->name);
    mj->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!mj->handle)
        return vly_fail(VLY_ENOTFOUND, "cannot load MuJoCo: %.500s: 'make mujoco' fetches it",
                        dlerror());
    VLY_TRY(find_functions(mj, path));
    VLY_TRY(check_version(mj, path));
    set_handler(mj, "mju_user_error", give_back_control);
    set_handler(mj, "mju_user_warning", ignore_warning);
    return VLY_OK;
}

vly_status vly_mj_library_open(vly_mj_library *mj, const char *version) {
    memset(mj, 0, sizeof *mj);
    VLY_TRY(find_folder(mj->folder, sizeof mj->folder));
    VLY_TRY(choose_version(mj->folder, version, &mj->layout));
    const vly_status status = load_mujoco(mj);
    if (status != VLY_OK) vly_mj_library_close(mj);
    return status;
}

void vly_mj_library_close(vly_mj_library *mj) {
    if (mj->handle) dlclose(mj->handle);
    mj->handle = NULL;
}

vly_status vly_mj_load(const vly_mj_library *mj, const char *file, vly_mj_model **out) {
    char path[PATH], why[512] = "";
    vly_mj_trap t;
    snprintf(path, sizeof path, "%s/%s", mj->folder, file);
    *out = NULL;
    VLY_MJ_TRAP(t);
    if (setjmp(t.back))
        snprintf(why, sizeof why, "%s", vly_mj_trouble());
    else
        *out = mj->load(path, NULL, why, sizeof why);
    VLY_MJ_UNTRAP(t);
    if (*out) return VLY_OK;
    return vly_fail(VLY_ENOTFOUND,
                    "MuJoCo cannot load %s: %.300s: 'make mujoco' fetches the models", path, why);
}
