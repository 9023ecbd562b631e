/* What the monitor reads, keeps and answers. */
#include "tests/kit/check.h"
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include "common/record/metrics.h"
#include "common/base/philox.h"
#include "cpu/monitor/monitor.h"
#include "cpu/monitor/prometheus.h"
#include "cpu/monitor/run_list.h"
#include "cpu/monitor/shots.h"
#include "envs/registry.h"
#include "tests/monitor/http_client.h"

static char folder[64] = "/tmp/volley-monitor-XXXXXX";

__attribute__((format(printf, 3, 4))) static void write_file(const char *name, const char *mode,
                                                             const char *format, ...) {
    char path[512];
    va_list args;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, mode);
    CHECK(f);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    CHECK_EQ(fclose(f), 0);
}

static void make_run(const char *name, const char *env, int seed) {
    char path[512], file[300];
    vly_config config;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_EQ(mkdir(path, 0755), 0);
    CHECK_OK(vly_config_defaults(&config));
    snprintf(config.run.env, sizeof config.run.env, "%s", env);
    snprintf(config.run.algo, sizeof config.run.algo, "ppo");
    config.run.seed = seed;
    snprintf(config.monitor.token, sizeof config.monitor.token, "secret-secret-secret");
    snprintf(path, sizeof path, "%s/%s/config.yaml", folder, name);
    CHECK_OK(vly_config_save(&config, path));
    snprintf(file, sizeof file, "%s/metrics.jsonl", name);
    for (int i = 1; i <= 50; i++)
        write_file(file, "a",
                   "{\"step\":%d,\"seconds\":%d.5,\"charts/episodic_return\":%d,\"losses/"
                   "entropy\":%s,\"run/steps\":%d}\n",
                   i * 100, i, i, i == 50 ? "null" : "0.25", i * 100);
}

/* ---- curves ---- */

static void a_million_points_keep_their_extremes(void) {
    vly_curve c = {0};
    vly_curve_point out[300];
    double sum = 0;
    for (int i = 0; i < 1000000; i++) {
        const double v = i == 123456   ? 1e6
                         : i == 777777 ? -1e6
                                       : (double)(vly_philox(1, 1, (uint64_t)i, 0).v[0] % 1000);
        sum += v;
        CHECK(vly_curve_add(&c, i, i * 0.1, v));
    }
    CHECK(vly_curve_add(&c, 1e6, 1e5, NAN)); /* left out */
    CHECK(c.n <= VLY_CURVE_POINTS && c.n > VLY_CURVE_POINTS / 3);
    const int n = vly_curve_reduce(&c, 300, out);
    double total = 0, count = 0;
    float low = INFINITY, high = -INFINITY;
    CHECK(n <= 300 && n > 100);
    for (int i = 0; i < n; i++) {
        total += (double)out[i].mean * out[i].n, count += out[i].n;
        low = fminf(low, out[i].min), high = fmaxf(high, out[i].max);
        CHECK(out[i].min <= out[i].mean && out[i].mean <= out[i].max);
        if (i) CHECK(out[i].step > out[i - 1].step);
    }
    CHECK_EQ(count, 1000000);
    CHECK_EQ(out[n - 1].step, 999999);
    CHECK_NEAR(total, sum, 1e-4);
    CHECK(low == -1e6f && high == 1e6f);
    vly_curve_free(&c);
}

/* A run that is followed for hours: memory is that of its first record. */
static void a_live_run_takes_its_memory_at_once(void) {
    vly_run_log *r;
    make_run("hours", "cartpole", 3);
    CHECK_OK(vly_run_log_open(&r, folder, "hours"));
    r->live = true;
    vly_run_log_row(r, 0, 0);
    vly_run_log_value(r, "charts/SPS", 0);
    const vly_curve *c = &vly_run_log_metric(r, "charts/SPS")->curve;
    const vly_curve_point *const memory = c->v;
    CHECK_EQ(c->room, VLY_CURVE_POINTS);
    CHECK_EQ(c->n, 1);
    for (int i = 1; i < 3 * VLY_CURVE_POINTS; i++) {
        vly_run_log_row(r, i, i);
        vly_run_log_value(r, "charts/SPS", i);
    }
    CHECK(c->v == memory && c->n == VLY_CURVE_POINTS * 3 / 4);
    CHECK_EQ(c->v[0].step, 3);
    CHECK_EQ(c->v[0].mean, 1.5);
    vly_run_log_close(r);
}

