#include "cpu/program/acting.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/actions.h"
#include "common/learn/head.h"

vly_text *vly_acting_note(vly_acting *a, const char *name) {
    assert(a->count < VLY_ACTING_NOTES);
    a->notes[a->count].name = name;
    return &a->text[a->count++];
}

void vly_acting_free(vly_acting *a) {
    for (int i = 0; i < a->count; i++) vly_text_free(&a->text[i]);
    *a = (vly_acting){.count = 0};
}

/* Of each value of an action, with commas between. */
static void note_each(vly_acting *a, const char *name, const vly_space *space,
                      double (*of)(const vly_space *space, int i)) {
    vly_text *to = vly_acting_note(a, name);
    for (int i = 0; i < space->count; i++) vly_text_add(to, "%s%.9g", i ? "," : "", of(space, i));
}

static double choices_of(const vly_space *space, int i) {
    return vly_space_size(space, i);
}
static double low_of(const vly_space *space, int i) {
    return space->bounds[i].low;
}
static double high_of(const vly_space *space, int i) {
    return space->bounds[i].high;
}

static void note_deviation(vly_acting *a, const vly_dist *drawn) {
    const bool tanh_too = drawn->spread == VLY_SPREAD_TANH;
    vly_text_add(vly_acting_note(a, "deviation"), "%s", tanh_too ? "tanh" : "clamp");
    vly_text_add(vly_acting_note(a, "deviation_low"), "%g",
                 (double)(tanh_too ? VLY_LOG_STD_TANH_LOW : VLY_LOG_STD_LOW));
    vly_text_add(vly_acting_note(a, "deviation_high"), "%g", (double)VLY_LOG_STD_HIGH);
}

static void note_box(vly_acting *a, const vly_env *env, const vly_config *config) {
    static const char *const squash[] = {
        [VLY_DIST_NORMAL] = "clip", [VLY_DIST_SQUASHED] = "tanh", [VLY_DIST_UNIT] = "stretch"};
    const vly_space *space = &env->action;
    const vly_dist drawn = vly_head_told(&(vly_algo_args){.env = env, .config = config});
    note_each(a, "low", space, low_of);
    note_each(a, "high", space, high_of);
    vly_text_add(vly_acting_note(a, "squash"), "%s", squash[drawn.kind]);
    if (drawn.kind != VLY_DIST_UNIT) note_deviation(a, &drawn);
}

/* 1 / the deviation of discounted returns that rewards were normalised by (common/learn/moments.h). */
static vly_status read_running_scale(vly_checkpoint *c, double *scale) {
    double state[3]; /* count, mean, sum of squared deviations */
    *scale = 1;
    if (!vly_checkpoint_find(c, "moments.return")) return VLY_OK;
    VLY_TRY(vly_checkpoint_read(c, "moments.return", VLY_F64, state, sizeof state));
    if (state[0] > 0) *scale = 1 / sqrt(state[2] / state[0] + 1e-8);
    return VLY_OK;
}

/* reward_scale among the algorithm's own options; 1: it has none. */
static double own_scale(const vly_config *config) {
    const vly_algo_entry *entry = vly_algo_find(config->run.algo);
    char text[32] = "1";
    int n;
    const vly_option *options = vly_config_options(&n);
    for (int s = 0; entry && entry->sections[s]; s++)
        for (int i = 0; i < n; i++)
            if (!strcmp(options[i].section, entry->sections[s]) &&
                !strcmp(options[i].key, "reward_scale"))
                vly_option_get(config, &options[i], text, sizeof text);
    return strtod(text, NULL);
}

static vly_status note_rewards(vly_acting *a, const vly_config *config, vly_checkpoint *c) {
    double running;
    VLY_TRY(read_running_scale(c, &running));
    vly_text_add(vly_acting_note(a, "reward_scale"), "%.9g", own_scale(config) * running);
    return VLY_OK;
}

vly_status vly_acting_describe(vly_acting *a, const vly_env *env, const vly_config *config,
                               const vly_net *net, vly_checkpoint *c) {
    static const char *const kinds[] = {
        [VLY_SPACE_DISCRETE] = "discrete", [VLY_SPACE_MULTI] = "multi", [VLY_SPACE_BOX] = "box"};
    const vly_head_kind head = vly_net_description(net)->head;
    vly_text_add(vly_acting_note(a, "action"), "%s", kinds[env->action.kind]);
    if (env->action.kind == VLY_SPACE_BOX)
        note_box(a, env, config);
    else
        note_each(a, "choices", &env->action, choices_of);
    if (env->masked) vly_text_add(vly_acting_note(a, "masked"), "true");
    if (head != VLY_HEAD_POLICY && head != VLY_HEAD_ACTION) VLY_TRY(note_rewards(a, config, c));
    for (int i = 0; i < a->count; i++) {
        if (a->text[i].failed) return vly_fail(VLY_ENOMEM, "no memory for notes of %s", env->name);
        a->notes[i].value = a->text[i].at;
    }
    return VLY_OK;
}
