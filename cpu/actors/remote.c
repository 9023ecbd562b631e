#include "cpu/actors/remote.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "cpu/actors/remote_impl.h"
#include "cpu/actors/pool.h"

const char *vly_actor_state_name(vly_actor_state state) {
    static const char *const names[] = {"opening", "serving", "slow", "gone"};
    return names[state];
}

static vly_remote *remote_of(const vly_source *s) {
    return (vly_remote *)s;
}

void vly_remote_warn(const vly_remote *r, const char *format, ...) {
    char text[1024];
    va_list list;
    if (!r->o.on_warning) return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    r->o.on_warning(r->o.arg, text);
}

/* ---- the source's functions ---- */

static vly_status submit_remote(vly_source *s, int g, vly_actions action, vly_rows rows) {
    vly_remote *r = remote_of(s);
    if (g < 0 || g >= s->groups || r->groups[g].busy)
        return vly_fail(VLY_EINVAL, "group %d: the source has %d, and this one is %s", g, s->groups,
                        g < 0 || g >= s->groups ? "none of them" : "out");
    r->groups[g] = (remote_group){.out = rows, .action = action, .busy = true, .held = true};
    r->order[(r->order_head + r->order_count++) % s->groups] = g;
    vly_remote_ask(r, g);
    return VLY_OK;
}

static bool remote_can_take(const vly_remote *r, int want) {
    if (!r->o.ordered) return r->done_count >= want;
    if (r->order_count < want) return false;
    for (int i = 0; i < want; i++)
        if (!r->groups[r->order[(r->order_head + i) % r->source.groups]].complete) return false;
    return true;
}

static int pop_group(int *ring, int size, int *head, int *count) {
    const int g = ring[*head];
    *head = (*head + 1) % size;
    --*count;
    return g;
}

/* Groups are taken in any order: the ring of those that are out keeps only its own. */
static void forget_order(vly_remote *r, int g) {
    const int size = r->source.groups;
    int kept = 0;
    for (int i = 0; i < r->order_count; i++) {
        const int one = r->order[(r->order_head + i) % size];
        if (one != g) r->order[(r->order_head + kept++) % size] = one;
    }
    r->order_count = kept;
}

/* Episodes are counted here, so that their order does not depend on who answered first. */
static int take_one(vly_remote *r) {
    const int size = r->source.groups;
    int g;
    if (r->o.ordered) {
        g = pop_group(r->order, size, &r->order_head, &r->order_count);
    } else {
        g = pop_group(r->done, size, &r->done_head, &r->done_count);
        forget_order(r, g);
    }
    remote_group *group = &r->groups[g];
    const int rows = r->group_actors * (int)r->shape.players;
    if (group->action.data)
        vly_tally_add(&r->tally, g * rows, rows, &group->out);
    else
        vly_tally_forget(&r->tally, g * rows, rows);
    group->busy = false;
    return g;
}

static int take_remote(vly_source *s, int want, int *groups) {
    vly_remote *r = remote_of(s);
    if (r->failure[0]) return vly_fail(VLY_EPEER, "%s", r->failure);
    if (!remote_can_take(r, want)) return 0;
    for (int i = 0; i < want; i++) groups[i] = take_one(r);
    return want;
}

static bool arm_remote(vly_source *s, int want) {
    return !remote_can_take(remote_of(s), want) && !remote_of(s)->failure[0];
}

/* What an actor finds wrong with an environment it says, and its connection ends. */
static vly_status check_remote_rows(const vly_source *s) {
    (void)s;
    return VLY_OK;
}

static const uint8_t *age_of_remote(const vly_source *s, int g) {
    const vly_remote *r = remote_of(s);
    return r->tally.age + (size_t)g * (size_t)r->group_actors * r->shape.players;
}

static int episodes_of_remote(vly_source *s, vly_episode *out, int max) {
    return vly_tally_episodes(&remote_of(s)->tally, out, max);
}

