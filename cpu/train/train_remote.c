/* A run whose environments are stepped by other processes (cpu/actors/remote.h). */
#include <stdio.h>
#include "cpu/train/train_impl.h"

bool vly_train_is_remote(const vly_train *t) {
    return !t->o.eval && t->o.config->run.listen[0] != '\0';
}

static vly_status check_remote(const vly_train *t) {
    const vly_config *config = t->o.config;
    if (t->o.sync || t->o.lead)
        return vly_fail(
            VLY_EINVAL,
            "--listen: the actors of one learner; %s with several processes or GPUs has "
            "workers of its own",
            config->run.algo);
    if (!config->run.token_file[0])
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
             vly_remote_shown(t->source), t->o.config->run.token_file);
    warn_of_remote(t, text);
}

vly_status vly_train_create_remote(vly_train *t, uint64_t seed) {
    const vly_config *config = t->o.config;
    uint8_t token[VLY_WIRE_TOKEN];
    VLY_TRY(check_remote(t));
    VLY_TRY(vly_wire_read_token(config->run.token_file, token));
    const vly_remote_options o = {.actors = t->N,
                                  .groups = t->G,
                                  .ordered = !t->async,
                                  .seed = seed,
                                  .deadline_ms = (int)(config->remote.deadline_s * 1000.0f),
                                  .connections = config->remote.connections,
                                  .listen = config->run.listen,
                                  .token = token,
                                  .env_name = config->run.env,
                                  .env_extra = config->env.args,
                                  .env_options = config->families,
                                  .max_steps = config->env.max_steps,
                                  .stop = &t->stop_asked,
                                  .arg = t,
                                  .on_warning = warn_of_remote};
    VLY_TRY(vly_remote_create(&t->source, t->loop, t->o.env, &o));
    t->remote = true;
    say_where(t);
    return VLY_OK;
}

bool vly_train_actors(vly_train *t, vly_remote_stats *out) {
    if (t->remote) vly_remote_get_stats(t->source, out);
    return t->remote;
}
