/* Remote actors against the pool: the same rows, and what happens when they fail. Actors are threads
 * here, with connections as between processes. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "common/base/clock.h"
#include "cpu/actors/remote.h"
#include "cpu/actors/remote_actor.h"
#include "tests/actors/fake_env.h"

static const uint8_t token[VLY_WIRE_TOKEN] = "a token of the tests";
static char address[96];
static uv_loop_t loop;

/* ---- an actor on a thread ---- */

typedef struct {
    vly_remote_actor o;
    fake_world world;
    atomic_int stop;
    pthread_t thread;
    vly_status status;
    char words[512];
} actor;

static vly_status open_fake(void *arg, const vly_wire_welcome *what, vly_env *env) {
    actor *a = arg;
    CHECK_STR(what->env, "fake");
    CHECK_STR(what->extra, "some=thing");
    CHECK_EQ(what->max_steps, 7);
    *env = fake_env(&a->world);
    return VLY_OK;
}

static void close_fake(vly_env *env) {
    (void)env;
}

static vly_status open_closable(void *arg, const vly_wire_welcome *what, vly_env *env) {
    const vly_status status = open_fake(arg, what, env);
    env->close = close_fake;
    return status;
}

static void *actor_main(void *arg) {
    actor *a = arg;
    a->status = vly_remote_act(&a->o);
    if (getenv("VERBOSE")) fprintf(stderr, "actor ends: %s\n", vly_error_text());
    snprintf(a->words, sizeof a->words, "%s", vly_error_text());
    return NULL;
}

static actor *start_actor(int envs, vly_remote_pack pack, int fail_every) {
    actor *a = calloc(1, sizeof *a);
    a->world.fail_every = fail_every;
    a->o = (vly_remote_actor){.address = address,
                              .token = token,
                              .envs = envs,
                              .workers = 2,
                              .wait_s = 30,
                              .pack = pack,
                              .open = open_closable,
                              .arg = a,
                              .stop = &a->stop};
    CHECK_EQ(pthread_create(&a->thread, NULL, actor_main, a), 0);
    return a;
}

static vly_status end_actor(actor *a) {
    CHECK_EQ(pthread_join(a->thread, NULL), 0);
    const vly_status status = a->status;
    free(a);
    return status;
}

/* While the loop runs, as the learner's does. */
static void turn_loop(int ms) {
    for (const int64_t until = vly_now_ms() + ms; vly_now_ms() < until;) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void stop_actor(actor *a) {
    atomic_store(&a->stop, 1);
    turn_loop(200);
    CHECK_EQ(end_actor(a), VLY_ECANCELED);
    turn_loop(50);
}

/* ---- the learner ---- */

static char warned[1024];
static int warnings;
static void on_warning(void *arg, const char *text) {
    (void)arg;
    snprintf(warned, sizeof warned, "%s", text);
    warnings++;
}

static vly_remote_options options(int actors, int groups) {
    static int number;
    snprintf(address, sizeof address, "unix:/tmp/volley-remote-%d-%d", (int)getpid(), number++);
    return (vly_remote_options){.actors = actors,
                                .groups = groups,
                                .ordered = true,
                                .seed = 9,
                                .deadline_ms = 20000,
                                .listen = address,
                                .token = token,
                                .env_name = "fake",
                                .env_extra = "some=thing",
                                .max_steps = 7,
                                .on_warning = on_warning};
}

static vly_source *open_source(const vly_remote_options *o) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    vly_source *s;
    CHECK_OK(vly_remote_create(&s, &loop, &env, o));
    return s;
}

static void close_source(vly_source *s) {
    CHECK_OK(s->destroy(s));
    uv_run(&loop, UV_RUN_DEFAULT);
}

static vly_remote_stats stats_of(const vly_source *s) {
    vly_remote_stats stats;
    vly_remote_get_stats(s, &stats);
    return stats;
}

/* Until that many environments have an actor in time. */
static void await_serving(const vly_source *s, int n) {
    for (int i = 0; i < 20000 && stats_of(s).serving != n; i++) turn_loop(2);
    CHECK_EQ(stats_of(s).serving, n);
}

static int take_one(vly_source *s) {
    int g;
    while (s->take(s, 1, &g) == 0)
        if (s->arm(s, 1)) uv_run(&loop, UV_RUN_ONCE);
    return g;
}

/* Rows `stride` apart. */
typedef struct {
    bench_rows *b;
    uint8_t *obs;
    size_t stride;
} memory;

static memory new_memory(size_t stride) {
    memory m = {new_rows(), calloc(N_MAX, stride), stride};
    return m;
}