/* ---- a run's lines ---- */

static void lines_are_followed_as_they_grow(void) {
    vly_run_log *r;
    make_run("follow", "cartpole", 3);
    CHECK_OK(vly_run_log_open(&r, folder, "follow"));
    CHECK_STR(r->env, "cartpole");
    CHECK_EQ(r->seed, 3);
    while (vly_run_log_read(r)) {
    }
    CHECK_EQ(r->lines, 50);
    CHECK_EQ(vly_run_log_last(r, "charts/episodic_return"), 50);
    CHECK(isnan(vly_run_log_last(r, "losses/entropy")) && isnan(vly_run_log_last(r, "no/such")));
    CHECK_EQ(vly_run_log_metric(r, "losses/entropy")->curve.n, 49);
    write_file("follow/metrics.jsonl", "a",
               "{\"step\":5100,\"seconds\":51.5,\"charts/episodic_ret"); /* half a line */
    vly_run_log_look(r);
    while (vly_run_log_read(r)) {
    }
    CHECK_EQ(r->lines, 50);
    write_file("follow/metrics.jsonl", "a",
               "urn\":77}\nnot "
               "ours\n{\"step\":1}\n{\"step\":5200,\"seconds\":52,\"a\":1e999,\"b\":-0.5}\n");
    vly_run_log_look(r);
    while (vly_run_log_read(r)) {
    }
    CHECK_EQ(r->lines, 52);
    CHECK_EQ(r->bad_lines, 2);
    CHECK_EQ(vly_run_log_last(r, "charts/episodic_return"), 77);
    CHECK_EQ(vly_run_log_last(r, "b"), -0.5);
    write_file(
        "follow/metrics.jsonl", "w",
        "{\"step\":100,\"seconds\":1,\"b\":1}\n{\"step\":200,\"seconds\":0.5,\"b\":2}\n"); /* resumed
                                                                                              from
                                                                                              an
                                                                                              early
                                                                                              step
                                                                                            */
    vly_run_log_look(r);
    while (vly_run_log_read(r)) {
    }
    CHECK_EQ(r->lines, 2);
    CHECK_EQ(vly_run_log_last(r, "b"), 2);
    CHECK_EQ(r->seconds, 1.5); /* time goes on over a resume */
    vly_run_log_close(r);
}

static void any_bytes_are_survived_as_lines(void) {
    vly_run_log *r;
    make_run("noise", "cartpole", 1);
    char path[512];
    snprintf(path, sizeof path, "%s/noise/metrics.jsonl", folder);
    FILE *f = fopen(path, "w");
    static const char *const pieces[] = {
        "{\"step\":", "1",     ",\"seconds\":", "\"", ":", ",",    "}",       "\n", "null",
        "-",          "1e308", "nan",           "\\", "{", "\xff", ",\"a\":", "   "};
    for (uint64_t i = 0; i < 200000; i++)
        fputs(pieces[vly_philox(2, 2, i, 0).v[0] % (sizeof pieces / sizeof *pieces)], f);
    for (int i = 0; i < 600000; i++)
        fputc('x', f); /* one line longer than any piece that is read */
    fputs("\n{\"step\":9,\"seconds\":9,\"a\":9}\n", f);
    fclose(f);
    CHECK_OK(vly_run_log_open(&r, folder, "noise"));
    for (int i = 0; vly_run_log_read(r); i++) CHECK(i < 1000);
    CHECK(r->bad_lines > 1000);
    CHECK_EQ(vly_run_log_last(r, "a"), 9);
    CHECK(r->metric_count <= VLY_RUN_METRICS);
    vly_run_log_close(r);
}

