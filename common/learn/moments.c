#include "common/learn/moments.h"

enum { REWARD_LIMIT = 10 };

vly_status vly_moments_check(const vly_algo_args *args, bool rewards) {
    const bool observations = args->config->net.normalize;
    if ((!args->sync && !args->led) || (!observations && !rewards)) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED,
                    "%s: several processes would keep moments of their own: leave out %s%s%s, or "
                    "--sync, --store, --role and --dist.*",
                    args->config->run.algo, observations ? "--net.normalize" : "",
                    observations && rewards ? " and " : "", rewards ? "normalize_reward" : "");
}

vly_status vly_moments_take(vly_moments *o, vly_memories *m, const vly_net *net, bool rewards) {
    vly_status s = VLY_OK;
    *o = (vly_moments){.c = m->c};
    o->at = vly_net_moments(net, &o->width);
    o->factor = vly_net_description(net)->obs.scale;
    if (o->at >= 0)
        o->observation = vly_memories_take(m, false, 3 * (int64_t)o->width, sizeof(double),
                                           "moments of observations", &s);
    if (!rewards) return s;
    o->returned = vly_memories_take(m, false, 3, sizeof(double), "moments of returns", &s);
    o->kept = vly_memories_take(m, false, 3, sizeof(double), "moments of returns", &s);
    o->scale = vly_memories_take(m, false, 1, sizeof(vly_real), "moments of returns", &s);
    return s;
}

/* Of factor x. */
static vly_status see_multiple(const vly_moments *o, vly_queue *q, vly_real *param, int n,
                               const vly_real *x, float factor) {
    if (!o->observation) return VLY_OK;
    const vly_running_args args = {.n = n,
                                   .width = o->width,
                                   .x = x,
                                   .factor = factor,
                                   .state = o->observation,
                                   .mean = param + o->at,
                                   .scale = param + o->at + o->width};
    return o->c->running(q, &args);
}

vly_status vly_moments_see(const vly_moments *o, vly_queue *q, vly_real *param, int n,
                           const vly_real *x) {
    return see_multiple(o, q, param, n, x, 1);
}

vly_status vly_moments_see_frames(const vly_moments *o, vly_queue *q, vly_real *param, int n,
                                  const uint8_t *frames) {
    return see_multiple(o, q, param, n, (const vly_real *)(const void *)frames, o->factor);
}

vly_status vly_moments_see_newest(const vly_moments *o, vly_queue *q, vly_real *param,
                                  const vly_replay *r, int group) {
    const uint8_t *from = r->frames + (size_t)vly_replay_newest(r, group) * r->o.obs.bytes;
    return vly_moments_see_frames(o, q, param, (int)r->M, from);
}

vly_status vly_moments_share(const vly_moments *o, vly_queue *q, const vly_real *from,
                             vly_real *to) {
    if (!o->observation) return VLY_OK;
    return o->c->copy(q, to + o->at, from + o->at, 2 * (size_t)o->width * sizeof *to);
}

vly_status vly_moments_scale_rewards(const vly_moments *o, vly_queue *q, int n,
                                     const vly_real *returns, const vly_real *counted,
                                     vly_real *reward) {
    if (!o->returned) return VLY_OK;
    const vly_running_args args = {
        .n = n, .width = 1, .x = returns, .mask = counted, .state = o->returned, .scale = o->scale};
    VLY_TRY(o->c->running(q, &args));
    return o->c->normalize(q, n, 1, reward, NULL, o->scale, REWARD_LIMIT, reward);
}

vly_status vly_moments_keep(const vly_moments *o, vly_queue *q) {
    return o->returned ? o->c->copy(q, o->kept, o->returned, 3 * sizeof *o->kept) : VLY_OK;
}

vly_status vly_moments_put_back(const vly_moments *o, vly_queue *q) {
    return o->returned ? o->c->copy(q, o->returned, o->kept, 3 * sizeof *o->kept) : VLY_OK;
}

void vly_moments_buffers(const vly_moments *o, vly_buffer_list *list) {
    if (o->observation)
        vly_buffer_add(list, "moments.observation", VLY_BUFFER_STATE, VLY_F64,
                       3 * (int64_t)o->width, o->observation, true);
    if (o->returned)
        vly_buffer_add(list, "moments.return", VLY_BUFFER_STATE, VLY_F64, 3, o->returned, true);
}
