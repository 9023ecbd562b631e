/* The store against a real redis-server started by the test. */
#include "tests/kit/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include "cpu/fleet/store.h"
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/philox.h"

static char folder[64] = "/tmp/volley-store-XXXXXX";
static vly_store_server *server;

static vly_store *connect_as(const char *run) {
    const vly_store_options quick = {.timeout_ms = 2000, .retry_ms = 5000};
    vly_store *s;
    CHECK_OK(vly_store_open(&s, vly_store_server_url(server), run, &quick));
    return s;
}

static void bad_addresses_are_reported(void) {
    static const char *const bad[] = {"localhost",    "http://x",       "redis://h:99999",
                                      "redis://h/zz", "redis://h:1x/0", "rediss://h"};
    vly_store *s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const vly_status status = vly_store_open(&s, bad[i], "r", NULL);
        CHECK(status == VLY_EINVAL || status == VLY_EUNSUPPORTED);
        CHECK(vly_error_text()[0] != '\0');
    }
    CHECK_EQ(vly_store_open(&s, "redis://127.0.0.1:1/0", "r",
                            &(vly_store_options){.timeout_ms = 100, .retry_ms = 50}),
             VLY_EPEER);
    CHECK_EQ(vly_store_open(&s, vly_store_server_url(server), "a{b", NULL), VLY_EINVAL);
}

static void no_message_shows_a_password(void) {
    static const char *const shown[][2] = {{"redis://me:p@ss@h:1/2", "redis://h:1/2"},
                                           {"redis://:secret@h", "redis://h"},
                                           {"redis://h:1", "redis://h:1"},
                                           {"unix:///a@b?1", "unix:///a@b?1"},
                                           {"me:secret@h", "h"}};
    char text[64];
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        vly_store_shown(shown[i][0], text, sizeof text);
        CHECK_STR(text, shown[i][1]);
    }
    CHECK_EQ(vly_store_check("rediss://:secret@h"), VLY_EUNSUPPORTED);
    CHECK(!strstr(vly_error_text(), "secret"));
    CHECK_EQ(vly_store_check("http://:secret@h"), VLY_EINVAL);
    CHECK(!strstr(vly_error_text(), "secret"));
}

static void count_words(void *arg, const char *text) {
    CHECK(strstr(text, "store 127.0.0.1:1: ") && strstr(text, "; waiting for it, up to 2 s"));
    ++*(int *)arg;
}

static void an_absent_store_is_waited_for_aloud(void) {
    int said = 0;
    vly_store *s;
    vly_store_options o = {.retry_ms = 900, .say = count_words, .say_arg = &said};
    CHECK_EQ(vly_store_open(&s, "redis://127.0.0.1:1", "r", &o), VLY_EPEER);
    CHECK_EQ(said, 0);
    o.retry_ms = 1900;
    CHECK_EQ(vly_store_open(&s, "redis://127.0.0.1:1", "r", &o), VLY_EPEER);
    CHECK_EQ(said, 1);
}

static void the_environment_names_a_store_where_no_option_does(void) {
    char long_name[600];
    CHECK(unsetenv("VOLLEY_STORE") == 0);
    CHECK_STR(vly_store_named(""), "");
    CHECK_STR(vly_store_named("redis://option"), "redis://option");
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    CHECK(setenv("VOLLEY_STORE", long_name, 1) == 0);
    CHECK_STR(vly_store_named(""), long_name); /* once it was cut off */
    CHECK_STR(vly_store_named("redis://option"), "redis://option");
    CHECK(unsetenv("VOLLEY_STORE") == 0);
}

static void binary_values_come_back(void) {
    vly_store *s = connect_as("values");
    uint8_t data[1000], back[1000];
    size_t got;
    for (int i = 0; i < 1000; i++)
        data[i] = (uint8_t)vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0).v[0];
    CHECK_EQ(vly_store_get(s, "w", back, 1000, &got), VLY_ENOTFOUND);
    CHECK_OK(vly_store_set(s, "w", data, 1000));
    CHECK_OK(vly_store_get(s, "w", back, 10, &got));
    CHECK_EQ(got, 1000);
    CHECK_OK(vly_store_get(s, "w", back, 1000, &got));
    CHECK(memcmp(data, back, 1000) == 0);
    CHECK_OK(vly_store_get_range(s, "w", 100, back, 7, &got));
    CHECK(got == 7 && memcmp(data + 100, back, 7) == 0);
    CHECK_OK(vly_store_set_range(s, "w", 998, "zz", 2));
    CHECK_OK(vly_store_get_range(s, "w", 998, back, 2, &got));
    CHECK(memcmp(back, "zz", 2) == 0);
    int64_t now, owner;
    CHECK_OK(vly_store_add(s, "n", 5, &now));
    CHECK_OK(vly_store_add(s, "n", -7, &now));
    CHECK_EQ(now, -2);
    CHECK_OK(vly_store_claim(s, "c", 3, &owner));
    CHECK_EQ(owner, 3);
    CHECK_OK(vly_store_claim(s, "c", 4, &owner));
    CHECK_EQ(owner, 3);
    vly_store_close(s);
}

static vly_status sum_up(void *arg, const void *data, size_t bytes) {
    CHECK_EQ(bytes, 4);
    int32_t v;
    memcpy(&v, data, 4);
    *(uint64_t *)arg = *(uint64_t *)arg * 31u + (uint64_t)v;
    return VLY_OK;
}

