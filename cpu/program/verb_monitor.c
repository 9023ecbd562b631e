#include <semaphore.h>
#include <stdio.h>
#include "cpu/program/cli.h"
#include "cpu/monitor/monitor.h"

typedef struct {
    int port;
    char bind[64], token[128], hosts[256], store[256];
} monitor_options;

static const vly_option monitor_table[] = {
    VLY_CLI_INT(monitor_options, port, "8265", 0, 65535, "port to listen on; 0: any that is free"),
    VLY_CLI_TEXT(monitor_options, bind, "127.0.0.1", NULL,
                 "address to listen on; others than loopback need a token"),
    VLY_CLI_TEXT(monitor_options, token, "", NULL,
                 "what a client must know: at least 16 letters and digits"),
    VLY_CLI_TEXT(monitor_options, hosts, "", NULL,
                 "further host names that the page may be asked for by, comma-separated"),
    VLY_CLI_TEXT(monitor_options, store, "", NULL,
                 "a Redis to look for fleets in, beside those that the runs name"),
};

static sem_t done;
static void stop_monitor(void *arg) {
    (void)arg;
    sem_post(&done);
}

static int monitor_verb(vly_cli *cli) {
    const monitor_options *o = cli->own;
    vly_monitor *m;
    const vly_monitor_options options = {.folder = cli->count ? cli->positional[0] : "runs",
                                         .bind = o->bind,
                                         .token = o->token,
                                         .hosts = o->hosts,
                                         .port = o->port,
                                         .store = o->store};
    const vly_status status = vly_monitor_start(&m, &options);
    if (status != VLY_OK) return vly_cli_fail(status);
    fprintf(cli->people, "%s\nCtrl-C ends it; the runs go on.\n", vly_monitor_url(m));
    fflush(cli->people);
    sem_init(&done, 0, 0);
    vly_cli_watch_signals(stop_monitor, NULL);
    while (!vly_cli_signal()) sem_wait(&done);
    vly_cli_watch_signals(NULL, NULL);
    if (cli->json)
        vly_cli_print_json(
            json_pack("{s:s, s:s}", "folder", options.folder, "url", vly_monitor_url(m)));
    vly_monitor_stop(m);
    return VLY_EXIT_DONE;
}

const vly_verb vly_verb_monitor = {
    .name = "monitor",
    .positional_help = "[RUNS_DIR]",
    .summary = "serves a page with all runs of a folder, live and finished, side by side",
    .examples = "volley monitor runs\n"
                "volley monitor runs --port 0 --store redis://head:6379/0\n"
                "volley monitor runs --bind 0.0.0.0 --token $(openssl rand -hex 16)",
    .own = monitor_table,
    .own_count = sizeof monitor_table / sizeof *monitor_table,
    .own_bytes = sizeof(monitor_options),
    .more = "RUNS_DIR is a folder of runs (default: runs) or one run. /metrics is for Prometheus. "
            "A run shows its own page with `volley train ENV --monitor`.",
    .positional_max = 1,
    .run = monitor_verb,
};