/* ---- Prometheus ---- */

/* The exposition format by its rules: HELP and TYPE before the samples of their family, each family
 * once, names and labels of allowed letters, every value a number. Returns the number of samples.
 */
static int check_exposition(const char *text) {
    char family[128] = "", seen[65536] = "", line[1024];
    int samples = 0;
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, "\n");
        CHECK(p[n] == '\n' && n < sizeof line);
        memcpy(line, p, n), line[n] = '\0';
        p += n + 1;
        char name[128], type[16], key[160];
        if (sscanf(line, "# HELP %127s", name) == 1) continue;
        if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
            snprintf(family, sizeof family, "%s", name);
            snprintf(key, sizeof key, "|%s|", name);
            CHECK(!strstr(seen, key));
            strcat(seen, key);
            const bool total = strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total");
            CHECK(!strcmp(type, "counter") ? total : !strcmp(type, "gauge") && !total);
            continue;
        }
        const size_t length =
            strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
        CHECK(length == strlen(family) && strncmp(line, family, length) == 0);
        const char *at = line + length;
        while (*at == '{' || *at == ',') { /* label="value" with escapes */
            at++;
            const size_t label = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
            CHECK(label > 0 && at[label] == '=' && at[label + 1] == '"');
            for (at += label + 2; *at != '"'; at++) {
                CHECK(*at);
                if (*at == '\\') CHECK(*++at == '\\' || *at == '"' || *at == 'n');
            }
            at++;
        }
        if (*at == '}') at++;
        char *end;
        CHECK(*at++ == ' ');
        (void)strtod(at, &end);
        CHECK(end != at && *end == '\0');
        samples++;
    }
    return samples;
}

/* A folder's name may be any bytes, JSON may not. */
static void json_is_utf8(void) {
    vly_text t = {0};
    vly_text_json(&t, "caf\xe9 \xc3\xa9\xf0\x9f\x98\x80\xed\xa0\x80\x1b\xe2\x82");
    CHECK_STR(t.at,
              "\"caf\\ufffd \xc3\xa9\xf0\x9f\x98\x80\\ufffd\\ufffd\\ufffd\\u001b\\ufffd\\ufffd\"");
    vly_text_free(&t);
}

static void metrics_are_prometheus_text(void) {
    vly_run_log odd = {.name = "a\"b\\c\nd", .env = "e", .algo = "x", .seed = 1},
                other = {.name = "o\xe9", .env = "e", .algo = "x", .seed = 2};
    vly_run_log *runs[] = {&odd, &other};
    vly_text t = {0};
    for (int i = 0; i < 2; i++) {
        vly_run_log_row(runs[i], 1, 1);
        vly_run_log_value(runs[i], "run/steps", 12345678901.0);
        vly_run_log_value(runs[i], "run/steps_total", 5);
        vly_run_log_value(runs[i], "charts/SPS", NAN);
        vly_run_log_value(runs[i], "own/odd name-1", -INFINITY);
        vly_run_log_value(runs[i], "own/odd_name_1", 2); /* the same to Prometheus: once */
    }
    vly_prometheus_write(runs, 2, &t);
    CHECK_EQ(check_exposition(t.at), 10);
    CHECK(strstr(t.at, "volley_run_steps_total{run=\"a\\\"b\\\\c\\nd\",env=\"e\",algo=\"x\",seed="
                       "\"1\"} 12345678901\n"));
    CHECK(strstr(t.at, "{run=\"o\xef\xbf\xbd\",env")); /* else no scrape of the page is read */
    CHECK(strstr(t.at, "# TYPE volley_run_steps_total counter\n") &&
          strstr(t.at, "# TYPE volley_run_steps_limit gauge\n"));
    vly_text_free(&t);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < runs[i]->metric_count; k++) vly_curve_free(&runs[i]->metrics[k].curve);
        free(runs[i]->metrics);
    }
}

