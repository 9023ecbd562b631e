#include "cpu/fleet/fleet_view.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/base/text.h"
#include "cpu/fleet/store.h"

enum { MEMBERS = 1024, FORGET_S = 600 };

typedef struct {
    int store;
    char run[128], name[64], what[480]; /* what: the newest heartbeat */
    double first, beat, seen;           /* first seen; heartbeat last changed; last seen */
} member;

struct vly_fleet_view {
    uv_loop_t *loop;
    uv_work_t work;
    bool busy;
    int n;
    char urls[VLY_FLEET_STORES][300], errors[VLY_FLEET_STORES][256];
    member *members; /* used by the pool's thread while busy */
    int member_count;
    double now;
    vly_text next, shown;
    int store; /* being read */
    const char *run;
};

static double wall_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

vly_status vly_fleet_view_open(vly_fleet_view **out, uv_loop_t *loop) {
    vly_fleet_view *f = calloc(1, sizeof *f);
    if (f) f->members = calloc(MEMBERS, sizeof *f->members);
    if (!f || !f->members) {
        free(f);
        return vly_fail(VLY_ENOMEM, "no memory for a view of the fleet");
    }
    f->loop = loop;
    vly_text_add(&f->shown, "{\"stores\":[],\"pending\":true}");
    return *out = f, VLY_OK;
}

#ifdef VLY_HAVE_REDIS
static member *find_or_add_member(vly_fleet_view *f, const char *name) {
    for (int i = 0; i < f->member_count; i++) {
        member *m = &f->members[i];
        if (m->store == f->store && strcmp(m->name, name) == 0 && strcmp(m->run, f->run) == 0)
            return m;
    }
    if (f->member_count == MEMBERS) return NULL;
    member *m = &f->members[f->member_count++];
    *m = (member){.store = f->store, .first = f->now};
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->run, sizeof m->run, "%s", f->run);
    return m;
}

static vly_status record_member(void *arg, const char *name, const char *json) {
    vly_fleet_view *f = arg;
    member *m = find_or_add_member(f, name);
    if (!m) return VLY_OK;
    if (m->seen < f->now - FORGET_S) m->first = f->now;
    m->seen = f->now;
    if (strncmp(m->what, json, sizeof m->what - 1) == 0) return VLY_OK;
    m->beat = f->now;
    snprintf(m->what, sizeof m->what, "%s", json);
    return VLY_OK;
}

static vly_status record_run(void *arg, const char *run) {
    static const vly_store_options quick = {.timeout_ms = 1500, .retry_ms = 1};
    vly_fleet_view *f = arg;
    vly_store *store;
    int count = 0;
    VLY_TRY(vly_store_open(&store, f->urls[f->store], run, &quick));
    f->run = run;
    const vly_status status = vly_store_members(store, record_member, f, &count);
    vly_store_close(store);
    return status;
}

static vly_status read_store_members(vly_fleet_view *f) {
    static const vly_store_options quick = {.timeout_ms = 1500, .retry_ms = 1};
    vly_store *store;
    int count = 0;
    VLY_TRY(vly_store_open(&store, f->urls[f->store], "", &quick));
    const vly_status status = vly_store_runs(store, record_run, f, &count);
    vly_store_close(store);
    return status;
}
#else
static vly_status read_store_members(vly_fleet_view *f) {
    (void)f;
    return vly_fail(
        VLY_EUNSUPPORTED,
        "this build has no Redis client: apt-get install libhiredis-dev, then build again");
}
#endif

/* ---- JSON ---- */

static void add_url(vly_text *t, const char *url) {
    char shown[320];
    vly_store_shown(url, shown, sizeof shown);
    vly_text_json(t, shown);
}

static void add_member(vly_text *t, const member *m, double now) {
    json_t *what = json_loads(m->what, 0, NULL);
    char *json = json_is_object(what) ? json_dumps(what, JSON_COMPACT) : NULL;
    vly_text_add(t, "{\"name\":");
    vly_text_json(t, m->name);
    vly_text_add(t, ",\"alive\":%s,\"beat_s\":%.1f,\"silent_s\":%.1f,\"here_s\":%.1f,\"what\":%s}",
                 m->seen == now ? "true" : "false", now - m->beat, now - m->seen,
                 m->seen - m->first, json ? json : "{}");
    free(json);
    json_decref(what);
}