static void free_memory(memory *m) {
    free(m->b);
    free(m->obs);
}

static vly_rows rows_from(const memory *m, int first) {
    const vly_rows all = {.obs = m->obs,
                          .obs_stride = m->stride,
                          .reward = m->b->reward,
                          .score = m->b->score,
                          .flags = m->b->flags};
    return vly_rows_at(all, (size_t)first);
}

static void submit(vly_source *s, const memory *m, int g, int t) {
    const int n = s->actors / s->groups, first = g * n;
    choose(m->b, first, n, t);
    CHECK_OK(s->submit(s, g, t ? vly_actions_of_ints(m->b->action + first) : (vly_actions){0},
                       rows_from(m, first)));
}

static uint64_t mix_memory(uint64_t h, const memory *m, int first, int n) {
    for (int i = first; i < first + n; i++) h = mix(h, m->obs + (size_t)i * m->stride, 12);
    h = mix(h, m->b->reward + first, 4 * (size_t)n);
    return mix(h, m->b->flags + first, (size_t)n);
}

static uint64_t mix_source_episodes(uint64_t h, vly_source *s) {
    vly_episode e[64];
    for (int n; (n = s->episodes(s, e, 64)) > 0;)
        for (int i = 0; i < n; i++) {
            h = mix(h, &e[i].actor, 4);
            h = mix(h, &e[i].length, 4);
            h = mix(h, &e[i].score, 8);
        }
    return h;
}

/* As run_sync of fake_env.h. */
static uint64_t run_source(vly_source *s, const memory *m, int t0, int steps, uint64_t h) {
    const int n = s->actors / s->groups;
    for (int t = t0; t < t0 + steps; t++)
        for (int g = 0; g < s->groups; g++) {
            if (t > t0) {
                CHECK_EQ(take_one(s), g);
                h = mix_memory(h, m, g * n, n);
            }
            h = mix_source_episodes(h, s);
            submit(s, m, g, t);
        }
    for (int g = 0; g < s->groups; g++) CHECK_EQ(take_one(s), g);
    return mix_source_episodes(mix_memory(h, m, 0, s->actors), s);
}

/* ---- what it must do ---- */

static void rows_are_those_of_a_pool(void) {
    for (int failing = 0; failing < 2; failing++)
        for (int variant = 0; variant < 3; variant++) {
            fake_world w = {.fail_every = failing ? 11 : 0};
            const vly_pool_options local = {.actors = 60, .groups = 3, .seed = 9};
            const uint64_t expected = digest(local, &w, 60);
            vly_remote_options o = options(60, 3);
            memory m = new_memory(variant == 1 ? STRIDE : 12);
            vly_source *s = open_source(&o);
            actor *a[3];
            for (int i = 0; i < 3; i++) {
                a[i] = start_actor(i ? 0 : 21, variant == 2 ? VLY_PACK_ON : VLY_PACK_AUTO,
                                   w.fail_every);
                await_serving(s, i ? 60 : 21);
            }
            CHECK(run_source(s, &m, 0, 60, 1) == expected);
            vly_pool_stats stats;
            s->stats(s, &stats);
            CHECK_EQ(stats.rows, 60 * 60);
            CHECK(failing ? stats.restarts > 10 : stats.restarts == 0);
            atomic_store(&a[2]->stop, 1); /* every environment has an actor: it is refused so far */
            close_source(s);
            CHECK_OK(end_actor(a[0]));
            CHECK_OK(end_actor(a[1]));
            CHECK(end_actor(a[2]) != VLY_OK);
            free_memory(&m);
        }
}

static int raw_connection(void) {
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(where.sun_path, sizeof where.sun_path, "%s", address + 5);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    return fd;
}

/* Everything until the learner closes; the last BYE's flags, -1: it said none. */
static int read_bye(int fd) {
    uint8_t all[8192];
    size_t n = 0;
    for (ssize_t got; n < sizeof all;) {
        turn_loop(2);
        got = recv(fd, all + n, sizeof all - n, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) break;
        if (got > 0) n += (size_t)got;
    }
    close(fd);
    vly_wire_head head;
    int how = -1;
    for (size_t at = 0; at + sizeof head <= n; at += sizeof head + head.bytes) {
        memcpy(&head, all + at, sizeof head);
        if (vly_wire_check(&head) != VLY_OK) break;
        if (head.type == VLY_WIRE_BYE) how = head.flags;
    }
    return how;
}

