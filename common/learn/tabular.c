#include "common/learn/tabular.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"

enum { CELLS_MAX = 1 << 22, OUTCOMES_MAX = 64, SWEEPS_MAX = 1000000, LOOK_EVERY = 4096 };

static const char NEEDS[] = "numbered states, or a vector of at most 6 numbers whose bounds are "
                            "known"; /* VLY_DISCRETIZER_DIMS */

/* ---- cells ---- */

static vly_status bin_vector(vly_discretizer *d, const vly_env *env, int bins) {
    d->dims = env->obs.shape[0];
    d->bins = bins;
    d->states = 1;
    for (int k = 0; k < d->dims; k++) {
        d->range[k] = env->bounds[k];
        if (!(d->range[k].low < d->range[k].high) || !isfinite(d->range[k].high - d->range[k].low))
            return vly_fail(VLY_EINVAL, "%s: bounds[%d] is from %g to %g", env->name, k,
                            d->range[k].low, d->range[k].high);
        if (d->states > CELLS_MAX / bins)
            return vly_fail(VLY_EINVAL,
                            "tabular.bins %d: %s has %d numbers, that is more than %d cells; "
                            "give fewer bins",
                            bins, env->name, d->dims, CELLS_MAX);
        d->states *= bins;
    }
    return VLY_OK;
}

static bool is_vector(const vly_obs_spec *obs) {
    return obs->dtype == VLY_F32 && obs->ndim == 1;
}

static bool has_numbered_states(const vly_env *env) {
    const vly_obs_spec *obs = &env->obs;
    return is_vector(obs) && env->states > 0 &&
           (obs->shape[0] == 1 || obs->shape[0] == env->states);
}

static bool has_bounded_numbers(const vly_env *env) {
    return is_vector(&env->obs) && env->bounds && env->obs.shape[0] <= VLY_DISCRETIZER_DIMS;
}

static bool has_cells(const vly_env *env) {
    return has_numbered_states(env) || has_bounded_numbers(env);
}

vly_status vly_discretizer_init(vly_discretizer *d, const vly_env *env, int bins) {
    memset(d, 0, sizeof *d);
    if (has_numbered_states(env)) {
        d->states = env->states;
        d->dims = env->obs.shape[0];
        return VLY_OK;
    }
    if (has_bounded_numbers(env)) return bin_vector(d, env, bins);
    return vly_fail(VLY_EUNSUPPORTED, "%s: tabular methods need %s", env->name, NEEDS);
}

/* What is not a number is in the first cell. */
static int tabular_clamp(double at, int n) {
    return !(at > 0) ? 0 : at >= n ? n - 1 : (int)at;
}

int vly_discretizer_state(const vly_discretizer *d, const void *obs) {
    const float *x = obs;
    int state = 0;
    if (d->bins) {
        for (int k = 0; k < d->dims; k++)
            state = state * d->bins +
                    tabular_clamp((x[k] - d->range[k].low) / (d->range[k].high - d->range[k].low) *
                                      d->bins,
                                  d->bins);
        return state;
    }
    if (d->dims == 1) return tabular_clamp(x[0], d->states);
    for (int k = 1; k < d->dims; k++) state = x[k] > x[state] ? k : state; /* one-hot */
    return state;
}

/* ---- the optimum ---- */

static double backup(const vly_outcome *outcome, int n, double gamma, const double *q,
                     int actions) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const double *row = q + (size_t)outcome[i].next * (size_t)actions;
        double best = row[0];
        for (int a = 1; a < actions; a++) best = row[a] > best ? row[a] : best;
        sum += outcome[i].probability *
               (outcome[i].reward + (outcome[i].terminated ? 0 : gamma * best));
    }
    return sum;
}