static void stats_of_remote(vly_source *s, vly_pool_stats *out) {
    const vly_remote *r = remote_of(s);
    const bool stopping = r->o.stop && atomic_load(r->o.stop);
    int running = 0, complete = 0, held = 0;
    for (int g = 0; g < s->groups; g++) {
        running += r->groups[g].busy && !r->groups[g].complete;
        complete += r->groups[g].busy && r->groups[g].complete;
        held += r->groups[g].busy && r->groups[g].held;
    }
    *out = (vly_pool_stats){.rows = r->rows,
                            .episodes = r->tally.written,
                            .episodes_dropped = r->tally.dropped,
                            .restarts = r->restarts,
                            .hung_total = r->late,
                            .hung = r->o.ordered || stopping ? 0 : held,
                            .running = running,
                            .finished = complete,
                            .workers = r->peer_count,
                            .age_s = (double)(vly_now_ns() - r->created_ns) * 1e-9};
}

static const void *state_of_remote(vly_source *s, int actor) {
    (void)s;
    (void)actor;
    return NULL;
}

static double phase_of_remote(vly_source *s, int actor) {
    return remote_of(s)->phase[actor];
}

/* ---- checkpoints: the episodes are elsewhere; what is kept is which seeds were used ---- */

static size_t snapshot_bytes_of_remote(const vly_source *s) {
    return vly_far_bytes(s->actors);
}

static vly_status save_remote(vly_source *s, void *to, size_t bytes) {
    const vly_remote *r = remote_of(s);
    const vly_far_head head = vly_far_make(s->actors, r->tally.written);
    if (bytes != snapshot_bytes_of_remote(s))
        return vly_fail(VLY_EINVAL, "a snapshot takes %zu bytes, not %zu",
                        snapshot_bytes_of_remote(s), bytes);
    memcpy(to, &head, sizeof head);
    memcpy((uint8_t *)to + sizeof head, r->draws, (size_t)s->actors * sizeof *r->draws);
    return VLY_OK;
}

static vly_status load_remote(vly_source *s, const void *from, size_t bytes) {
    vly_remote *r = remote_of(s);
    vly_far_head head;
    VLY_TRY(vly_far_read(&head, s->actors, from, bytes));
    memcpy(r->draws, (const uint8_t *)from + sizeof head, (size_t)s->actors * sizeof *r->draws);
    for (int i = 0; i < s->actors; i++) r->draws[i] += VLY_FAR_DRAWS_OF_A_LIFE;
    r->tally.written = r->tally.read = head.episodes;
    return VLY_OK;
}

static vly_status convert_to_remote(const vly_source *s, const vly_env *env, const void *from,
                                    size_t bytes, void *to) {
    int64_t episodes;
    VLY_TRY(vly_pool_snapshot_draws(env, s->actors, from, bytes,
                                    (uint8_t *)to + sizeof(vly_far_head), &episodes));
    const vly_far_head head = vly_far_make(s->actors, episodes);
    memcpy(to, &head, sizeof head);
    return VLY_OK;
}

/* ---- time ---- */

static void end_of_wait(vly_remote *r) {
    if (r->open || r->serving == 0) return;
    if (r->serving == r->source.actors || ++r->ticks_since_first > TICKS_DEADLINE) {
        r->open = true;
        vly_remote_ask_held(r);
    }
}

static void on_remote_tick(uv_timer_t *timer) {
    vly_remote *r = timer->data;
    for (remote_peer *p = r->peers, *next; p; p = next) {
        next = p->next;
        vly_remote_peer_tick(p);
    }
    end_of_wait(r);
    if (r->o.stop && atomic_load(r->o.stop)) vly_remote_ask_held(r);
}

static void before_remote_sleep(uv_prepare_t *prepare) {
    vly_remote *r = prepare->data;
    for (remote_peer *p = r->peers, *next; p; p = next) {
        next = p->next;
        vly_remote_peer_flush(p);
    }
}

