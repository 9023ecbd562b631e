#include "cpu/run/actor_list.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "common/base/file.h"

static json_t *one_actor(const vly_actor_info *a) {
    return json_pack("{s:s, s:s, s:i, s:f, s:f, s:b, s:I}", "name", a->name, "state",
                     vly_actor_state_name(a->state), "environments", a->envs, "round_trip_ms",
                     a->round_trip_ms, "heard_s", a->heard_s, "packed", (int)a->packed, "rows",
                     (json_int_t)a->rows);
}

static json_t *all_actors(const char *listen, const vly_remote_stats *s) {
    struct timeval now;
    gettimeofday(&now, NULL);
    json_t *actors = json_array();
    for (int i = 0; i < s->shown; i++) json_array_append_new(actors, one_actor(&s->actor[i]));
    return json_pack("{s:f, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:f, s:f, s:o}", "time",
                     (double)now.tv_sec + 1e-6 * (double)now.tv_usec, "listen", listen, "connected",
                     s->connections, "environments", s->serving, "slow", s->slow, "lost",
                     (json_int_t)s->lost, "late", (json_int_t)s->late, "refused",
                     (json_int_t)s->refused, "round_trip_p50_ms", s->round_trip_p50_ms,
                     "round_trip_p99_ms", s->round_trip_p99_ms, "actors", actors);
}

/* Not synced: after a power cut the list is of no use anyway. */
vly_status vly_actor_list_write(const char *folder, const char *listen,
                                const vly_remote_stats *stats) {
    char path[2048], temporary[2080];
    vly_status status;
    snprintf(path, sizeof path, "%s/" VLY_ACTOR_LIST, folder);
    snprintf(temporary, sizeof temporary, "%s.tmp-%d", path, (int)getpid());
    unlink(temporary);
    const int fd = vly_file_open_own(temporary, O_WRONLY, &status);
    if (fd < 0) return status;
    json_t *list = all_actors(listen, stats);
    const int failed = json_dumpfd(list, fd, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    json_decref(list);
    if (close(fd) == 0 && !failed && rename(temporary, path) == 0) return VLY_OK;
    const int error = errno;
    unlink(temporary);
    return vly_fail(VLY_EIO, "cannot write %s: %s", path, strerror(error));
}
