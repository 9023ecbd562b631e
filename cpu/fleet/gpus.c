#include "cpu/fleet/gpus.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/base/compute_open.h"
#include "common/sync/nccl_open.h"

enum { CHILDREN_MAX = 64, ARGUMENTS_MAX = 512, PORT_BASE = 29400, PORTS = 2000, END_S = 15 };

struct vly_gpus {
    vly_gpus_place place;
    vly_crew *crew;
    vly_sync *sync;
    vly_nccl_destroy_fn destroy_sync;
    pid_t child[CHILDREN_MAX]; /* by rank; 0: not a child of this process */
    int children;
    int listener, port;
    char host[256], token[64];
};

/* ---- rank and device ---- */

/* The value of the first variable that is set. Slurm's variables are valid only inside a step
 * started by srun. */
static const char *first_environment_value(const char *const *names) {
    for (; *names; names++) {
        if (!strncmp(*names, "SLURM_", 6) && !getenv("SLURM_STEP_ID")) continue;
        if (getenv(*names) && getenv(*names)[0]) return getenv(*names);
    }
    return NULL;
}

static int parse_or(const char *text, int otherwise) {
    return text ? atoi(text) : otherwise;
}

static const char *const rank_names[] = {
    "VLY_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "RANK", NULL};
static const char *const world_names[] = {"VLY_WORLD",    "OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                          "SLURM_NTASKS", "WORLD_SIZE",           NULL};
static const char *const local_names[] = {"VLY_RANK",        "OMPI_COMM_WORLD_LOCAL_RANK",
                                          "MPI_LOCALRANKID", "SLURM_LOCALID",
                                          "LOCAL_RANK",      NULL};

static bool started_by_rank_0(void) {
    return getenv("VLY_RANK") != NULL;
}

/* The i-th number after "cuda:"; -1 if there are fewer. */
static int device_at(const char *device, int i) {
    const char *at = strchr(device, ':');
    for (at = at ? at + 1 : ""; *at && i > 0; at++) i -= *at == ',';
    return isdigit((unsigned char)*at) ? atoi(at) : -1;
}

static vly_status count_devices(const char *device, int *count) {
    *count = 0;
    if (strncmp(device, "cuda:", 5) != 0) return VLY_OK;
    for (const char *at = device + 5;; at++) {
        if (!isdigit((unsigned char)*at))
            return vly_fail(VLY_EINVAL,
                            "--device %s: expected cuda, cuda:0, or a list such as cuda:0,1",
                            device);
        const size_t digits = strspn(at, "0123456789");
        if (digits > 6) return vly_fail(VLY_EINVAL, "--device %s: there is no such device", device);
        at += digits;
        ++*count;
        if (!*at) break;
        if (*at != ',')
            return vly_fail(VLY_EINVAL,
                            "--device %s: expected cuda, cuda:0, or a list such as cuda:0,1",
                            device);
    }
    for (int i = 0; i < *count; i++)
        for (int k = 0; k < i; k++)
            if (device_at(device, i) == device_at(device, k))
                return vly_fail(VLY_EINVAL, "--device %s: cuda:%d is in the list twice", device,
                                device_at(device, i));
    return *count > CHILDREN_MAX
               ? vly_fail(VLY_EINVAL, "--device: at most %d devices", CHILDREN_MAX)
               : VLY_OK;
}

vly_status vly_gpus_place_of(const char *device, vly_gpus_place *p) {
    int devices;
    *p = (vly_gpus_place){.world = 1};
    snprintf(p->mine, sizeof p->mine, "%.60s", device);
    VLY_TRY(count_devices(device, &devices));
    const int world = parse_or(first_environment_value(world_names), 1);
    p->launched = started_by_rank_0() || world > 1;
    if (p->launched) {
        p->world = world;
        p->rank = parse_or(first_environment_value(rank_names), 0);
        p->local = parse_or(first_environment_value(local_names), p->rank);
    } else if (devices > 1) {
        p->world = devices;
    }
    if (devices > 1 && p->local >= devices)
        return vly_fail(VLY_EINVAL,
                        "--device %s lists %d devices, but a rank %d was started on this machine",
                        device, devices, p->local);
    if (devices > 1)
        snprintf(p->mine, sizeof p->mine, "cuda:%d", device_at(device, p->local));
    else if (p->launched && devices == 0 && (!strcmp(device, "cuda") || !strcmp(device, "auto")))
        snprintf(p->mine, sizeof p->mine, "%s:%d", device, p->local);
    return VLY_OK;
}

bool vly_gpus_wanted(const vly_config *config, const vly_compute *compute) {
    vly_gpus_place p;
    if (strcmp(compute->info.kind, "cuda") != 0 ||
        vly_gpus_place_of(config->run.device, &p) != VLY_OK || p.world < 2)
        return false;
    return !p.launched || started_by_rank_0() ||
           config->run.sync == VLY_RUN_SYNC_ALLREDUCE; /* gossip uses MPI */
}

/* ---- starting the other ranks ---- */

extern char **environ;

/* Reads this process's arguments. */
static int own_arguments(char *text, size_t bytes, char **argv) {
    const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    size_t have = 0;
    for (ssize_t got;
         file >= 0 && have + 1 < bytes && (got = read(file, text + have, bytes - 1 - have)) > 0;)
        have += (size_t)got;
    if (file >= 0) close(file);
    text[have] = '\0';
    int argc = 0;
    for (size_t at = 0; at < have && argc + 1 < ARGUMENTS_MAX; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    argv[argc] = NULL;
    return argc;
}

static void set_number(const char *name, int value) {
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

static vly_status start_rank(vly_gpus *g, int rank, char **argv) {
    posix_spawn_file_actions_t files;
    set_number("VLY_RANK", rank);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, 2, 1); /* only rank 0 prints results */
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    const int error = posix_spawn(&g->child[rank], "/proc/self/exe", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    unsetenv("VLY_RANK");
    if (error) return vly_fail(VLY_EIO, "rank %d cannot be started: %s", rank, strerror(error));
    g->children++;
    return VLY_OK;
}

static vly_status start_other_ranks(vly_gpus *g) {
    static char text[65536];
    char *argv[ARGUMENTS_MAX], meet[320];
    uint64_t secret[2];
    if (getrandom(secret, sizeof secret, 0) != sizeof secret)
        return vly_fail(VLY_EIO, "no random numbers: %s", strerror(errno));
    snprintf(g->token, sizeof g->token, "%016llx%016llx", (unsigned long long)secret[0],
             (unsigned long long)secret[1]);
    snprintf(g->host, sizeof g->host, "127.0.0.1");
    VLY_TRY(vly_crew_listen(NULL, &g->port, &g->listener));
    if (own_arguments(text, sizeof text, argv) < 1)
        return vly_fail(VLY_EIO, "cannot read this process's arguments from /proc/self/cmdline");
    snprintf(meet, sizeof meet, "%.250s:%d", g->host, g->port);
    setenv("VLY_MEET", meet, 1);
    setenv("VLY_TOKEN", g->token, 1);
    set_number("VLY_WORLD", g->place.world);
    vly_status status = VLY_OK;
    for (int i = 1; i < g->place.world && status == VLY_OK; i++) status = start_rank(g, i, argv);
    unsetenv("VLY_MEET"), unsetenv("VLY_TOKEN"), unsetenv("VLY_WORLD");
    return status;
}

/* Called while rank 0 waits for the others: fails if one has exited. */
static vly_status check_children(void *arg) {
    vly_gpus *g = arg;
    for (int i = 1; i < g->place.world; i++) {
        int how;
        if (g->child[i] <= 0 || waitpid(g->child[i], &how, WNOHANG) != g->child[i]) continue;
        g->child[i] = 0;
        if (WIFSIGNALED(how))
            return vly_fail(VLY_EPEER, "rank %d was killed by signal %d before the start", i,
                            WTERMSIG(how));
        return vly_fail(VLY_EPEER,
                        "rank %d exited with %d before the start; its messages are above", i,
                        WEXITSTATUS(how));
    }
    return VLY_OK;
}

/* ---- rank 0's address ---- */

static vly_status parse_meeting(vly_gpus *g, const char *meet) {
    const char *colon = strrchr(meet, ':');
    g->port = colon ? atoi(colon + 1) : 0;
    if (!colon || g->port < 1 || g->port > 65535)
        return vly_fail(VLY_EINVAL, "--dist.meet %s: expected HOST:PORT of rank 0", meet);
    snprintf(g->host, sizeof g->host, "%.*s", (int)(colon - meet), meet);
    return VLY_OK;
}

/* For ranks that a launcher started: the configured address, or rank 0's machine at a port
 * derived from the job. */
static vly_status find_meeting_point(vly_gpus *g, const vly_config *config) {
    static const char *const jobs[] = {"SLURM_JOB_ID", "OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE",
                                       "TORCHELASTIC_RUN_ID", NULL};
    const char *meet = getenv("VLY_MEET"), *master = getenv("MASTER_ADDR"),
               *port = getenv("MASTER_PORT"), *job = first_environment_value(jobs);
    unsigned hash = 5381;
    for (const char *at = job ? job : ""; *at; at++) hash = hash * 33 + (unsigned char)*at;
    snprintf(g->token, sizeof g->token, "%.63s",
             getenv("VLY_TOKEN") ? getenv("VLY_TOKEN")
             : job               ? job
                                 : "");
    if (config->dist.meet[0]) return parse_meeting(g, config->dist.meet);
    if (meet) return parse_meeting(g, meet);
    g->port = PORT_BASE + (int)(hash % PORTS);
    snprintf(g->host, sizeof g->host, "%.255s", master ? master : "127.0.0.1");
    if (master && port && atoi(port) > 0)
        g->port = atoi(port) + 1; /* torchrun's own store uses MASTER_PORT itself */
    return VLY_OK;
}

/* Ranks with different settings would compute different updates, or wait for each other forever. */
static vly_status check_settings(vly_gpus *g, const vly_config *config) {
    uint64_t mine = vly_algo_config_hash(config), all[VLY_CREW_MAX];
    VLY_TRY(vly_crew_exchange(g->crew, &mine, sizeof mine, all, 60));
    for (int i = 1; i < g->place.world; i++)
        if (all[i] != all[0])
            return vly_fail(VLY_EINVAL, "rank %d was started with other settings than rank 0", i);
    return VLY_OK;
}

static vly_status open_nccl_sync(vly_gpus *g, const vly_config *config, vly_compute *compute) {
    const vly_nccl_create_fn create = (vly_nccl_create_fn)vly_cuda_symbol(VLY_NCCL_CREATE_SYMBOL);
    g->destroy_sync = (vly_nccl_destroy_fn)vly_cuda_symbol(VLY_NCCL_DESTROY_SYMBOL);
    if (!create || !g->destroy_sync) return VLY_ENOTFOUND;
    const vly_nccl_options o = {compute, g->crew, config->dist.reduce == VLY_DIST_REDUCE_BF16,
                                (double)config->dist.deadline_s, config->dist.compare_every};
    return create(&g->sync, &o);
}

static vly_status connect_gpus(vly_gpus *g, const vly_config *config, vly_compute *compute) {
    VLY_TRY(vly_gpus_place_of(config->run.device, &g->place));
    if (vly_algo_traits_of(config).tabular)
        return vly_fail(VLY_EUNSUPPORTED, "%s learns a table on the CPU: give one --device",
                        config->run.algo);
    if (g->place.launched)
        VLY_TRY(find_meeting_point(g, config));
    else
        VLY_TRY(start_other_ranks(g));
    const vly_crew_options o = {.rank = g->place.rank,
                                .world = g->place.world,
                                .host = g->host,
                                .port = g->port,
                                .listener = g->listener,
                                .token = g->token,
                                .silence_s = (double)config->dist.silence_s,
                                .alive = check_children,
                                .arg = g};
    g->listener = 0; /* owned by the crew from here on */
    VLY_TRY(vly_crew_open(&g->crew, &o));
    VLY_TRY(check_settings(g, config));
    return open_nccl_sync(g, config, compute);
}

vly_status vly_gpus_open(vly_gpus **out, const vly_config *config, vly_compute *compute) {
    *out = NULL;
    vly_gpus *g = calloc(1, sizeof *g);
    if (!g) return vly_fail(VLY_ENOMEM, "gpus: out of memory");
    const vly_status status = connect_gpus(g, config, compute);
    if (status != VLY_OK) {
        char reason[512];
        snprintf(reason, sizeof reason, "%s", vly_error_text());
        vly_gpus_close(g, true);
        return vly_fail(status, "%s", reason);
    }
    *out = g;
    return VLY_OK;
}

vly_sync *vly_gpus_sync(vly_gpus *g) {
    return g->sync;
}

/* ---- the end ---- */

/* Children exit when the crew closes. Kills those that are alive after END_S. */
static void wait_for_children(vly_gpus *g) {
    struct timespec pause = {.tv_nsec = 20000000};
    for (int tries = 0; tries < END_S * 50; tries++) {
        int left = 0;
        for (int i = 1; i < g->place.world; i++) {
            if (g->child[i] > 0 && waitpid(g->child[i], NULL, WNOHANG) != 0) g->child[i] = 0;
            left += g->child[i] > 0;
        }
        if (left == 0) return;
        nanosleep(&pause, NULL);
    }
    for (int i = 1; i < g->place.world; i++) {
        if (g->child[i] <= 0) continue;
        kill(g->child[i], SIGKILL);
        waitpid(g->child[i], NULL, 0);
    }
}

void vly_gpus_close(vly_gpus *g, bool failed) {
    if (!g) return;
    char why[256];
    snprintf(why, sizeof why, "%.255s", vly_error_text()[0] ? vly_error_text() : "it failed");
    if (g->sync) g->destroy_sync(g->sync, failed);
    if (g->listener > 0) close(g->listener);
    /* without a crew the children would wait for rank 0 until their timeout, and SIGTERM with them */
    if (!g->crew)
        for (int i = 1; i < g->place.world && i < CHILDREN_MAX; i++)
            if (g->child[i] > 0) kill(g->child[i], SIGKILL);
    vly_crew_close(g->crew, failed ? why : NULL);
    wait_for_children(g);
    free(g);
}