/* ---- creation ---- */

static vly_status check_remote_options(const vly_remote_options *o) {
    if (o->actors < 1 || o->groups < 1 || o->actors % o->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d equal groups", o->actors,
                        o->groups);
    if (o->deadline_ms < 0 || o->connections < 0)
        return vly_fail(VLY_EINVAL, "a deadline of %d ms, %d connections", o->deadline_ms,
                        o->connections);
    if (o->listen && !o->token)
        return vly_fail(VLY_EINVAL, "--listen needs --token-file: who knows the token may act");
    return VLY_OK;
}

static bool copy_remote_text(char *to, size_t room, const char *from) {
    const size_t n = from ? strlen(from) : 0;
    if (n >= room) return false;
    memcpy(to, from ? from : "", n + 1);
    return true;
}

static vly_status fill_welcome(vly_remote *r) {
    const vly_remote_options *o = &r->o;
    vly_wire_welcome *w = &r->welcome;
    if (!copy_remote_text(w->env, sizeof w->env, o->env_name) ||
        !copy_remote_text(w->extra, sizeof w->extra, o->env_extra) ||
        !copy_remote_text(w->options, sizeof w->options, o->env_options))
        return vly_fail(VLY_EINVAL, "the options of %s are too long for remote actors",
                        o->env_name);
    w->max_steps = o->max_steps;
    w->shape = r->shape;
    w->seed = o->seed;
    w->deadline_ms = (uint32_t)o->deadline_ms;
#ifdef VLY_HAVE_LZ4
    w->unpacks = 1;
#endif
    return VLY_OK;
}

static vly_status alloc_remote(vly_remote *r) {
    const size_t N = (size_t)r->o.actors, G = (size_t)r->o.groups;
    r->owned = calloc(N, sizeof *r->owned);
    r->asked = calloc(N, sizeof *r->asked);
    r->draws = calloc(N, sizeof *r->draws);
    r->phase = calloc(N, sizeof *r->phase);
    r->groups = calloc(G, sizeof *r->groups);
    r->done = calloc(G, sizeof *r->done);
    r->order = calloc(G, sizeof *r->order);
    if (!r->owned || !r->asked || !r->draws || !r->phase || !r->groups || !r->done || !r->order)
        return vly_fail(VLY_ENOMEM, "no memory for %d remote environments", r->o.actors);
    return vly_tally_create(&r->tally, r->o.actors * (int)r->shape.players);
}

static void free_remote(vly_remote *r) {
    vly_tally_destroy(&r->tally);
    free(r->owned);
    free(r->asked);
    free(r->draws);
    free(r->phase);
    free(r->groups);
    free(r->done);
    free(r->order);
    free(r);
}

void vly_remote_handle_closed(vly_remote *r) {
    if (--r->handles == 0 && r->destroyed) free_remote(r);
}

static void on_remote_closed(uv_handle_t *handle) {
    vly_remote_handle_closed(handle->data);
}

static vly_status destroy_remote(vly_source *s) {
    vly_remote *r = remote_of(s);
    r->o.on_warning = NULL, r->o.on_lost = NULL;
    while (r->peers) vly_remote_peer_end(r->peers, VLY_WIRE_BYE_DONE, "the run has ended");
    r->destroyed = true;
    if (r->handles == 0) {
        free_remote(r);
        return VLY_OK;
    }
    if (r->listening && r->address.kind == VLY_REMOTE_UNIX) unlink(r->address.path);
    if (r->has_listener) uv_close(&r->listener.handle, on_remote_closed);
    if (r->timer.data) uv_close((uv_handle_t *)&r->timer, on_remote_closed);
    if (r->before_sleep.data) uv_close((uv_handle_t *)&r->before_sleep, on_remote_closed);
    return VLY_OK;
}

