#include "cpu/program/estimate.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cpu/program/cli.h"

/* The rate is measured for a second; after half a minute, and each time four times as late, one that
 * differs by a fifth replaces it. */
static const double MEASURE_S = 1, AGAIN_S = 30, CHANGE = 0.2;

static const vly_learned *learned_with(const char *env, const vly_config *config) {
    return vly_learned_find(env, config->run.algo, config->run.preset);
}

void vly_estimate_begin(vly_estimate *e, const char *env, const vly_config *config, int64_t start) {
    *e = (vly_estimate){
        .learned = learned_with(env, config), .start = start, .budget = config->run.steps};
    if (e->learned && e->learned->seeds == 0) e->learned = NULL;
}

static double rate_since_first(const vly_estimate *e, int64_t steps, double wall_s) {
    return (double)(steps - e->first_steps) / (wall_s - e->first_s);
}

/* Whether the rate has become another one. */
static bool measured_again(vly_estimate *e, int64_t steps, double wall_s) {
    if (wall_s - e->first_s < e->again_s) return false;
    const double rate = rate_since_first(e, steps, wall_s);
    e->again_s *= 4;
    if (fabs(rate / e->steps_per_s - 1) < CHANGE) return false;
    e->steps_per_s = rate;
    e->start = steps;
    return true;
}

bool vly_estimate_measured(vly_estimate *e, int64_t steps, int64_t updates, double wall_s) {
    if (e->steps_per_s > 0) return measured_again(e, steps, wall_s);
    if (updates < 1) return false;
    if (!e->begun) {
        e->begun = true;
        e->first_steps = steps, e->first_updates = updates, e->first_s = wall_s;
    }
    if (updates == e->first_updates || wall_s - e->first_s < MEASURE_S) return false;
    e->steps_per_s = rate_since_first(e, steps, wall_s);
    e->again_s = AGAIN_S;
    return e->steps_per_s > 0;
}

static double seconds_to(const vly_estimate *e, int64_t steps) {
    return steps > e->start ? (double)(steps - e->start) / e->steps_per_s : 0;
}

double vly_estimate_target_s(const vly_estimate *e) {
    return e->learned ? seconds_to(e, e->learned->steps) : NAN;
}

double vly_estimate_least_s(const vly_estimate *e) {
    return e->learned ? seconds_to(e, e->learned->least) : NAN;
}

double vly_estimate_most_s(const vly_estimate *e) {
    return e->learned ? seconds_to(e, e->learned->most) : NAN;
}

double vly_estimate_budget_s(const vly_estimate *e) {
    return seconds_to(e, e->budget);
}

static const char *rough_duration(double s) {
    static _Thread_local char ring[4][32];
    static _Thread_local int next;
    char *out = ring[next = (next + 1) % 4];
    if (s < 10)
        snprintf(out, sizeof ring[0], "%.0f second%s", fmax(1, round(s)), s < 1.5 ? "" : "s");
    else if (s < 150)
        snprintf(out, sizeof ring[0], "%.0f seconds", 5 * round(s / 5));
    else if (s < 10 * 60)
        snprintf(out, sizeof ring[0], "%.3g minutes", round(s / 30) / 2);
    else if (s < 90 * 60)
        snprintf(out, sizeof ring[0], "%.0f minutes", round(s / 60));
    else
        snprintf(out, sizeof ring[0], "%.1f hours", s / 3600);
    return out;
}

static const char *rough_steps(int64_t n) {
    static _Thread_local char text[32];
    if (n < 1000000)
        snprintf(text, sizeof text, "%s", vly_thousands((n + 500) / 1000 * 1000));
    else if (n < 1000000000)
        snprintf(text, sizeof text, "%.3g M", (double)n * 1e-6);
    else
        snprintf(text, sizeof text, "%.3g G", (double)n * 1e-9);
    return text;
}

void vly_estimate_words(const vly_estimate *e, char *text, size_t bytes) {
    const char *rate = vly_thousands((int64_t)(e->steps_per_s + 0.5));
    const double budget = vly_estimate_budget_s(e), target = vly_estimate_target_s(e);
    if (!e->learned || e->learned->steps <= e->start)
        snprintf(text, bytes, "about %s for all %s steps on this machine (%s steps/s)",
                 rough_duration(budget), rough_steps(e->budget), rate);
    else
        snprintf(text, bytes,
                 "about %s to a mean return of %g on this machine (%s steps/s; %s steps in the "
                 "median of %d seed%s, the quickest %s, the slowest %s), %s for the whole budget",
                 rough_duration(target), e->learned->target, rate, rough_steps(e->learned->steps),
                 e->learned->seeds, e->learned->seeds == 1 ? "" : "s",
                 rough_duration(vly_estimate_least_s(e)), rough_duration(vly_estimate_most_s(e)),
                 rough_duration(budget));
}

void vly_estimate_warning(const char *env, const vly_config *config, char *text, size_t bytes) {
    const vly_learned *l = learned_with(env, config);
    text[0] = '\0';
    if (l && l->seeds == 0)
        snprintf(text, bytes,
                 "%s with %s is not expected to reach %g: a measured run stood at %.4g after %s "
                 "steps",
                 env, config->run.algo, l->target, l->reached, rough_steps(l->steps));
    else if (!l && !strcmp(config->run.preset, "none"))
        snprintf(text, bytes,
                 "no preset for %s with %s: these are the algorithm's own settings, and what they "
                 "reach has not been measured",
                 env, config->run.algo);
    else if (!l)
        snprintf(text, bytes, "what %s reaches in %s with preset %s has not been measured",
                 config->run.algo, env, config->run.preset);
}
