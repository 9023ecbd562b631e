/* The ranks of a run as processes: who dies, hangs or was never invited is noticed by all the
 * others, and named. */
#include "tests/kit/check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/sync/crew.h"

enum { WORLD = 4 };

typedef struct {
    int port, listener;
    pid_t child[WORLD];
} fleet;

static vly_crew *join(const fleet *f, int rank, int world) {
    vly_crew *c;
    const vly_crew_options o = {.rank = rank,
                                .world = world,
                                .host = "127.0.0.1",
                                .port = f->port,
                                .listener = rank ? 0 : f->listener,
                                .token = "ours",
                                .join_s = 30,
                                .silence_s = 3};
    CHECK_OK(vly_crew_open(&c, &o));
    return c;
}

/* Ranks 1 .. world - 1 in processes of their own run `body`; this one is rank 0. */
static vly_crew *gather(fleet *f, int world, void (*body)(vly_crew *c, int rank)) {
    f->port = 0;
    CHECK_OK(vly_crew_listen(NULL, &f->port, &f->listener));
    for (int rank = 1; rank < world; rank++) {
        f->child[rank] = fork();
        CHECK(f->child[rank] >= 0);
        if (f->child[rank] > 0) continue;
        close(f->listener);
        body(join(f, rank, world), rank);
        _exit(0);
    }
    return join(f, 0, world);
}

static void all_end_well(const fleet *f, int world, int but) {
    for (int rank = 1; rank < world; rank++) {
        int how;
        CHECK_EQ(waitpid(f->child[rank], &how, 0), f->child[rank]);
        if (rank != but) CHECK_EQ(how, 0);
    }
}

static void exchange_many(vly_crew *c, int rank) {
    int world = vly_crew_world(c);
    long long all[2 * WORLD];
    for (int i = 0; i < 300; i++) {
        const long long mine[2] = {1000LL * rank + i, -rank};
        CHECK_OK(vly_crew_exchange(c, mine, sizeof mine, all, 20));
        for (int r = 0; r < world; r++) {
            CHECK_EQ(all[2 * r], 1000LL * r + i);
            CHECK_EQ(all[2 * r + 1], -r);
        }
    }
    vly_crew_close(c, NULL);
}

static void everyone_gets_everyones_numbers_in_order(void) {
    for (int world = 1; world <= WORLD; world++) {
        fleet f;
        exchange_many(gather(&f, world, exchange_many), 0);
        all_end_well(&f, world, -1);
    }
}

/* Waits in an exchange that rank 2 never joins. */
static void survive(vly_crew *c, int rank) {
    char all[WORLD];
    const double start = vly_now_s();
    if (rank == 2)
        for (;;) pause();
    const vly_status status = vly_crew_exchange(c, "x", 1, all, 60);
    CHECK_EQ(status, VLY_EPEER);
    CHECK(strstr(vly_error_text(), "rank 2 is gone") != NULL);
    CHECK_EQ(vly_crew_check(c), VLY_EPEER);
    CHECK(vly_now_s() - start < 30);
    vly_crew_close(c, NULL);
}

static void a_death_is_known_to_every_survivor(int signal) {
    fleet f;
    vly_crew *c = gather(&f, WORLD, survive);
    CHECK_EQ(kill(f.child[2], signal), 0);
    survive(c, 0);
    kill(f.child[2], SIGKILL);
    all_end_well(&f, WORLD, 2);
}

static void lose_rank_0(vly_crew *c, int rank) {
    char all[2];
    CHECK_EQ(rank, 1);
    CHECK_EQ(vly_crew_exchange(c, "x", 1, all, 60), VLY_EPEER);
    CHECK(strstr(vly_error_text(), "rank 0 is gone: out of luck") != NULL);
    vly_crew_close(c, NULL);
}

static void last_words_are_quoted(void) {
    fleet f;
    vly_crew_close(gather(&f, 2, lose_rank_0), "out of luck");
    all_end_well(&f, 2, -1);
}

static void be_late(vly_crew *c, int rank) {
    (void)rank;
    raise(SIGSTOP); /* until rank 0 has seen enough */
    vly_crew_close(c, NULL);
}

static void who_is_late_is_named(void) {
    fleet f;
    char all[2];
    vly_crew *c = gather(&f, 2, be_late);
    CHECK_EQ(vly_crew_exchange(c, "x", 1, all, 0.5), VLY_ETIMEOUT);
    CHECK(strstr(vly_error_text(), "rank 1 has kept rank 0 waiting") != NULL);
    int how;
    CHECK_EQ(waitpid(f.child[1], &how, WUNTRACED), f.child[1]);
    CHECK(WIFSTOPPED(how));
    CHECK_EQ(kill(f.child[1], SIGCONT), 0);
    vly_crew_close(c, NULL);
    all_end_well(&f, 2, -1);
}

/* Noise, silence, and the right words with the wrong token. */
static void knock(int port, int how) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char noise[512];
    memset(noise, how == 1 ? 0xff : 'G', sizeof noise);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(send(fd, noise, sizeof noise, MSG_NOSIGNAL) > 0);
    close(fd);
}

static void strangers_do_not_disturb(void) {
    fleet f = {0};
    CHECK_OK(vly_crew_listen(NULL, &f.port, &f.listener));
    knock(f.port, 0), knock(f.port, 1);
    const pid_t other = fork();
    if (other == 0) {
        vly_crew *c;
        const vly_crew_options o = {.rank = 1,
                                    .world = 2,
                                    .host = "127.0.0.1",
                                    .port = f.port,
                                    .token = "theirs",
                                    .join_s = 10};
        close(f.listener);
        CHECK_EQ(vly_crew_open(&c, &o), VLY_EPEER);
        CHECK(strstr(vly_error_text(), "not let in") != NULL);
        const fleet *same = &f;
        exchange_many(join(same, 1, 2), 1);
        _exit(0);
    }
    f.child[1] = other;
    exchange_many(join(&f, 0, 2), 0);
    all_end_well(&f, 2, -1);
}

static void who_does_not_come_is_named(void) {
    vly_crew *c;
    const vly_crew_options o = {.rank = 0, .world = 3, .join_s = 0.3};
    CHECK_EQ(vly_crew_open(&c, &o), VLY_ETIMEOUT);
    CHECK(strstr(vly_error_text(), "rank 1 of 3 has not come") != NULL);
    const vly_crew_options bad = {.rank = 3, .world = 3};
    CHECK_EQ(vly_crew_open(&c, &bad), VLY_EINVAL);
}

int main(void) {
    everyone_gets_everyones_numbers_in_order();
    a_death_is_known_to_every_survivor(SIGKILL);
    a_death_is_known_to_every_survivor(SIGSTOP);
    last_words_are_quoted();
    who_is_late_is_named();
    strangers_do_not_disturb();
    who_does_not_come_is_named();
    return TEST_PASS;
}
