#include "cpu/actors/pool_impl.h"

static vly_pool *pool_of(const vly_source *s) {
    return (vly_pool *)s;
}

static int take_from_pool(vly_source *s, int want, int *groups) {
    vly_pool *p = pool_of(s);
    if (p->by_chunk) return vly_pool_take(p, want, groups, 0);
    groups[0] = vly_pool_report_oldest(p, true);
    return groups[0] >= 0;
}

static bool arm_pool(vly_source *s, int want) {
    vly_pool *p = pool_of(s);
    return vly_pool_arm(p, want, !p->by_chunk);
}

static vly_status check_pool(const vly_source *s) {
    return vly_pool_check(pool_of(s));
}

static const uint8_t *age_in_pool(const vly_source *s, int g) {
    return vly_pool_age(pool_of(s), g * (s->actors / s->groups) * pool_of(s)->players);
}
static int episodes_of_pool(vly_source *s, vly_episode *out, int max) {
    return vly_pool_episodes(pool_of(s), out, max);
}
static void stats_of_pool(vly_source *s, vly_pool_stats *out) {
    vly_pool_get_stats(pool_of(s), out);
}
static size_t snapshot_bytes_of_pool(const vly_source *s) {
    return vly_pool_snapshot_bytes(pool_of(s));
}
static vly_status save_pool(vly_source *s, void *to, size_t bytes) {
    return vly_pool_save(pool_of(s), to, bytes);
}
static vly_status load_pool(vly_source *s, const void *from, size_t bytes) {
    return vly_pool_load(pool_of(s), from, bytes);
}
static vly_status convert_to_pool(const vly_source *s, const vly_env *env, const void *from,
                                  size_t bytes, void *to) {
    (void)env;
    return vly_pool_convert(pool_of(s), from, bytes, to);
}
static const void *state_in_pool(vly_source *s, int actor) {
    return vly_pool_state(pool_of(s), actor);
}
static vly_status destroy_pool(vly_source *s) {
    return vly_pool_destroy(pool_of(s));
}

vly_source *vly_pool_source(vly_pool *p, bool by_chunk) {
    p->by_chunk = by_chunk;
    p->source = (vly_source){.actors = p->options.actors,
                             .groups = by_chunk ? p->chunk_count : p->options.groups,
                             .submit = vly_pool_submit,
                             .take = take_from_pool,
                             .arm = arm_pool,
                             .check = check_pool,
                             .age = age_in_pool,
                             .episodes = episodes_of_pool,
                             .stats = stats_of_pool,
                             .snapshot_bytes = snapshot_bytes_of_pool,
                             .save = save_pool,
                             .load = load_pool,
                             .convert = convert_to_pool,
                             .state = state_in_pool,
                             .destroy = destroy_pool};
    return &p->source;
}