/* What follows action a in state s, of which there are n: an environment may be a plugin. */
static vly_status check_outcomes(const vly_env *env, int s, int a, const vly_outcome *outcome,
                                 int n) {
    if (n < 0 || n > OUTCOMES_MAX)
        return vly_fail(VLY_EINVAL,
                        "%s: model(state %d, action %d) says %d outcomes, it may write %d",
                        env->name, s, a, n, OUTCOMES_MAX);
    for (int i = 0; i < n; i++) {
        const vly_outcome *o = &outcome[i];
        if (o->next < 0 || o->next >= env->states)
            return vly_fail(VLY_EINVAL,
                            "%s: model(state %d, action %d) leads to state %d, states are 0 to %d",
                            env->name, s, a, o->next, env->states - 1);
        if (!isfinite(o->probability) || !isfinite(o->reward))
            return vly_fail(
                VLY_EINVAL,
                "%s: model(state %d, action %d) has probability %g and reward %g, which "
                "have to be finite",
                env->name, s, a, o->probability, o->reward);
    }
    return VLY_OK;
}

vly_status vly_tabular_solve(const vly_env *env, double gamma, double *q) {
    if (!env->model || env->states <= 0)
        return vly_fail(
            VLY_EUNSUPPORTED,
            "%s has no table of transitions (vly_env.model): the optimum cannot be computed",
            env->name);
    memset(q, 0, (size_t)env->states * (size_t)env->action.n * sizeof *q);
    for (int sweep = 0; sweep < SWEEPS_MAX; sweep++) {
        double change = 0;
        for (int s = 0; s < env->states; s++)
            for (int a = 0; a < env->action.n; a++) {
                vly_outcome outcome[OUTCOMES_MAX];
                const int n = env->model(env, s, a, outcome, OUTCOMES_MAX);
                VLY_TRY(check_outcomes(env, s, a, outcome, n));
                double *cell = &q[(size_t)s * (size_t)env->action.n + (size_t)a];
                const double fresh = backup(outcome, n, gamma, q, env->action.n);
                change = fmax(change, fabs(fresh - *cell));
                *cell = fresh;
            }
        if (change < 1e-10) return VLY_OK;
    }
    return vly_fail(VLY_ENUMERIC,
                    "value iteration on %s does not converge: with gamma 1 every policy must reach "
                    "a terminal state",
                    env->name);
}

/* ---- the algorithm ---- */

typedef struct {
    int32_t state, action; /* where the actor acted last */
    int32_t acted;
    int32_t waits; /* SARSA: its last transition waits for the next action */
} actor;

typedef struct {
    vly_algo base;
    vly_compute *compute;
    const vly_config *config;
    const vly_env *env;
    vly_sync *sync;
    vly_discretizer cells;
    bool sarsa, eval, greedy;
    uint64_t seed;
    int actors, groups, group_size;
    float epsilon;

    vly_real *table;      /* (states, actions) */
    uint32_t *visits;     /* (states, actions) */
    actor *actor;         /* (actors) */
    int32_t *state_now;   /* (actors) */
    int32_t *action;      /* (actors) */
    int64_t *counters;    /* [0] actions drawn per actor, [1] updates made, [2] bits of epsilon */
    vly_transition *list; /* complete since the last learn */
    int count, capacity;
    vly_transition *waiting; /* (actors) SARSA: complete with the next action */
    uint8_t *obs, *flags;    /* (actors) newest rows */
    float *reward, *score;
    double error_sum;
    int64_t learned;
} tabular;

static vly_real *cell_of(const tabular *t, int state, int action) {
    return t->table + (size_t)state * (size_t)t->env->action.n + (size_t)action;
}

static int best_action(const tabular *t, int state) {
    const vly_real *row = cell_of(t, state, 0);
    int best = 0;
    for (int a = 1; a < t->env->action.n; a++) best = row[a] > row[best] ? a : best;
    return best;
}

/* One update: Watkins' target, or SARSA's where the next action is known. */
static void tabular_update(tabular *t, const vly_transition *x) {
    const size_t i = (size_t)x->state * (size_t)t->env->action.n + (size_t)x->action;
    const float power = t->config->tabular.alpha_power;
    float alpha = t->config->tabular.alpha / powf(1.0f + (float)t->visits[i], power);
    if (alpha < t->config->tabular.alpha_end) alpha = t->config->tabular.alpha_end;
    const int follow = x->next_action >= 0 ? x->next_action : best_action(t, x->next);
    const vly_real after = x->terminated ? 0 : *cell_of(t, x->next, follow);
    const vly_real error = (vly_real)x->reward + (vly_real)t->config->tabular.gamma * after -
                           t->table[i];
    t->table[i] += (vly_real)alpha * error;
    if (t->visits[i] < UINT32_MAX) t->visits[i]++;
    t->error_sum += fabs((double)error);
    t->learned++, t->counters[1]++;
}