static void lists_are_bounded_and_ordered(void) {
    vly_store *s = connect_as("lists");
    bool accepted = true;
    const void *data;
    size_t bytes;
    uint64_t want = 0, sum = 0;
    int64_t length;
    for (int32_t i = 0; i < 12; i++) {
        CHECK_OK(vly_store_push(s, "q", &i, 4, 10, &accepted));
        CHECK_EQ(accepted, i < 10);
        if (i < 10) want = want * 31u + (uint64_t)i;
    }
    CHECK_OK(vly_store_length(s, "q", &length));
    CHECK_EQ(length, 10);
    int count;
    CHECK_OK(vly_store_pop_many(s, "q", 6, sum_up, &sum, &count));
    CHECK_EQ(count, 6);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(vly_store_pop(s, "q", i % 2 ? 50 : 0, &data, &bytes));
        CHECK_OK(sum_up(&sum, data, bytes));
    }
    CHECK_EQ(sum, want);
    CHECK_EQ(vly_store_pop(s, "q", 20, &data, &bytes), VLY_ENOTFOUND);
    vly_store_close(s);
}

static void every_reader_sees_the_whole_log(void) {
    vly_store *s = connect_as("log");
    char one[VLY_STORE_CURSOR] = "0", two[VLY_STORE_CURSOR] = "0";
    uint64_t a = 0, b = 0;
    int count, seen = 0;
    CHECK_OK(vly_store_begin(s));
    for (int32_t i = 0; i < 50; i++) CHECK_OK(vly_store_append(s, "l", &i, 4, 1000));
    CHECK_OK(vly_store_end(s));
    do {
        CHECK_OK(vly_store_read(s, "l", one, 7, 0, sum_up, &a, &count));
        seen += count;
    } while (count);
    CHECK_EQ(seen, 50);
    CHECK_OK(vly_store_read(s, "l", two, 100, 0, sum_up, &b, &count));
    CHECK(count == 50 && a == b);
    CHECK_OK(vly_store_read(s, "l", two, 100, 20, sum_up, &b, &count));
    CHECK_EQ(count, 0);
    vly_store_close(s);
}

static vly_status name_it(void *arg, const char *member, const char *json) {
    CHECK_STR(json, "{\"v\":1}");
    snprintf(arg, 64, "%s", member);
    return VLY_OK;
}

static void silent_members_expire(void) {
    vly_store *s = connect_as("fleet");
    char who[64] = "";
    int count;
    CHECK_OK(vly_store_beat(s, "dies", "{\"v\":1}", 30));
    CHECK_OK(vly_store_beat(s, "lives", "{\"v\":1}", 600000));
    usleep(80000);
    CHECK_OK(vly_store_members(s, name_it, who, &count));
    CHECK_EQ(count, 1);
    CHECK_STR(who, "lives");
    vly_store_close(s);
}

static void a_killed_server_is_restarted_and_clients_reconnect(void) {
    vly_store *s = connect_as("kill");
    bool restarted;
    size_t got;
    int value = 41;
    CHECK_OK(vly_store_set(s, "kept", &value, sizeof value));
    usleep(1200000); /* appendfsync everysec: writes older than a second survive */
    for (int i = 0; i < 3; i++) {
        kill(vly_store_server_pid(server), SIGKILL);
        restarted = false;
        for (int wait = 0; wait < 200 && !restarted; wait++) {
            usleep(20000);
            CHECK_OK(vly_store_server_mend(server, &restarted));
        }
        CHECK(restarted);
        value = 0;
        CHECK_OK(vly_store_get(s, "kept", &value, sizeof value, &got));
        CHECK_EQ(value, 41);
    }
    CHECK_OK(vly_store_server_mend(server, &restarted));
    CHECK(!restarted);
    CHECK(vly_store_get_traffic(s).reconnects >= 3);
    vly_store_close(s);
}

/* Another user of the machine can reach the port, list the processes, and not read the file `url`. */
static void only_its_own_user_has_the_password(void) {
    const vly_store_options quick = {.timeout_ms = 2000, .retry_ms = 10};
    char plain[128], path[160], line[256] = "", password[64] = "";
    struct stat info;
    const char *url = vly_store_server_url(server), *at = strchr(url, '@');
    vly_store *s = NULL;
    int value = 1;
    CHECK(at && sscanf(url, "redis://:%63[0-9a-f]@", password) == 1 && strlen(password) == 32);
    snprintf(plain, sizeof plain, "redis://%s", at + 1);
    vly_status status = vly_store_open(&s, plain, "stranger", &quick);
    if (status == VLY_OK) status = vly_store_set(s, "x", &value, sizeof value);
    CHECK(status != VLY_OK && strstr(vly_error_text(), "NOAUTH"));
    vly_store_close(s);
    snprintf(path, sizeof path, "%s/url", folder);
    CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    snprintf(path, sizeof path, "/proc/%d/cmdline", vly_store_server_pid(server));
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    const size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    for (size_t i = 0; i + 1 < n; i++)
        if (!line[i]) line[i] = ' ';
    CHECK(strstr(line, "redis-server") && !strstr(line, password));
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    vly_status status = vly_store_server_start(&server, folder, true, NULL);
    if (status == VLY_ENOTFOUND) SKIP("%s", vly_error_text());
    CHECK_EQ(status, VLY_OK);
    bad_addresses_are_reported();
    no_message_shows_a_password();
    an_absent_store_is_waited_for_aloud();
    the_environment_names_a_store_where_no_option_does();
    binary_values_come_back();
    lists_are_bounded_and_ordered();
    every_reader_sees_the_whole_log();
    silent_members_expire();
    only_its_own_user_has_the_password();
    a_killed_server_is_restarted_and_clients_reconnect();
    vly_store_server_stop(server);
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
#endif