static void send_hello(int fd, const uint8_t *with) {
    vly_wire_hello hello = {.host = "here", .pid = 1, .envs = 1};
    const vly_wire_head head = vly_wire_make(VLY_WIRE_HELLO, 0, 0, sizeof hello);
    memcpy(hello.token, with, sizeof hello.token);
    CHECK(write(fd, &head, sizeof head) == sizeof head);
    CHECK(write(fd, &hello, sizeof hello) == sizeof hello);
}

static void a_wrong_token_is_refused(void) {
    static const uint8_t other[VLY_WIRE_TOKEN] = "a token of the test5";
    vly_remote_options o = options(4, 1);
    vly_source *s = open_source(&o);
    const int fd = raw_connection();
    send_hello(fd, other);
    CHECK_EQ(read_bye(fd), VLY_WIRE_BYE_REFUSED);
    actor *a = start_actor(0, VLY_PACK_AUTO, 0);
    await_serving(s, 4);
    CHECK_EQ(stats_of(s).connections, 1);
    CHECK_EQ(stats_of(s).refused, 1);
    close_source(s);
    CHECK_OK(end_actor(a));
}

static void what_is_no_hello_ends_the_connection(void) {
    static const char *const garbage[] = {"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
                                          "VLYR\1\0\10\0aaaaaaaaaaaaaaaa",
                                          "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"};
    vly_remote_options o = options(4, 1);
    vly_source *s = open_source(&o);
    warnings = 0;
    for (int i = 0; i < 60; i++) { /* as often as a stranger likes */
        const int fd = raw_connection();
        CHECK(write(fd, garbage[i % 3], 24) == 24);
        CHECK_EQ(read_bye(fd), VLY_WIRE_BYE_REFUSED);
    }
    CHECK_EQ(stats_of(s).refused, 60);
    CHECK_EQ(warnings, 10);
    int silent[20];
    for (int i = 0; i < 20; i++) silent[i] = raw_connection(), turn_loop(2);
    actor *a = start_actor(0, VLY_PACK_AUTO, 0); /* until they are closed it is one too many */
    turn_loop(100);
    for (int i = 0; i < 20; i++) close(silent[i]);
    await_serving(s, 4);
    CHECK_EQ(stats_of(s).connections, 1);
    CHECK(stats_of(s).refused >= 80);
    close_source(s);
    CHECK_OK(end_actor(a));
}

static int flags_set(const memory *m, int n, uint8_t flag) {
    int count = 0;
    for (int i = 0; i < n; i++) count += (m->b->flags[i] & flag) != 0;
    return count;
}

static void a_lost_actor_is_masked_and_replaced(void) {
    vly_remote_options o = options(8, 1);
    memory m = new_memory(12);
    vly_source *s = open_source(&o);
    actor *a = start_actor(3, VLY_PACK_AUTO, 0);
    await_serving(s, 3);
    actor *b = start_actor(5, VLY_PACK_AUTO, 0);
    await_serving(s, 8);
    run_source(s, &m, 0, 3, 1);
    CHECK_EQ(flags_set(&m, 8, VLY_ROW_FAILED), 0);
    stop_actor(a);
    await_serving(s, 5);
    CHECK(strstr(warned, "is gone with 3 environments") != NULL);
    for (int t = 3; t < 6; t++) {
        submit(s, &m, 0, t);
        take_one(s);
        CHECK_EQ(flags_set(&m, 8, VLY_ROW_FAILED), 3);
        for (int i = 0; i < 8; i++) {
            static const uint8_t none[12];
            const bool masked = m.b->flags[i] & VLY_ROW_FAILED;
            CHECK(!masked || m.b->flags[i] == (VLY_ROW_FAILED | VLY_ROW_RESET));
            CHECK_EQ(memcmp(m.obs + 12 * i, none, 12) == 0, masked);
        }
    }
    actor *c = start_actor(0, VLY_PACK_AUTO, 0);
    await_serving(s, 8);
    submit(s, &m, 0, 6);
    take_one(s);
    CHECK_EQ(flags_set(&m, 8, VLY_ROW_FAILED), 3); /* the first rows of fresh episodes */
    submit(s, &m, 0, 7);
    take_one(s);
    CHECK_EQ(flags_set(&m, 8, VLY_ROW_FAILED), 0);
    const vly_remote_stats stats = stats_of(s);
    CHECK_EQ(stats.connections, 2);
    CHECK_EQ(stats.lost, 1);
    CHECK_EQ(stats.actor[stats.shown - 1].state, VLY_ACTOR_GONE);
    CHECK(stats.round_trip_p50_ms > 0 && stats.round_trip_p99_ms >= stats.round_trip_p50_ms);
    close_source(s);
    CHECK_OK(end_actor(b));
    CHECK_OK(end_actor(c));
    free_memory(&m);
}