static bool usable(const tabular *t,
                   const vly_transition *x) { /* data from other processes is not trusted */
    return x->state >= 0 && x->state < t->cells.states && x->next >= 0 &&
           x->next < t->cells.states && x->action >= 0 && x->action < t->env->action.n &&
           x->next_action < t->env->action.n && isfinite(x->reward);
}

static bool tabular_place(vly_algo *a, int group, vly_rows *rows) {
    tabular *t = (tabular *)a;
    const size_t first = (size_t)group * (size_t)t->group_size;
    *rows = vly_rows_plain(t->obs + first * t->env->obs.bytes, t->env->obs.bytes, t->reward + first,
                           t->score + first, t->flags + first);
    return true;
}

static vly_status tabular_collect(tabular *t, const vly_transition *x) {
    if (t->count == t->capacity)
        return vly_fail(VLY_EINVAL, "tabular: more rows than a phase holds");
    t->list[t->count++] = *x;
    return VLY_OK;
}

static vly_status tabular_note(tabular *t, int i, int state) {
    actor *me = &t->actor[i];
    const uint8_t flags = t->flags[i];
    if (!me->acted || t->eval || (flags & (VLY_ROW_RESET | VLY_ROW_FAILED))) return VLY_OK;
    const vly_transition x = {me->state, me->action,   state,
                              -1,        t->reward[i], (flags & VLY_ROW_TERMINATED) != 0};
    if (!t->sarsa || x.terminated) return tabular_collect(t, &x);
    t->waiting[i] = x;
    me->waits = 1;
    return VLY_OK;
}

static vly_status tabular_arrived(vly_algo *a, vly_queue *q, int group, const uint8_t *age) {
    tabular *t = (tabular *)a;
    (void)q, (void)age;
    for (int i = group * t->group_size; i < (group + 1) * t->group_size; i++) {
        const int state = vly_discretizer_state(&t->cells, t->obs + (size_t)i * t->env->obs.bytes);
        VLY_TRY(tabular_note(t, i, state));
        t->state_now[i] = state;
    }
    return VLY_OK;
}

static int tabular_choose(tabular *t, int i) {
    const vly_u32x4 r = vly_philox(t->seed, VLY_STREAM_ACT, (uint64_t)t->counters[0], (uint32_t)i);
    const float epsilon = t->greedy ? 0 : t->epsilon;
    return vly_unit(r.v[0]) < epsilon ? (int)vly_below(r.v[1], (uint32_t)t->env->action.n)
                                      : best_action(t, t->state_now[i]);
}

static vly_status tabular_act(vly_algo *a, vly_queue *q, const int *group, int count) {
    tabular *t = (tabular *)a;
    (void)q;
    for (int g = 0; g < count; g++)
        for (int i = group[g] * t->group_size; i < (group[g] + 1) * t->group_size; i++) {
            t->action[i] = tabular_choose(t, i);
            actor *me = &t->actor[i];
            if (me->waits) {
                t->waiting[i].next_action = t->action[i];
                VLY_TRY(tabular_collect(t, &t->waiting[i]));
                me->waits = 0;
            }
            me->state = t->state_now[i], me->action = t->action[i], me->acted = 1;
        }
    if (group[count - 1] == t->groups - 1) t->counters[0]++;
    return VLY_OK;
}

static vly_actions actions_of(vly_algo *a, int group) {
    const tabular *t = (const tabular *)a;
    return vly_actions_of_ints(t->action + (size_t)group * (size_t)t->group_size);
}