static void on_actor_connects(uv_stream_t *stream, int status) {
    vly_remote *r = stream->data;
    remote_peer *p;
    if (status < 0) {
        vly_remote_warn(r, "an actor could not connect: %s", uv_strerror(status));
        return;
    }
    if (vly_remote_peer_create(r, &p) != VLY_OK) {
        vly_remote_warn(r, "an actor could not connect: %s", vly_error_text());
        return;
    }
    const int error = uv_accept(stream, &p->socket.stream);
    if (error)
        vly_remote_peer_end(p, VLY_WIRE_BYE_DONE, NULL);
    else
        vly_remote_peer_start(p);
}

static vly_status start_listening(vly_remote *r) {
    r->address.kind = VLY_REMOTE_UNIX; /* what is adopted */
    if (!r->o.listen) return VLY_OK;
    VLY_TRY(vly_remote_parse(&r->address, r->o.listen, true));
    const int error = vly_remote_socket_init(&r->address, r->loop, &r->listener);
    if (error) return vly_fail(VLY_EIO, "%s: %s", r->address.shown, uv_strerror(error));
    r->listener.handle.data = r;
    r->handles++;
    r->has_listener = true;
    VLY_TRY(vly_remote_listen(&r->address, &r->listener, 64, on_actor_connects));
    r->listening = true;
    return VLY_OK;
}

static vly_status start_clock(vly_remote *r) {
    const uint64_t tick = (uint64_t)(r->o.deadline_ms + TICKS_DEADLINE - 1) / TICKS_DEADLINE;
    int error = uv_timer_init(r->loop, &r->timer);
    if (!error) r->handles++, r->timer.data = r;
    if (!error) error = uv_prepare_init(r->loop, &r->before_sleep);
    if (!error) r->handles++, r->before_sleep.data = r;
    if (!error) error = uv_timer_start(&r->timer, on_remote_tick, tick, tick);
    if (!error) error = uv_prepare_start(&r->before_sleep, before_remote_sleep);
    return error ? vly_fail(VLY_EIO, "remote actors: %s", uv_strerror(error)) : VLY_OK;
}

static vly_status begin_remote(vly_remote *r) {
    VLY_TRY(fill_welcome(r));
    VLY_TRY(alloc_remote(r));
    VLY_TRY(start_clock(r));
    return start_listening(r);
}

vly_status vly_remote_create(vly_source **out, uv_loop_t *loop, const vly_env *env,
                             const vly_remote_options *options) {
    VLY_TRY(check_remote_options(options));
    vly_remote *r = calloc(1, sizeof *r);
    if (!r) return vly_fail(VLY_ENOMEM, "no memory for remote actors");
    r->loop = loop, r->o = *options;
    if (r->o.deadline_ms == 0) r->o.deadline_ms = 5000;
    if (r->o.connections == 0) r->o.connections = 256;
    if (options->token) memcpy(r->token, options->token, sizeof r->token);
    r->o.token = r->token;
    r->shape = vly_wire_shape_of(env);
    r->space = env->action;
    r->group_actors = options->actors / options->groups;
    r->created_ns = vly_now_ns();
    r->source = (vly_source){.actors = options->actors,
                             .groups = options->groups,
                             .submit = submit_remote,
                             .take = take_remote,
                             .arm = arm_remote,
                             .check = check_remote_rows,
                             .age = age_of_remote,
                             .episodes = episodes_of_remote,
                             .stats = stats_of_remote,
                             .snapshot_bytes = snapshot_bytes_of_remote,
                             .save = save_remote,
                             .load = load_remote,
                             .convert = convert_to_remote,
                             .state = state_of_remote,
                             .phase = r->shape.phase_bytes ? phase_of_remote : NULL,
                             .destroy = destroy_remote};
    const vly_status status = begin_remote(r);
    if (status != VLY_OK) {
        char words[1024];
        snprintf(words, sizeof words, "%s", vly_error_text());
        destroy_remote(&r->source);
        return vly_fail(status, "%s", words);
    }
    *out = &r->source;
    return VLY_OK;
}

