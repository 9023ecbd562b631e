/* A run whose environments are stepped by other processes (cpu/actors/remote.h). */
#include <stdio.h>
#include "common/base/text.h"
#include "cpu/train/train_impl.h"

enum { PROCESSES_MOST = 64 };

bool vly_train_is_remote(const vly_train *t) {
    return !t->o.eval && (t->o.config->run.listen[0] || t->o.config->env.isolate);
}

static vly_status check_remote(const vly_train *t) {
    const vly_config *config = t->o.config;
    const bool listens = config->run.listen[0] != '\0';
    const char *option = listens ? "--listen" : "--env.isolate";
    if (listens && config->env.isolate)
        return vly_fail(VLY_EINVAL,
                        "--listen and --env.isolate: either the environments are stepped "
                        "elsewhere, or here in processes of their own");
    if (t->o.sync || t->o.lead)
        return vly_fail(
            VLY_EINVAL,
            "%s: of one learner alone; %s with several processes or GPUs has workers of "
            "its own",
            option, config->run.algo);
    if (listens && !config->run.token_file[0])
        return vly_fail(VLY_EINVAL,
                        "--listen needs --token-file: make one with: head -c 24 /dev/urandom | "
                        "base64 > token");
    return VLY_OK;
}

static void warn_of_remote(void *arg, const char *text) {
    const vly_train *t = arg;
    if (t->o.on_warning) t->o.on_warning(t->o.arg, text);
}

static void say_where(vly_train *t) {
    char text[2048];
    snprintf(text, sizeof text, "actors connect with: volley actor %s --token-file %s",
             vly_shell_word(vly_remote_shown(t->source)),
             vly_shell_word(t->o.config->run.token_file));
    warn_of_remote(t, text);
}

static vly_status start_processes(vly_train *t) {
    const vly_config *config = t->o.config;
    const int actors = t->N / t->o.env->players;
    const vly_isolate_options o = {.processes = actors < PROCESSES_MOST ? actors : PROCESSES_MOST,
                                   .plugin = t->o.env->plugin ? config->run.env : NULL,
                                   .roms = config->run.roms[0] ? config->run.roms : NULL,
                                   .arg = t,
                                   .on_warning = warn_of_remote};
    return vly_isolate_start(&t->isolate, t->loop, t->source, &o);
}

vly_status vly_train_create_remote(vly_train *t, uint64_t seed) {
    const vly_config *config = t->o.config;
    const bool listens = config->run.listen[0] != '\0';
    uint8_t token[VLY_WIRE_TOKEN] = {0};
    VLY_TRY(check_remote(t));
    if (listens) VLY_TRY(vly_wire_read_token(config->run.token_file, token));
    const vly_remote_options o = {.actors = t->N / t->o.env->players,
                                  .groups = t->G,
                                  .ordered = !t->async,
                                  .seed = seed,
                                  .deadline_ms = (int)(config->remote.deadline_s * 1000.0f),
                                  .connections = config->remote.connections,
                                  .listen = listens ? config->run.listen : NULL,
                                  .token = token,
                                  .env_name = config->run.env,
                                  .env_extra = config->env.args,
                                  .env_options = config->families,
                                  .max_steps = config->env.max_steps,
                                  .stop = &t->stop_asked,
                                  .arg = t,
                                  .on_warning = warn_of_remote,
                                  .on_lost = vly_isolate_lost,
                                  .lost_arg = &t->isolate};
    VLY_TRY(vly_remote_create(&t->source, t->loop, t->o.env, &o));
    t->remote = true;
    if (!listens) return start_processes(t);
    say_where(t);
    return VLY_OK;
}

bool vly_train_actors(vly_train *t, vly_remote_stats *out) {
    if (t->remote) vly_remote_get_stats(t->source, out);
    return t->remote;
}