static vly_status tabular_learn(vly_algo *a, vly_queue *q, const vly_progress *progress) {
    tabular *t = (tabular *)a;
    const vly_transition *from = t->list;
    int n = t->count;
    (void)q;
    t->error_sum = 0, t->learned = 0;
    if (t->sync && t->sync->tables && t->sync->tables->exchange)
        VLY_TRY(t->sync->tables->exchange(t->sync, t->list, t->count, &from, &n));
    for (int i = 0; i < n; i++) {
        if (i % LOOK_EVERY == 0 && vly_progress_stopped(progress))
            return vly_fail(VLY_ECANCELED, "interrupted within an update");
        if (usable(t, &from[i])) tabular_update(t, &from[i]);
    }
    t->count = 0;
    if (t->sync && t->sync->tables)
        VLY_TRY(t->sync->tables->merge(t->sync, t->cells.states, t->env->action.n, t->table,
                                       t->visits));
    const float at = (float)((double)progress->steps / (double)t->config->tabular.eps_steps);
    const float from_eps = t->config->tabular.eps_start, to_eps = t->config->tabular.eps_end;
    t->epsilon = at >= 1 ? to_eps : from_eps + (to_eps - from_eps) * at;
    memcpy(&t->counters[2], &t->epsilon, sizeof t->epsilon);
    a->version++;
    return VLY_OK;
}

static vly_status tabular_discard(vly_algo *a, vly_queue *q) {
    (void)q;
    ((tabular *)a)->count = 0;
    return VLY_OK;
}

static vly_status tabular_value(vly_algo *a, vly_queue *q, float *out) {
    const tabular *t = (const tabular *)a;
    (void)q;
    *out = (float)*cell_of(t, t->actor[0].state, best_action(t, t->actor[0].state));
    return VLY_OK;
}

static vly_status tabular_metrics(vly_algo *a, vly_metric *out, int *count) {
    tabular *t = (tabular *)a;
    const double td = t->learned ? t->error_sum / (double)t->learned : 0;
    *count = 2;
    out[0] = (vly_metric){"losses/td_error", td};
    out[1] = (vly_metric){"charts/epsilon", t->epsilon};
    if (isfinite(td)) return VLY_OK;
    a->failed = true;
    return vly_fail(VLY_ENUMERIC, "the table is not finite; lower --tabular.alpha");
}

static int tabular_buffers(vly_algo *a, vly_buffer *out, int max) {
    tabular *t = (tabular *)a;
    const int64_t S = t->cells.states, A = t->env->action.n, N = t->actors;
    const vly_buffer all[] = {
        {"table.q", VLY_BUFFER_WEIGHT, VLY_F32, 2, {S, A}, t->table, false},
        {"table.visits", VLY_BUFFER_WEIGHT, VLY_U32, 2, {S, A}, t->visits, false},
        {"tabular.actors", VLY_BUFFER_STATE, VLY_I32, 2, {N, 4}, t->actor, false},
        {"tabular.states", VLY_BUFFER_STATE, VLY_I32, 1, {N}, t->state_now, false},
        {"tabular.counters", VLY_BUFFER_STATE, VLY_I64, 1, {4}, t->counters, false},
        {"tabular.waiting",
         VLY_BUFFER_STATE,
         VLY_U8,
         2,
         {N, (int64_t)sizeof(vly_transition)},
         t->waiting,
         false},
    };
    const int n = (int)(sizeof all / sizeof all[0]);
    for (int i = 0; i < n && i < max; i++) out[i] = all[i];
    return n;
}

static vly_status tabular_restored(vly_algo *a, vly_queue *q) {
    tabular *t = (tabular *)a;
    (void)q;
    if (!vly_is_count(t->counters[0]) || !vly_is_count(t->counters[1]))
        return vly_fail(VLY_ECORRUPT, "tabular: the counters are out of range");
    for (int i = 0; i < t->actors; i++) {
        const actor *me = &t->actor[i];
        if (me->state < 0 || me->state >= t->cells.states || t->state_now[i] < 0 ||
            t->state_now[i] >= t->cells.states || me->waits < 0 || me->waits > 1)
            return vly_fail(VLY_ECORRUPT, "tabular: actor %d is outside the table", i);
    }
    t->count = 0;
    if (!t->eval) memcpy(&t->epsilon, &t->counters[2], sizeof t->epsilon);
    return VLY_OK;
}

static void tabular_destroy(vly_algo *a) {
    tabular *t = (tabular *)a;
    if (!t) return;
    free(t->table), free(t->visits), free(t->actor), free(t->state_now), free(t->action),
        free(t->counters);
    free(t->list), free(t->waiting), free(t->flags), free(t->reward), free(t->score);
    if (t->obs) t->compute->free(t->compute, t->obs);
    free(t);
}