vly_status vly_remote_adopt(vly_source *source, int fd, int tag) {
    vly_remote *r = remote_of(source);
    remote_peer *p;
    const vly_status status = vly_remote_peer_create(r, &p);
    if (status != VLY_OK) {
        close(fd);
        return status;
    }
    p->trusted = true, p->tag = tag;
    const int error = uv_pipe_open(&p->socket.pipe, fd);
    if (!error) return vly_remote_peer_start(p);
    close(fd);
    vly_remote_peer_end(p, VLY_WIRE_BYE_DONE, NULL);
    return vly_fail(VLY_EIO, "the socket of an actor: %s", uv_strerror(error));
}

void vly_remote_fail(vly_source *source, const char *format, ...) {
    vly_remote *r = remote_of(source);
    va_list list;
    va_start(list, format);
    if (!r->failure[0]) vsnprintf(r->failure, sizeof r->failure, format, list);
    va_end(list);
}

const char *vly_remote_shown(const vly_source *source) {
    const vly_remote *r = remote_of(source);
    return r->listening ? r->address.shown : "";
}

/* ---- numbers ---- */

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void round_trip_percentiles(const vly_remote *r, vly_remote_stats *out) {
    float sorted[ROUND_TRIPS];
    const int n = r->round_trips < ROUND_TRIPS ? (int)r->round_trips : ROUND_TRIPS;
    if (n == 0) return;
    memcpy(sorted, r->round_trip, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_floats);
    out->round_trip_p50_ms = (double)sorted[n / 2];
    out->round_trip_p99_ms = (double)sorted[(n * 99) / 100];
}

static vly_actor_state state_of_peer(const remote_peer *p) {
    if (p->state != PEER_SERVING) return VLY_ACTOR_OPENING;
    for (int i = 0; i < p->slice_count; i++)
        if (p->slices[i].state == SLICE_LATE ||
            (p->slices[i].state == SLICE_ASKED && p->slices[i].ticks > TICKS_DEADLINE / 4))
            return VLY_ACTOR_SLOW;
    return VLY_ACTOR_SERVING;
}

vly_actor_info vly_remote_peer_info(const remote_peer *p, vly_actor_state state) {
    vly_actor_info info = {.state = state,
                           .envs = p->envs,
                           .packed = p->packed,
                           .heard_s = (double)(vly_now_ns() - p->heard_ns) * 1e-9,
                           .round_trip_ms = p->round_trip_ms,
                           .rows = p->rows};
    memcpy(info.name, p->name, sizeof info.name);
    return info;
}

static void show_gone(const vly_remote *r, vly_remote_stats *out) {
    for (int64_t i = r->gone_count - 1; i >= 0 && i >= r->gone_count - VLY_REMOTE_SHOWN; i--) {
        if (out->shown == VLY_REMOTE_SHOWN) return;
        vly_actor_info *info = &out->actor[out->shown++];
        *info = r->gone[i % VLY_REMOTE_SHOWN];
        info->heard_s = vly_now_s() - info->heard_s; /* kept as the time when it was heard */
    }
}

void vly_remote_get_stats(const vly_source *source, vly_remote_stats *out) {
    const vly_remote *r = remote_of(source);
    memset(out, 0, sizeof *out);
    out->serving = r->serving;
    out->lost = r->lost, out->refused = r->refused, out->late = r->late;
    out->bytes_in = r->bytes_in, out->bytes_out = r->bytes_out;
    round_trip_percentiles(r, out);
    for (const remote_peer *p = r->peers; p; p = p->next) {
        if (p->state == PEER_STRANGER) continue;
        const vly_actor_state state = state_of_peer(p);
        out->connections++;
        out->slow += state == VLY_ACTOR_SLOW;
        if (out->shown < VLY_REMOTE_SHOWN)
            out->actor[out->shown++] = vly_remote_peer_info(p, state);
    }
    show_gone(r, out);
}
