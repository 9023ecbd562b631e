#include "cpu/actors/pool_impl.h"
#include <string.h>
#include "common/base/philox.h"
#include "common/base/plugin_call.h"

static uint64_t next_seed(vly_pool *p, int actor) {
    const vly_u32x4 r = vly_philox(p->options.seed, VLY_STREAM_ENV, p->seeds[actor]++,
                                   (uint32_t)actor);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

/* A fresh episode in row `at`, which carries RESET and `mark`. */
static void reset_actor(vly_pool *p, int actor, vly_rows at, uint8_t mark) {
    *at.flags = FLAGS_UNWRITTEN;
    *at.reward = *at.score = 0;
    if (p->env->plugin) vly_plugin_actor(actor);
    p->env->reset(p->env, vly_pool_state_at(p, actor), next_seed(p, actor), at);
    p->score[actor] = 0;
    p->length[actor] = 0;
    p->age[actor] = 0;
    p->needs_reset[actor] = (*at.flags & VLY_ROW_FAILED) != 0;
    if (p->needs_reset[actor]) memset(at.obs, 0, p->env->obs.bytes);
    *at.reward = *at.score = 0;
    *at.flags = (uint8_t)(VLY_ROW_RESET | mark | (p->needs_reset[actor] ? VLY_ROW_FAILED : 0));
}

static void reset_chunk(vly_pool *p, pool_chunk *c) {
    memset(c->out.flags, FLAGS_UNWRITTEN, (size_t)c->n);
    for (int i = 0; i < c->n; i++) {
        reset_actor(p, c->first + i, vly_rows_at(c->out, (size_t)i), 0);
        c->restarts += p->needs_reset[c->first + i];
    }
}

/* A row that starts or ends an episode, or failed. */
static void handle_event(vly_pool *p, pool_chunk *c, int i) {
    const int actor = c->first + i;
    const uint8_t flags = c->out.flags[i];
    if (flags & VLY_ROW_FAILED) { /* or not written at all */
        c->restarts++;
        reset_actor(p, actor, vly_rows_at(c->out, (size_t)i), VLY_ROW_FAILED);
        return;
    }
    if (flags & VLY_ROW_RESET) p->length[actor]--, p->age[actor] = 0;
    if (flags & VLY_ROW_GAME_OVER) {
        c->episodes[c->episode_count++] = (vly_episode){actor, p->length[actor], p->score[actor]};
        p->score[actor] = 0;
        p->length[actor] = 0;
    }
}

static bool any_set(const uint8_t *bytes, int n) {
    uint64_t any = 0, word;
    int i = 0;
    for (; i + 8 <= n; i += 8) memcpy(&word, bytes + i, 8), any |= word;
    for (; i < n; i++) any |= bytes[i];
    return any != 0;
}

/* Scores, lengths and ages: almost always two short vector loops. */
static void accumulate_rows(vly_pool *p, pool_chunk *c) {
    double *restrict score = p->score + c->first;
    int32_t *restrict length = p->length + c->first;
    uint8_t *restrict age = p->age + c->first;
    const float *restrict gained = c->out.score;
    for (int i = 0; i < c->n; i++) {
        score[i] += gained[i];
        length[i] += 1;
        age[i] = (uint8_t)(age[i] + (age[i] < 255));
    }
    if (!any_set(c->out.flags, c->n)) return;
    for (int i = 0; i < c->n; i++)
        if (c->out.flags[i]) handle_event(p, c, i);
}

void vly_pool_step_chunk(vly_pool *p, pool_chunk *c) {
    c->episode_count = c->restarts = 0;
    if (!c->action) {
        reset_chunk(p, c);
        return;
    }
    memset(c->out.flags, FLAGS_UNWRITTEN, (size_t)c->n);    /* for the watchdog */
    const uint8_t *needs_reset = p->needs_reset + c->first; /* their states are not valid */
    for (int i = 0, end; i < c->n; i = end + 1) {
        for (end = i; end < c->n && !needs_reset[end];) end++;
        if (end == i) continue;
        if (p->env->plugin) vly_plugin_actor(c->first + i);
        p->env->step(p->env, vly_pool_state_at(p, c->first + i), end - i, c->action + i,
                     vly_rows_at(c->out, (size_t)i));
    }
    accumulate_rows(p, c);
}