static bool tabular_allocate(tabular *t) {
    const size_t n = (size_t)t->actors, cells = (size_t)t->cells.states * (size_t)t->env->action.n;
    t->capacity = t->actors * (t->config->tabular.phase + 1);
    t->table = calloc(cells, sizeof *t->table);
    t->visits = calloc(cells, sizeof *t->visits);
    t->actor = calloc(n, sizeof *t->actor);
    t->state_now = calloc(n, sizeof *t->state_now);
    t->action = calloc(n, sizeof *t->action);
    t->counters = calloc(4, sizeof *t->counters);
    t->list = calloc((size_t)t->capacity, sizeof *t->list);
    t->waiting = calloc(n, sizeof *t->waiting);
    t->flags = calloc(n, 1);
    t->reward = calloc(n, sizeof *t->reward);
    t->score = calloc(n, sizeof *t->score);
    return t->table && t->visits && t->actor && t->state_now && t->action && t->counters &&
           t->list && t->waiting && t->flags && t->reward && t->score;
}

static vly_status create_tabular(vly_algo **out, const vly_algo_args *args, const char *name,
                                 bool sarsa) {
    if (!args->compute->info.is_host)
        return vly_fail(VLY_EUNSUPPORTED, "%s keeps its table in host memory: give --device cpu",
                        name);
    if (args->groups < 1 || args->actors < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%s: %d environments in %d groups", name, args->actors,
                        args->groups);
    tabular *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "%s: out of memory", name);
    t->compute = args->compute, t->config = args->config, t->env = args->env, t->sync = args->sync;
    t->sarsa = sarsa, t->eval = args->eval, t->greedy = args->greedy, t->seed = args->seed;
    t->actors = args->actors, t->groups = args->groups, t->group_size = args->actors / args->groups;
    t->epsilon = args->eval ? 0 : t->config->tabular.eps_start; /* a table is judged by its best
                                                                   actions */
    vly_status status = vly_discretizer_init(&t->cells, args->env, t->config->tabular.bins);
    if (status == VLY_OK && !tabular_allocate(t))
        status = vly_fail(VLY_ENOMEM, "%s: out of memory for a table of %d states", name,
                          t->cells.states);
    if (status == VLY_OK)
        status = t->compute->alloc(t->compute, (size_t)t->actors * t->env->obs.bytes,
                                   "observations", "--envs", (void **)&t->obs);
    if (status != VLY_OK) {
        tabular_destroy(&t->base);
        return status;
    }
    memcpy(&t->counters[2], &t->epsilon, sizeof t->epsilon);
    t->base = (vly_algo){.schedule = VLY_SCHEDULE_SYNC,
                         .phase_steps = t->config->tabular.phase,
                         .made = &t->counters[1],
                         .params = (int64_t)t->cells.states * args->env->action.n,
                         .destroy = tabular_destroy,
                         .place = tabular_place,
                         .arrived = tabular_arrived,
                         .act = tabular_act,
                         .action = actions_of,
                         .learn = tabular_learn,
                         .discard = tabular_discard,
                         .value = tabular_value,
                         .metrics = tabular_metrics,
                         .buffers = tabular_buffers,
                         .restored = tabular_restored};
    strncpy(t->base.name, name, sizeof t->base.name - 1);
    *out = &t->base;
    return VLY_OK;
}

static vly_status create_qlearning(vly_algo **out, const vly_algo_args *args) {
    return create_tabular(out, args, "qlearning", false);
}
static vly_status create_sarsa(vly_algo **out, const vly_algo_args *args) {
    return create_tabular(out, args, "sarsa", true);
}

const vly_algo_entry vly_algo_qlearning = {
    .name = "qlearning",
    .summary = "Q-learning on a table (Watkins 1989); distributed by merging, sharding or sharing",
    .sections = {"tabular"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.tabular = true},
    .reads = has_cells,
    .needs = NEEDS,
    .create = create_qlearning,
};

const vly_algo_entry vly_algo_sarsa = {
    .name = "sarsa",
    .summary = "SARSA on a table (Rummery & Niranjan 1994)",
    .sections = {"tabular"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.tabular = true},
    .reads = has_cells,
    .needs = NEEDS,
    .create = create_sarsa,
};