static void with_no_actor_at_all_the_learner_waits(void) {
    atomic_int stop = 0;
    vly_remote_options o = options(4, 2);
    o.deadline_ms = 800;
    o.stop = &stop;
    memory m = new_memory(12);
    vly_source *s = open_source(&o);
    int g;
    submit(s, &m, 0, 0);
    turn_loop(400);
    CHECK_EQ(s->take(s, 1, &g), 0);
    actor *a = start_actor(2, VLY_PACK_AUTO,
                           0); /* half of what it needs: the deadline ends the wait */
    CHECK_EQ(take_one(s), 0);
    CHECK_EQ(flags_set(&m, 2, VLY_ROW_RESET), 2);
    stop_actor(a);
    await_serving(s, 0);
    submit(s, &m, 0, 1);
    turn_loop(400);
    CHECK_EQ(s->take(s, 1, &g), 0);
    atomic_store(&stop, 1); /* a stop is not kept waiting */
    CHECK_EQ(take_one(s), 0);
    CHECK_EQ(flags_set(&m, 2, VLY_ROW_FAILED), 2);
    close_source(s);
    free_memory(&m);
}

static void a_slow_actor_is_told_from_a_dead_one(void) {
    vly_remote_options o = options(4, 1);
    o.deadline_ms = 1600;
    memory m = new_memory(12);
    vly_source *s = open_source(&o);
    actor *fast = start_actor(2, VLY_PACK_AUTO, 0);
    await_serving(s, 2);
    actor *slow = start_actor(2, VLY_PACK_AUTO, 0);
    await_serving(s, 4);
    run_source(s, &m, 0, 3, 1);
    atomic_store(&slow->world.hold, 1);
    atomic_store(&slow->world.hang_any, 1);
    submit(s, &m, 0, 3);
    const int64_t start = vly_now_ms();
    take_one(s);
    CHECK(vly_now_ms() - start >= 1500); /* waits for the deadline, and no longer than it has to */
    CHECK_EQ(flags_set(&m, 4, VLY_ROW_FAILED), 2);
    turn_loop(2500); /* alive: it answers pings */
    CHECK_EQ(stats_of(s).connections, 2);
    CHECK_EQ(stats_of(s).slow, 1);
    CHECK_EQ(stats_of(s).late, 2);
    const int64_t again = vly_now_ms();
    submit(s, &m, 0, 4);
    take_one(s);
    CHECK(vly_now_ms() - again < 1400); /* not waited for a second time */
    atomic_store(&slow->world.hang_any, 0);
    atomic_store(&slow->world.hold, 0);
    await_serving(s, 4);
    submit(s, &m, 0, 5);
    take_one(s);
    CHECK_EQ(flags_set(&m, 4, VLY_ROW_FAILED), 2); /* fresh episodes */
    submit(s, &m, 0, 6);
    take_one(s);
    CHECK_EQ(flags_set(&m, 4, VLY_ROW_FAILED), 0);
    close_source(s);
    CHECK_OK(end_actor(fast));
    CHECK_OK(end_actor(slow));
    free_memory(&m);
}

/* It has said hello and ready, and then nothing. */
static void a_silent_actor_is_dead_after_the_deadline(void) {
    vly_remote_options o = options(1, 1);
    o.deadline_ms = 320;
    memory m = new_memory(12);
    vly_source *s = open_source(&o);
    const int fd = raw_connection();
    const vly_wire_ready ready = {0};
    const vly_wire_head head = vly_wire_make(VLY_WIRE_READY, 0, 0, sizeof ready);
    send_hello(fd, token);
    CHECK(write(fd, &head, sizeof head) == sizeof head);
    CHECK(write(fd, &ready, sizeof ready) == sizeof ready);
    submit(s, &m, 0, 0);
    CHECK_EQ(take_one(s), 0);
    await_serving(s, 0);
    CHECK(strstr(warned, "silent") != NULL);
    close(fd);
    close_source(s);
    free_memory(&m);
}

