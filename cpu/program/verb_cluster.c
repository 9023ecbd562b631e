#include <stdio.h>
#include <string.h>
#include "cpu/program/cli.h"
#ifdef VLY_HAVE_REDIS
#include "cpu/fleet/store.h"
#endif

typedef struct {
    char store[256], run[128];
} cluster_options;

static const vly_option cluster_table[] = {
    VLY_CLI_TEXT(cluster_options, store, "", NULL, "the Redis of the runs: redis://host:port/db"),
    VLY_CLI_TEXT(cluster_options, run, "", NULL, "name of one run; default: all in the store"),
};

#ifdef VLY_HAVE_REDIS
typedef struct {
    const cluster_options *o;
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
    if (s->o->run[0] && strcmp(s->o->run, run) != 0) return VLY_OK;
    VLY_TRY(vly_store_open(&store, s->o->store, run, NULL));
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
    int count = 0;
    VLY_TRY(vly_store_open(&store, s->o->store, "", &quick));
    const vly_status status = vly_store_runs(store, survey_run, s, &count);
    vly_store_close(store);
    VLY_TRY(status);
    if (s->o->run[0] && json_array_size(s->runs) == 0)
        return vly_fail(VLY_ENOTFOUND, "no run %s in the store %s", s->o->run, s->o->store);
    if (count == 0) fprintf(s->people, "no run in the store %s\n", s->o->store);
    return VLY_OK;
}

static int cluster_verb(vly_cli *cli) {
    const cluster_options *o = cli->own;
    if (strcmp(cli->positional[0], "status") != 0)
        return vly_cli_fail(vly_fail(VLY_EINVAL, "cluster: '%s' is not known; there is: status",
                                     cli->positional[0]));
    if (!o->store[0])
        return vly_cli_fail(
            vly_fail(VLY_EINVAL, "cluster: --store is needed, the Redis that the runs use"));
    survey s = {.o = o, .people = cli->people, .runs = json_array()};
    const vly_status status = look(&s);
    if (status != VLY_OK) {
        json_decref(s.runs);
        return vly_cli_fail(status);
    }
    if (cli->json)
        vly_cli_print_json(json_pack("{s:s, s:o}", "store", o->store, "runs", s.runs));
    else
        json_decref(s.runs);
    return VLY_EXIT_DONE;
}
#else
static int cluster_verb(vly_cli *cli) {
    (void)cli;
    return vly_cli_fail(vly_fail(VLY_EUNSUPPORTED,
                                 "this build has no Redis client: apt-get install libhiredis-dev "
                                 "liblz4-dev, then build again"));
}
#endif

const vly_verb vly_verb_cluster = {
    .name = "cluster",
    .positional_help = "status",
    .summary = "who is alive in a distributed run: roles, versions, rates",
    .examples = "volley cluster status --store redis://learner:6379/0",
    .own = cluster_table,
    .own_count = sizeof cluster_table / sizeof *cluster_table,
    .own_bytes = sizeof(cluster_options),
    .positional_min = 1,
    .positional_max = 1,
    .run = cluster_verb,
};