/* Members of a run are anywhere in the table; all are written with the first of them. */
static void add_runs(vly_text *t, const vly_fleet_view *f, int store) {
    const char *comma = "";
    for (int i = 0; i < f->member_count; i++) {
        const member *m = &f->members[i];
        bool first = m->store == store;
        for (int k = 0; k < i && first; k++)
            first = f->members[k].store != store || strcmp(f->members[k].run, m->run) != 0;
        if (!first) continue;
        vly_text_add(t, "%s{\"run\":", comma);
        vly_text_json(t, m->run);
        vly_text_add(t, ",\"members\":[");
        for (int k = i; k < f->member_count; k++) {
            if (f->members[k].store != store || strcmp(f->members[k].run, m->run) != 0) continue;
            if (k > i) vly_text_add(t, ",");
            add_member(t, &f->members[k], f->now);
        }
        vly_text_add(t, "]}");
        comma = ",";
    }
}

static void drop_expired_members(vly_fleet_view *f) {
    int kept = 0;
    for (int i = 0; i < f->member_count; i++)
        if (f->now - f->members[i].seen < FORGET_S && f->members[i].store < f->n)
            f->members[kept++] = f->members[i];
    f->member_count = kept;
}

static void write_view(vly_fleet_view *f) {
    vly_text *t = &f->next;
    vly_text_clear(t);
    vly_text_add(t, "{\"time\":%.3f,\"stores\":[", f->now);
    for (int i = 0; i < f->n; i++) {
        vly_text_add(t, "%s{\"url\":", i ? "," : "");
        add_url(t, f->urls[i]);
        vly_text_add(t, ",\"error\":");
        if (f->errors[i][0])
            vly_text_json(t, f->errors[i]);
        else
            vly_text_add(t, "null");
        vly_text_add(t, ",\"runs\":[");
        add_runs(t, f, i);
        vly_text_add(t, "]}");
    }
    vly_text_add(t, "]}");
}

static void on_work(uv_work_t *work) {
    vly_fleet_view *f = work->data;
    f->now = wall_clock_s();
    for (f->store = 0; f->store < f->n; f->store++) {
        f->errors[f->store][0] = '\0';
        if (read_store_members(f) != VLY_OK)
            snprintf(f->errors[f->store], sizeof f->errors[0], "%.250s",
                     strstr(f->urls[f->store], "@") ? "cannot be reached" : vly_error_text());
    }
    drop_expired_members(f);
    write_view(f);
}

static void on_done(uv_work_t *work, int status) {
    vly_fleet_view *f = work->data;
    const vly_text shown = f->shown;
    f->busy = false;
    if (status || f->next.failed) return;
    f->shown = f->next;
    f->next = shown;
}

void vly_fleet_view_look(vly_fleet_view *f, const char *const *urls, int n) {
    if (f->busy) return;
    f->n = n < VLY_FLEET_STORES ? n : VLY_FLEET_STORES;
    for (int i = 0; i < f->n; i++) snprintf(f->urls[i], sizeof f->urls[i], "%s", urls[i]);
    f->work.data = f;
    f->busy = uv_queue_work(f->loop, &f->work, on_work, on_done) == 0;
}

const char *vly_fleet_view_json(const vly_fleet_view *f) {
    return f->shown.at;
}

void vly_fleet_view_close(vly_fleet_view *f) {
    /* a read in progress cannot be cancelled: the loop waits for its timeouts */
    if (f->busy) uv_cancel((uv_req_t *)&f->work);
}

void vly_fleet_view_free(vly_fleet_view *f) {
    if (!f) return;
    vly_text_free(&f->next);
    vly_text_free(&f->shown);
    free(f->members);
    free(f);
}