static void groups_without_actors_stay_out_when_nothing_is_ordered(void) {
    vly_remote_options o = options(8, 4);
    o.ordered = false;
    o.deadline_ms = 1600;
    memory m = new_memory(12);
    vly_source *s = open_source(&o);
    vly_pool_stats stats;
    actor *a = start_actor(4, VLY_PACK_AUTO, 0); /* two of the four groups */
    for (int g = 0; g < 4; g++) submit(s, &m, g, 0);
    int all[4];
    while (s->take(s, 4, all) == 0)
        if (s->arm(s, 4)) uv_run(&loop, UV_RUN_ONCE);
    for (int g = 0; g < 4; g++) submit(s, &m, g, 1);
    for (int i = 0; i < 2; i++) CHECK(take_one(s) < 2);
    s->stats(s, &stats);
    CHECK_EQ(stats.hung, 2);
    actor *b = start_actor(4, VLY_PACK_AUTO, 0);
    for (int i = 0; i < 2; i++) CHECK(take_one(s) >= 2);
    s->stats(s, &stats);
    CHECK_EQ(stats.hung, 0);
    close_source(s);
    CHECK_OK(end_actor(a));
    CHECK_OK(end_actor(b));
    free_memory(&m);
}

static int descriptors(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir)) n++;
    closedir(dir);
    return n;
}

static void connections_leave_no_descriptor(void) {
    vly_remote_options o = options(4, 1);
    vly_source *s = open_source(&o);
    actor *a = start_actor(0, VLY_PACK_AUTO, 0);
    await_serving(s, 4);
    const int before = descriptors();
    for (int i = 0; i < 100; i++) {
        const int fd = raw_connection();
        if (i % 2) send_hello(fd, token);
        if (i % 3 == 0) CHECK(write(fd, "0123456789", (size_t)(i % 10) + 1) > 0);
        turn_loop(2);
        close(fd);
    }
    for (int i = 0; i < 1000 && descriptors() != before; i++) turn_loop(10);
    CHECK_EQ(descriptors(), before);
    close_source(s);
    CHECK_OK(end_actor(a));
}

static void a_snapshot_goes_on_with_other_seeds(void) {
    uint64_t h[2];
    uint8_t kept[256];
    for (int i = 0; i < 2; i++) {
        vly_remote_options o = options(4, 1);
        memory m = new_memory(12);
        vly_source *s = open_source(&o);
        const size_t bytes = s->snapshot_bytes(s);
        CHECK(bytes <= sizeof kept);
        if (i) CHECK_OK(s->load(s, kept, bytes));
        actor *a = start_actor(0, VLY_PACK_AUTO, 0);
        h[i] = run_source(s, &m, 0, 4, 1);
        CHECK_OK(s->save(s, kept, bytes));
        kept[0] ^= 1;
        CHECK_EQ(s->load(s, kept, bytes), VLY_ECORRUPT);
        kept[0] ^= 1, kept[23] ^= 0x80; /* the sign of the episodes */
        CHECK_EQ(s->load(s, kept, bytes), VLY_ECORRUPT);
        kept[23] ^= 0x80;
        CHECK_EQ(s->load(s, kept, bytes - 1), VLY_ECORRUPT);
        close_source(s);
        CHECK_OK(end_actor(a));
        free_memory(&m);
    }
    CHECK(h[0] != h[1]);
}

static void addresses_are_checked(void) {
    vly_remote_options o = options(4, 1);
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    vly_source *s;
    static const char *const bad[] = {"",       "unix:",         "host",  "127.0.0.1:70000",
                                      "[::1]:", "127.0.0.1:12x", ":7400", "tcp://:1",
                                      "fd:0",   "192.0.2.1:7400"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.listen = bad[i];
        CHECK(vly_remote_create(&s, &loop, &env, &o) != VLY_OK);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    o.listen = "127.0.0.1:0";
    CHECK_OK(vly_remote_create(&s, &loop, &env, &o));
    CHECK(!strncmp(vly_remote_shown(s), "tcp://127.0.0.1:", 16));
    snprintf(address, sizeof address, "%s", vly_remote_shown(s));
    memory m = new_memory(12);
    actor *a = start_actor(0, VLY_PACK_AUTO, 0);
    run_source(s, &m, 0, 20, 1);
    close_source(s);
    CHECK_OK(end_actor(a));
    free_memory(&m);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    CHECK_EQ(uv_loop_init(&loop), 0);
    rows_are_those_of_a_pool();
    a_wrong_token_is_refused();
    what_is_no_hello_ends_the_connection();
    a_lost_actor_is_masked_and_replaced();
    with_no_actor_at_all_the_learner_waits();
    a_slow_actor_is_told_from_a_dead_one();
    a_silent_actor_is_dead_after_the_deadline();
    groups_without_actors_stay_out_when_nothing_is_ordered();
    connections_leave_no_descriptor();
    a_snapshot_goes_on_with_other_seeds();
    addresses_are_checked();
    CHECK_EQ(uv_loop_close(&loop), 0);
    return TEST_PASS;
}
