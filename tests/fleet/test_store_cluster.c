/* The store and Ape-X on a Redis Cluster of three nodes. */
#include "tests/kit/runs.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "cpu/fleet/store.h"

enum { NODES = 3 };
static pid_t node[NODES];
static int port[NODES];

/* A node also listens on its port + 10000. */
static int free_port(void) {
    for (int tries = 0; tries < 200; tries++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof a;
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &length) == 0);
        close(fd);
        if (ntohs(a.sin_port) < 55000) return ntohs(a.sin_port);
    }
    SKIP("no free ports below 55000");
}

static void start_node(int i) {
    char number[16], dir[96], file[32];
    port[i] = free_port();
    snprintf(number, sizeof number, "%d", port[i]);
    snprintf(dir, sizeof dir, "%s", runs_folder);
    snprintf(file, sizeof file, "node%d.conf", i);
    node[i] = fork();
    CHECK(node[i] >= 0);
    if (node[i] > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", number, "--dir", dir,
           "--cluster-enabled", "yes", "--cluster-config-file", file, "--save", "", "--appendonly",
           "no", "--logfile", "nodes.log", "--maxmemory-policy", "noeviction", (char *)NULL);
    _exit(127);
}

static void stop_nodes(void) {
    for (int i = 0; i < NODES; i++) {
        kill(node[i], SIGKILL);
        waitpid(node[i], NULL, 0);
    }
}

static bool build_cluster(void) {
    char command[512];
    for (int i = 0; i < NODES; i++) start_node(i);
    for (int i = 0; i < NODES; i++) {
        siginfo_t info = {0};
        snprintf(command, sizeof command, "redis-cli -p %d ping 2>/dev/null | grep -q PONG",
                 port[i]);
        for (int tries = 0; system(command) != 0; tries++) {
            CHECK_EQ(waitid(P_PID, (id_t)node[i], &info, WEXITED | WNOHANG | WNOWAIT), 0);
            if (info.si_pid != 0 || tries == 300) return false;
            usleep(100000);
        }
    }
    snprintf(command, sizeof command,
             "redis-cli --cluster create 127.0.0.1:%d 127.0.0.1:%d 127.0.0.1:%d --cluster-yes "
             ">%s/create.log 2>&1",
             port[0], port[1], port[2], runs_folder);
    if (system(command) != 0) return false;
    snprintf(command, sizeof command,
             "for k in $(seq 50); do redis-cli -p %d cluster info | grep -q cluster_state:ok && "
             "exit 0; sleep 0.2; done; exit 1",
             port[2]);
    return system(command) == 0;
}

static void keys_find_their_node(const char *url) {
    /* runs whose keys are on different nodes, each reached through the first node */
    for (int i = 0; i < 12; i++) {
        char run[16];
        vly_store *s;
        int64_t n, answers[1], value = 0;
        size_t got;
        const char *const key[] = {"n"};
        snprintf(run, sizeof run, "run%d", i);
        CHECK_OK(vly_store_open(&s, url, run, NULL));
        CHECK_OK(vly_store_beat(s, "me", "{}", 5000)); /* a batch, sent to the run's node */
        CHECK_OK(vly_store_add(s, "n", i, &n));
        CHECK_EQ(n, i);
        CHECK_OK(vly_store_script(s, "return tonumber(redis.call('GET',KEYS[1]))", key, 1, NULL, 0,
                                  answers, 1));
        CHECK_EQ(answers[0], i);
        CHECK_OK(vly_store_begin(s));
        CHECK_OK(vly_store_set(s, "v", &n, sizeof n));
        CHECK_OK(vly_store_end(s));
        CHECK_OK(vly_store_get(s, "v", &value, sizeof value, &got));
        CHECK_EQ(value, i);
        vly_store_close(s);
    }
}

static int node_of_slot(void) {
    int at = 0;
    for (char command[128]; at < NODES - 1; at++) {
        snprintf(command, sizeof command, "redis-cli -p %d get '{slot}:x' | grep -q MOVED",
                 port[at]);
        if (system(command) != 0) break;
    }
    return at;
}

static void change_slot(int at, const char *how) {
    char command[256];
    snprintf(
        command, sizeof command,
        "redis-cli -p %d cluster %s $(redis-cli -p %d cluster keyslot '{slot}:x') | grep -q OK",
        port[at], how, port[at]);
    CHECK_EQ(system(command), 0);
}

/* As while a node fails: a batch waits like a single command. */
static void a_slot_without_a_node_is_waited_for(const char *url) {
    const vly_store_options quick = {.retry_ms = 300};
    const int at = node_of_slot();
    vly_store *s;
    CHECK_OK(vly_store_open(&s, url, "slot", &quick));
    CHECK_OK(vly_store_beat(s, "me", "{}", 5000));
    change_slot(at, "delslots");
    CHECK_EQ(vly_store_beat(s, "me", "{}", 5000), VLY_EPEER);
    change_slot(at, "addslots");
    vly_store_set_retry(s, 30000);
    CHECK_OK(vly_store_beat(s, "me", "{}", 5000));
    vly_store_close(s);
}

/* Six shards: with near certainty they are on more than one node. */
static void apex_runs_on_it(const char *url) {
    int code, with_keys = 0;
    json_t *o = runs_finish(
        "c",
        runs_start("c",
                   "train cartpole --algo apex --apex.replay store --store %s --workers 2 "
                   "--apex.shards 6 --apex.cache 0 --apex.block 8 --steps 6k --out c",
                   url),
        &code);
    CHECK(o && code == 0);
    CHECK(runs_number(o, "steps") >= 6000 && runs_number(o, "updates") > 50);
    json_decref(o);
    CHECK_EQ(runs_metric("c", "store/lost", -1), 0);
    for (int i = 0; i < NODES; i++) {
        char command[128];
        snprintf(command, sizeof command,
                 "redis-cli -p %d --scan --pattern '{c.*b:*' | grep -q b:", port[i]);
        with_keys += system(command) == 0;
    }
    CHECK(with_keys >= 1);
}

int main(void) {
    char url[64];
    CHECK(mkdtemp(runs_folder) != NULL);
    if (system("command -v redis-server >/dev/null 2>&1 && command -v redis-cli >/dev/null 2>&1") !=
        0)
        SKIP("redis-server is not installed: apt-get install redis-server");
    bool built = build_cluster();
    /* repeated, because another program may take a port meanwhile */
    for (int i = 0; i < 4 && !built; i++) {
        stop_nodes();
        char command[128];
        snprintf(command, sizeof command, "rm -f %s/node?.conf", runs_folder);
        CHECK_EQ(system(command), 0);
        built = build_cluster();
    }
    if (!built) SKIP("cannot create a Redis Cluster; see %s/create.log", runs_folder);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", port[0]);
    keys_find_their_node(url);
    a_slot_without_a_node_is_waited_for(url);
    apex_runs_on_it(url);
    stop_nodes();
    return runs_clean();
}
#endif
