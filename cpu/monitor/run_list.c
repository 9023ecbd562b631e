#include "cpu/monitor/run_list.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCKS = 1024, FOUND = 4096, FRESH_S = 5 };

/* ---- which runs are live ---- */

/* Inodes that somebody holds with flock(). Trying the lock would refuse it to a run that starts at
 * that moment. */
static int read_locks(uint64_t *inodes) {
    char line[256], kind[16];
    unsigned long long inode;
    int n = 0;
    FILE *f = fopen("/proc/locks", "re");
    while (f && n < LOCKS && fgets(line, sizeof line, f))
        if (sscanf(line, "%*s %15s %*s %*s %*s %*x:%*x:%llu", kind, &inode) == 2 &&
            strcmp(kind, "FLOCK") == 0)
            inodes[n++] = inode;
    if (f) fclose(f);
    return n;
}

static bool lives(const vly_run_log *r, const uint64_t *locks, int n) {
    char path[VLY_RUN_PATH + 16];
    struct stat info;
    snprintf(path, sizeof path, "%s/lock", r->path);
    if (stat(path, &info)) return false;
    for (int i = 0; i < n; i++)
        if (locks[i] == info.st_ino) return true;
    /* On another machine, over a shared file system: its locks cannot be seen, its lines can. */
    return n == 0 && (int64_t)time(NULL) - r->updated < FRESH_S;
}

/* ---- finding ---- */

typedef struct {
    char name[VLY_RUN_NAME];
    int64_t time;
} found;

typedef struct {
    const char *folder;
    found *v;
    int n;
} search;

/* A folder with settings in it is a run; others are looked into once. */
static void look_into(search *s, const char *below, int depth) {
    char path[VLY_RUN_PATH + 32];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", s->folder, below);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && s->n < FOUND && (e = readdir(dir));) {
        char name[VLY_RUN_NAME];
        if (e->d_name[0] == '.' || snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "",
                                            e->d_name) >= (int)sizeof name)
            continue;
        if (snprintf(path, sizeof path, "%s/%s/config.yaml", s->folder, name) >= (int)sizeof path)
            continue;
        if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
            s->v[s->n].time = info.st_mtime;
            snprintf(s->v[s->n++].name, VLY_RUN_NAME, "%s", name);
        } else if (depth > 0 &&
                   (e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN))
            look_into(s, name, depth - 1);
    }
    if (dir) closedir(dir);
}

static int newer(const void *a, const void *b) {
    const found *x = a, *y = b;
    return x->time != y->time ? (x->time < y->time ? 1 : -1) : strcmp(y->name, x->name);
}

static void list_run(vly_run_list *l, const char *name) {
    vly_run_log *r = vly_run_list_find(l, name);
    if (!r && l->n < VLY_RUN_LIST_MOST && vly_run_log_open(&r, l->folder, name) == VLY_OK) {
        l->v[l->n++] = r;
        l->changes++;
    }
    if (r) r->seen = true;
}

static void drop_unseen(vly_run_list *l) {
    int kept = 0;
    for (int i = 0; i < l->n; i++) {
        if (l->v[i]->seen)
            l->v[kept++] = l->v[i];
        else
            vly_run_log_close(l->v[i]), l->changes++;
    }
    l->n = kept;
}

static void find_runs(vly_run_list *l) {
    search s = {.folder = l->folder, .v = malloc(FOUND * sizeof *s.v)};
    if (!s.v) return;
    look_into(&s, "", 1);
    qsort(s.v, (size_t)s.n, sizeof *s.v, newer);
    const int n = s.n < VLY_RUN_LIST_MOST ? s.n : VLY_RUN_LIST_MOST;
    for (int i = 0; i < l->n; i++) l->v[i]->seen = false;
    for (int i = 0; i < n; i++) {
        vly_run_log *r = vly_run_list_find(l, s.v[i].name);
        if (r) r->seen = true;
    }
    drop_unseen(l); /* first: it makes room */
    for (int i = 0; i < n; i++) list_run(l, s.v[i].name);
    l->left_out = s.n - n;
    free(s.v);
}

vly_status vly_run_list_open(vly_run_list **out, const char *folder) {
    char path[1300];
    struct stat info;
    if (strlen(folder) >= sizeof((vly_run_list *)0)->folder)
        return vly_fail(VLY_EINVAL, "the path of the folder of runs is too long");
    if (stat(folder, &info))
        return vly_fail(VLY_ENOTFOUND, "there is no folder %s; `volley train cartpole` makes runs/",
                        folder);
    if (!S_ISDIR(info.st_mode)) return vly_fail(VLY_EINVAL, "%s is not a folder of runs", folder);
    vly_run_list *l = calloc(1, sizeof *l);
    if (!l) return vly_fail(VLY_ENOMEM, "no memory for a list of runs");
    snprintf(l->folder, sizeof l->folder, "%s", folder);
    for (size_t n = strlen(l->folder); n > 1 && l->folder[n - 1] == '/'; n--)
        l->folder[n - 1] = '\0';
    snprintf(path, sizeof path, "%s/config.yaml", l->folder);
    if (access(path, F_OK) == 0) { /* its own name, as a member of the folder above */
        char *slash = strrchr(l->folder, '/'), name[VLY_RUN_NAME];
        snprintf(name, sizeof name, "%.255s", slash ? slash + 1 : l->folder);
        if (!slash)
            snprintf(l->folder, sizeof l->folder, ".");
        else if (slash == l->folder)
            slash[1] = '\0';
        else
            *slash = '\0';
        l->single = true;
        list_run(l, name);
    }
    vly_run_list_look(l);
    return *out = l, VLY_OK;
}

void vly_run_list_close(vly_run_list *l) {
    for (int i = 0; l && i < l->n; i++) vly_run_log_close(l->v[i]);
    free(l);
}

void vly_run_list_look(vly_run_list *l) {
    static _Thread_local uint64_t locks[LOCKS];
    if (!l->single) find_runs(l);
    const int n = read_locks(locks);
    for (int i = 0; i < l->n; i++) {
        vly_run_log *r = l->v[i];
        vly_run_log_look(r);
        const bool live = lives(r, locks, n);
        if (live != r->live) r->live = live, r->version++, l->changes++;
    }
}

/* The one that is done soonest: a long run does not hold up the short ones. */
bool vly_run_list_read(vly_run_list *l) {
    vly_run_log *next = NULL;
    for (int i = 0; i < l->n; i++) {
        vly_run_log *r = l->v[i];
        if (r->at < r->size && (!next || r->size - r->at < next->size - next->at)) next = r;
    }
    if (next) vly_run_log_read(next);
    return next != NULL;
}

vly_run_log *vly_run_list_find(vly_run_list *l, const char *name) {
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->v[i]->name, name) == 0) return l->v[i];
    return NULL;
}
