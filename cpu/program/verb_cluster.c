#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/base/file.h"
#include "cpu/program/cli.h"
#include "cpu/run/actor_list.h"
#ifdef VLY_HAVE_REDIS
#include "cpu/fleet/store.h"
#endif

typedef struct {
    char store[256], run[128];
} cluster_options;

static const vly_option cluster_table[] = {
    VLY_CLI_TEXT(cluster_options, store, "", NULL,
                 "the Redis of the runs: redis://host:port/db; default: $VOLLEY_STORE"),
    VLY_CLI_TEXT(cluster_options, run, "", NULL, "name of one run; default: all in the store"),
};

/* ---- a run with remote actors: what its folder says of them ---- */

enum { LIST_MOST = 1 << 20, STALE_S = 10 };

static const char *text_member(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "?";
}

static double number_member(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static void print_remote_actors(FILE *out, const json_t *list, double age) {
    fprintf(out, "%s: %.0f actors, %.0f environments; %.0f slow, %.0f connections lost\n",
            text_member(list, "listen"), number_member(list, "connected"),
            number_member(list, "environments"), number_member(list, "slow"),
            number_member(list, "lost"));
    fprintf(out, "round trip: median %.3g ms, 99th percentile %.3g ms\n",
            number_member(list, "round_trip_p50_ms"), number_member(list, "round_trip_p99_ms"));
    if (age > STALE_S)
        fprintf(out, "the run has not written this for %.0f s: it has ended, or hangs\n", age);
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(list, "actors"), i, a)
        fprintf(out, "  %-32s %-8s %5.0f environments  %8.3g ms  heard %.1f s ago\n",
                text_member(a, "name"), text_member(a, "state"), number_member(a, "environments"),
                number_member(a, "round_trip_ms"), number_member(a, "heard_s"));
}

static int status_of_run(vly_cli *cli, const char *run) {
    char path[2048], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%.1900s/" VLY_ACTOR_LIST, run);
    if (vly_file_read(path, LIST_MOST, &text, &bytes) != VLY_OK)
        return vly_cli_fail(
            vly_fail(VLY_ENOTFOUND,
                     "%s: no run with remote actors (volley train --listen); for one "
                     "with a store: volley cluster status --store ADDRESS",
                     run));
    json_t *list = json_loadb(text, bytes, 0, NULL);
    free(text);
    if (!json_is_object(list)) {
        json_decref(list);
        return vly_cli_fail(vly_fail(VLY_ECORRUPT, "%s is damaged", path));
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const double age = (double)now.tv_sec - number_member(list, "time");
    print_remote_actors(cli->people, list, age);
    json_object_set_new(list, "age_s", vly_json_real(age));
    if (cli->json)
        vly_cli_print_json(list);
    else
        json_decref(list);
    return VLY_EXIT_DONE;
}

/* ---- a store ---- */

#ifdef VLY_HAVE_REDIS
typedef struct {
    const char *store, *run; /* run: "" for all */
    FILE *people;
    json_t *runs, *members; /* members: of the run at hand */
} survey;

static vly_status print_member(void *arg, const char *member, const char *text) {
    survey *s = arg;
    json_error_t error;
    json_t *what = json_loads(text, 0, &error);
    if (!json_is_object(what)) { /* not of this program */
        json_decref(what);
        what = json_object();
    }
    json_object_set_new(what, "name", json_string(member));
    const char *role = json_string_value(json_object_get(what, "role"));
    fprintf(s->people, "  %-12s %-10s", member, role ? role : "?");
    const char *key;
    json_t *value;
    json_object_foreach(what, key, value) {
        if (!strcmp(key, "role") || !strcmp(key, "name")) continue;
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        fprintf(s->people, " %s %s", key, shown ? shown : "?");
        free(shown);
    }
    fputc('\n', s->people);
    json_array_append_new(s->members, what);
    return VLY_OK;
}

static vly_status survey_run(void *arg, const char *run) {
    survey *s = arg;
    vly_store *store;
    int count = 0;
    if (s->run[0] && strcmp(s->run, run) != 0) return VLY_OK;
    VLY_TRY(vly_store_open(&store, s->store, run, NULL));
    fprintf(s->people, "%s\n", run);
    s->members = json_array();
    const vly_status status = vly_store_members(store, print_member, s, &count);
    if (status == VLY_OK && count == 0) fprintf(s->people, "  nobody is alive\n");
    json_array_append_new(s->runs, json_pack("{s:s, s:o}", "run", run, "members", s->members));
    vly_store_close(store);
    return status;
}

static vly_status look(survey *s) {
    const vly_store_options quick = {.timeout_ms = 3000, .retry_ms = 3000};
    vly_store *store;
    char shown[300];
    int count = 0;
    vly_store_shown(s->store, shown, sizeof shown);
    VLY_TRY(vly_store_open(&store, s->store, "", &quick));
    const vly_status status = vly_store_runs(store, survey_run, s, &count);
    vly_store_close(store);
    VLY_TRY(status);
    if (s->run[0] && json_array_size(s->runs) == 0)
        return vly_fail(VLY_ENOTFOUND, "no run %s in the store %s", s->run, shown);
    if (count == 0) fprintf(s->people, "no run in the store %s\n", shown);
    return VLY_OK;
}

static int status_of_store(vly_cli *cli) {
    const cluster_options *o = cli->own;
    const char *store = vly_store_named(o->store);
    if (!store[0])
        return vly_cli_fail(
            vly_fail(VLY_EINVAL, "cluster: the folder of a run with remote actors is needed, or "
                                 "--store or VOLLEY_STORE, the Redis that the runs use"));
    survey s = {.store = store, .run = o->run, .people = cli->people, .runs = json_array()};
    const vly_status status = look(&s);
    if (status != VLY_OK) {
        json_decref(s.runs);
        return vly_cli_fail(status);
    }
    char shown[300];
    vly_store_shown(store, shown, sizeof shown);
    if (cli->json)
        vly_cli_print_json(json_pack("{s:s, s:o}", "store", shown, "runs", s.runs));
    else
        json_decref(s.runs);
    return VLY_EXIT_DONE;
}
#else
static int status_of_store(vly_cli *cli) {
    (void)cli;
    return vly_cli_fail(vly_fail(VLY_EUNSUPPORTED,
                                 "this build has no Redis client: apt-get install libhiredis-dev "
                                 "liblz4-dev, then build again"));
}
#endif

static int cluster_verb(vly_cli *cli) {
    if (strcmp(cli->positional[0], "status") != 0)
        return vly_cli_fail(vly_fail(VLY_EINVAL, "cluster: '%s' is not known; there is: status",
                                     cli->positional[0]));
    return cli->count > 1 ? status_of_run(cli, cli->positional[1]) : status_of_store(cli);
}

const vly_verb vly_verb_cluster = {
    .name = "cluster",
    .positional_help = "status [RUN]",
    .summary = "who is alive in a distributed run: roles, versions, rates",
    .examples = "volley cluster status --store redis://learner:6379/0\n"
                "volley cluster status runs/pong-ppo-1-20261121-101500",
    .own = cluster_table,
    .own_count = sizeof cluster_table / sizeof *cluster_table,
    .own_bytes = sizeof(cluster_options),
    .positional_min = 1,
    .positional_max = 2,
    .run = cluster_verb,
};