/* ---- the whole ---- */

static int port_of(const vly_monitor *m) {
    return atoi(strrchr(vly_monitor_url(m), ':') + 1);
}

static void runs_are_served_and_nothing_else(void) {
    vly_monitor *m;
    make_run("a run & <b>", "cartpole", 1);
    mkdir((snprintf(client_answer, 200, "%s/group", folder), client_answer), 0755);
    make_run("group/nested", "minatar/breakout", 2);
    write_file("secret.txt", "w", "secret\n");
    CHECK_OK(vly_monitor_start(&m, &(vly_monitor_options){.folder = folder}));
    const int port = port_of(m);
    for (int i = 0; i < 1200 && (client_get(port, "/api/runs", "%s", "") != 200 ||
                                 strstr(client_answer, "\"loaded\":0"));
         i++)
        usleep(50000);
    CHECK(strstr(client_body(), "\"name\":\"a run & \\u003cb>\"") &&
          strstr(client_body(), "\"name\":\"group/nested\"") &&
          strstr(client_body(), "minatar/breakout"));
    CHECK_EQ(client_get(port, "/api/series?run=group%2Fnested&points=20", "%s", ""), 200);
    CHECK(strstr(client_body(), "\"charts/episodic_return\":{"));
    CHECK_EQ(client_get(port, "/api/config?run=a+run+%26+%3Cb%3E", "%s", ""), 200);
    CHECK(strstr(client_body(), "\"ppo.lr\"") && !strstr(client_body(), "secret-secret"));
    CHECK_EQ(client_get(port, "/api/actors?run=group%2Fnested", "%s", ""), 200);
    CHECK(strstr(client_body(), "\"actors\":null"));
    write_file("group/nested/actors.json", "w", "{\"actors\":[{\"name\":\"<b>\"}]} \n");
    CHECK_EQ(client_get(port, "/api/actors?run=group%2Fnested", "%s", ""), 200);
    CHECK(strstr(client_body(), "\"actors\":{\"actors\":[{\"name\":\"<b>\"}]}"));
    write_file("group/nested/actors.json", "w", "[1]");
    CHECK_EQ(client_get(port, "/api/actors?run=group%2Fnested", "%s", ""), 200);
    CHECK(strstr(client_body(), "\"actors\":null"));
    CHECK_EQ(client_get(port, "/metrics", "%s", ""), 200);
    CHECK(check_exposition(client_body()) > 10);
    static const char *const missing[] = {"/secret.txt",
                                          "/../secret.txt",
                                          "/%2e%2e/secret.txt",
                                          "/api/series?run=../secret.txt",
                                          "/api/actors?run=../secret.txt",
                                          "/api/config?run=/etc",
                                          "/api/config?run=group",
                                          "/api/config?run=..",
                                          "/api/config",
                                          "/api/",
                                          "//",
                                          "/index.html",
                                          "/api/runs/",
                                          "/api/series?run=%00"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        CHECK_EQ(client_get(port, missing[i], "%s", ""), 404);
        CHECK(!strstr(client_body(), "secret\n"));
    }
    CHECK_EQ(client_get(port, "/api/frame?i=99999999999", "%s", ""), 200); /* no pictures here:
                                                                              pending */
    CHECK(strstr(client_body(), "pending"));
    vly_monitor_stop(m);
}

