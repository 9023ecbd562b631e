/* A port that is taken leaves nothing behind. The live page while nothing but the first update goes on, which takes minutes: it is there as soon
 * as its address is printed, and everything that it asks for is answered. */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include "tests/kit/program.h"
#include "tests/monitor/http_client.h"

enum { PATIENCE_S = 60 }; /* on a machine that does other things, under a sanitizer */

static void sleep_ms(int ms) {
    const struct timespec wait = {0, ms * 1000000L};
    nanosleep(&wait, NULL);
}

/* The port in the line that names the page, 0 before it is there. */
static int port_said(void) {
    char path[96], text[8192];
    snprintf(path, sizeof path, "%s/err", folder);
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    const char *at = strstr(text, "live page: http://127.0.0.1:");
    return at && strchr(at, '\n') ? atoi(at + strlen("live page: http://127.0.0.1:")) : 0;
}

static int await_address(double begun) {
    int port;
    while ((port = port_said()) == 0) {
        CHECK(client_clock() - begun < PATIENCE_S);
        sleep_ms(10);
    }
    return port;
}

/* Seconds until the whole answer is there. */
static double answer_of(int port, const char *path, const char *words) {
    const double begun = client_clock();
    CHECK_EQ(client_get(port, path, "%s", ""), 200);
    SAYS(client_body(), words);
    return client_clock() - begun;
}

static void a_busy_port_is_refused_before_there_is_a_folder(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(taken, (struct sockaddr *)&at, bytes), 0);
    CHECK_EQ(listen(taken, 1), 0);
    CHECK_EQ(getsockname(taken, (struct sockaddr *)&at, &bytes), 0);
    const int port = ntohs(at.sin_port);
    CHECK_EQ(
        volley("train cartpole --steps 1000 --monitor --monitor.port %d --out q/r --json", port),
        2);
    SAYS(err, "address already in use");
    CHECK_EQ(shell("test -e q >out 2>err"), 1);
    CHECK_EQ(volley("monitor . --port %d", port), 2);
    SAYS(err, "address already in use");
    close(taken);
    CHECK_EQ(
        volley("train cartpole --steps 1000 --monitor --monitor.port %d --out q/r --json", port),
        0);
}

static void a_page_is_there_within_an_update(void) {
    static const struct {
        const char *path, *words;
    } asked[] = {{"/", "<!doctype html>"}, {"/api/runs", "\"p\""}, {"/metrics", "volley_"}};
    CHECK_EQ(shell(">out 2>err"), 0);
    const double begun = client_clock();
    const pid_t child = program_start(
        "exec nice " VLY_TEST_PROGRAM " train cartpole --algo ppo --envs 64 --ppo.rollout 1024 "
        "--ppo.epochs 1000 --ppo.minibatches 256 --steps 1e9 --monitor --out p --json >out 2>err");
    const int port = await_address(begun);
    fprintf(stderr, "address after %.3f s", client_clock() - begun);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        const double took = answer_of(port, asked[i].path, asked[i].words);
        fprintf(stderr, "; %s in %.3f s", asked[i].path, took);
        CHECK(took < PATIENCE_S);
    }
    fputc('\n', stderr);
    sleep_ms(900); /* well within the update */
    const double later = answer_of(port, "/api/runs", "\"live\":true");
    fprintf(stderr, "within the update: /api/runs in %.3f s\n", later);
    CHECK(later < PATIENCE_S);
    kill(child, SIGTERM);
    CHECK_EQ(program_finish(child), 143);
}

int main(void) {
    program_open();
    a_busy_port_is_refused_before_there_is_a_folder();
    a_page_is_there_within_an_update();
    return program_close();
}