static void the_page_runs_its_own_script_alone(void) {
    vly_monitor *m;
    char nonce[64], other[64];
    CHECK_OK(vly_monitor_start(&m, &(vly_monitor_options){.folder = folder}));
    CHECK_EQ(client_get(port_of(m), "/", "%s", ""), 200);
    const char *policy = strstr(client_answer,
                                "Content-Security-Policy: default-src 'none'; script-src 'nonce-");
    CHECK(policy && sscanf(strstr(policy, "nonce-"), "nonce-%32[0-9a-f]", nonce) == 1 &&
          strlen(nonce) == 32);
    snprintf(other, sizeof other, "<script nonce=\"%s\">", nonce);
    CHECK(strstr(client_body(), other) && !strstr(policy, "unsafe"));
    CHECK(!strstr(client_body(), "http://") ||
          strstr(client_body(), "www.w3.org")); /* nothing from elsewhere: the name of SVG alone */
    CHECK(!strstr(client_body(), "src=") && !strstr(client_body(), "innerHTML") &&
          !strstr(client_body(), " style=\""));
    CHECK_EQ(client_get(port_of(m), "/", "%s", ""), 200);
    CHECK(!strstr(client_answer, nonce)); /* another one every time */
    vly_monitor_stop(m);
}

static void changes_come_as_events(void) {
    static char text[1 << 18];
    vly_monitor *m;
    make_run("events", "cartpole", 1);
    CHECK_OK(vly_monitor_start(&m, &(vly_monitor_options){.folder = folder}));
    const int fd = client_open(port_of(m)), deaf = client_open(port_of(m));
    static const char request[] = "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    CHECK(client_send(fd, request, sizeof request - 1) &&
          client_send(deaf, request, sizeof request - 1));
    CHECK(client_read_until(fd, text, sizeof text, "event: tick"));
    CHECK(strstr(text, "text/event-stream") && strstr(text, "event: hello"));
    write_file("events/metrics.jsonl", "a",
               "{\"step\":99000,\"seconds\":99,\"charts/episodic_return\":123.5}\n");
    CHECK(client_read_until(fd, text, sizeof text, "123.5"));
    make_run("later", "cartpole", 2); /* appears without being asked for */
    CHECK(client_read_until(fd, text, sizeof text, "\"name\":\"later\""));
    close(fd), close(deaf);
    vly_monitor_stop(m);
}

static void a_token_opens_the_page(void) {
    vly_monitor *m;
    char cookie[300];
    const vly_monitor_options open = {.folder = folder, .bind = "0.0.0.0"},
                              o = {.folder = folder,
                                   .bind = "0.0.0.0",
                                   .token = "0123456789abcdefXYZ"};
    CHECK(vly_monitor_start(&m, &open) == VLY_EINVAL);
    CHECK_OK(vly_monitor_start(&m, &o));
    const int port = port_of(m);
    CHECK(strstr(vly_monitor_url(m), "/?token=0123456789abcdefXYZ"));
    CHECK_EQ(client_get(port, "/", "%s", ""), 401);
    CHECK_EQ(client_get(port, "/metrics", "Authorization: Bearer wrong-wrong-wrong-wr\r\n"), 401);
    CHECK_EQ(client_get(port, "/metrics", "Authorization: Bearer 0123456789abcdefXYZ\r\n"), 200);
    CHECK_EQ(client_get(port, "/?token=0123456789abcdefXYZ", "%s", ""), 303);
    CHECK(strstr(client_answer, "Location: /\r\n") &&
          strstr(client_answer, "HttpOnly; SameSite=Lax"));
    CHECK(sscanf(strstr(client_answer, "Set-Cookie: "), "Set-Cookie: %200[^;]", cookie) == 1);
    CHECK_EQ(client_get(port, "/api/runs", "Cookie: %s\r\n", cookie), 200);
    CHECK_EQ(client_get(port, "/?token=wrong", "%s", ""), 401);
    vly_monitor_stop(m);
}

static void bad_folders_and_ports_are_named(void) {
    vly_monitor *m, *second;
    CHECK(vly_monitor_start(&m, &(vly_monitor_options){.folder = "/no/such"}) == VLY_ENOTFOUND);
    CHECK(vly_monitor_start(&m, &(vly_monitor_options){.folder = folder,
                                                       .bind = "nonsense",
                                                       .token = "0123456789abcdef"}) == VLY_EINVAL);
    CHECK_OK(vly_monitor_start(&m, &(vly_monitor_options){.folder = folder}));
    CHECK(vly_monitor_start(
              &second, &(vly_monitor_options){.folder = folder, .port = port_of(m)}) == VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "port"));
    vly_monitor_stop(m);
    vly_monitor_stop(NULL);
}

/* A run that writes no file is followed through its metrics. */
static void snapshots_replace_the_file(void) {
    vly_monitor *m;
    vly_metrics *metrics;
    char path[512];
    make_run("quiet", "cartpole", 1);
    snprintf(path, sizeof path, "%s/quiet/metrics.jsonl", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/quiet", folder);
    CHECK_OK(vly_metrics_create(&metrics));
    vly_metrics_count(metrics, VLY_M_STEPS, 4321);
    vly_metrics_set(metrics, VLY_M_SPS, 777.5);
    CHECK_OK(vly_monitor_start(
        &m, &(vly_monitor_options){.folder = path, .metrics = metrics, .cpu_share = 0.5}));
    for (int i = 0; i < 1200 && (client_get(port_of(m), "/metrics", "%s", "") != 200 ||
                                 !strstr(client_answer, "777.5"));
         i++)
        usleep(50000);
    CHECK(strstr(client_body(), "volley_run_steps_total{run=\"quiet\"") &&
          strstr(client_body(), " 4321\n"));
    vly_monitor_stop(m);
    vly_metrics_destroy(metrics);
}

static const void *still_state(void *state, int actor) {
    (void)actor;
    return state;
}

/* A thousandth of a processor, and a watcher who asks for pictures without end: they stop in time
 * for pages and numbers to be answered at once. */
static void pictures_take_what_numbers_leave(void) {
    vly_env env;
    vly_shots *shots;
    vly_monitor *m;
    char path[512];
    bool drawn = false, pending = false;
    make_run("seen", "cartpole", 1);
    snprintf(path, sizeof path, "%s/seen", folder);
    CHECK_OK(vly_env_open(&env, "minatar/breakout", NULL));
    void *state = aligned_alloc(64, (env.state_bytes + 63) / 64 * 64);
    CHECK(state != NULL);
    memset(state, 0, env.state_bytes);
    CHECK_OK(vly_shots_create(&shots, &env, 8));
    CHECK_OK(vly_monitor_start(
        &m, &(vly_monitor_options){.folder = path, .shots = shots, .cpu_share = 0.001}));
    for (int i = 0; i < 20000 && !(drawn && pending); i++) {
        CHECK_EQ(client_get(port_of(m), "/api/frame?i=0", "%s", ""), 200);
        if (strstr(client_answer, "image/png"))
            drawn = true;
        else if (drawn)
            pending = true;
        vly_shots_offer(shots, still_state, state);
    }
    CHECK(drawn && pending);
    const double begun = client_clock();
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(client_get(port_of(m), i % 2 ? "/api/runs" : "/", "%s", ""), 200);
        CHECK_EQ(client_get(port_of(m), "/api/frame?i=0", "%s", ""), 200);
    }
    CHECK(client_clock() - begun < 3); /* eight waits for a thousandth would be far more */
    vly_monitor_stop(m);
    vly_shots_destroy(shots);
    free(state);
    env.close(&env);
}

int main(void) {
    char command[128];
    CHECK(mkdtemp(folder));
    a_million_points_keep_their_extremes();
    a_live_run_takes_its_memory_at_once();
    lines_are_followed_as_they_grow();
    any_bytes_are_survived_as_lines();
    json_is_utf8();
    metrics_are_prometheus_text();
    runs_are_served_and_nothing_else();
    the_page_runs_its_own_script_alone();
    changes_come_as_events();
    a_token_opens_the_page();
    bad_folders_and_ports_are_named();
    snapshots_replace_the_file();
    pictures_take_what_numbers_leave();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? TEST_PASS : TEST_FAIL;
}
