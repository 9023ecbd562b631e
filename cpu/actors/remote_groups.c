#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "cpu/actors/remote_impl.h"
#ifdef VLY_HAVE_LZ4
#include <lz4.h>
#endif

/* ---- who steps what ---- */

/* The next environment that nobody has. Ordered groups take turns, so every actor has some of each;
 * others are filled one after the other, so few actors can keep one waiting. -1: none. */
static int next_free(vly_remote *r, int *turn) {
    for (int i = 0; i < r->source.groups; i++) {
        const int g = (*turn + i) % r->source.groups, first = g * r->group_actors;
        for (int a = first; a < first + r->group_actors; a++)
            if (!r->owned[a]) {
                *turn = r->o.ordered ? g + 1 : g;
                return a;
            }
    }
    return -1;
}

static int compare_ints(const void *a, const void *b) {
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Neighbours of one group that go on with the same seeds are one slice. */
static int cut_slices(const vly_remote *r, const int *actor, int n, remote_slice *out) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        const int group = actor[i] / r->group_actors;
        remote_slice *last = count ? &out[count - 1] : NULL;
        if (last && last->group == group && last->first + last->n == actor[i] &&
            r->draws[last->first] == r->draws[actor[i]])
            last->n++;
        else if (count < VLY_WIRE_SLICES_MOST)
            out[count++] = (remote_slice){.group = group, .first = actor[i], .n = 1, .fresh = true};
        else
            break;
    }
    return count;
}

static vly_status take_free(vly_remote *r, remote_peer *p, int wanted, int *actor) {
    int turn = 0, n = 0;
    const int most = wanted > 0 && wanted < r->source.actors ? wanted : r->source.actors;
    for (int a; n < most && (a = next_free(r, &turn)) >= 0; n++) {
        actor[n] = a;
        r->owned[a] = true;
    }
    for (int i = 0; i < n; i++) r->owned[actor[i]] = false;
    if (n == 0) return vly_fail(VLY_EPEER, "every environment of the run has an actor");
    qsort(actor, (size_t)n, sizeof *actor, compare_ints);
    p->slices = calloc((size_t)n, sizeof *p->slices);
    if (!p->slices) return vly_fail(VLY_ENOMEM, "no memory for an actor's environments");
    p->slice_count = cut_slices(r, actor, n, p->slices);
    for (int i = 0; i < p->slice_count; i++) {
        memset(r->owned + p->slices[i].first, true, (size_t)p->slices[i].n);
        p->envs += p->slices[i].n;
    }
    return VLY_OK;
}

vly_status vly_remote_assign(vly_remote *r, remote_peer *p, int wanted) {
    int *actor = malloc((size_t)r->source.actors * sizeof *actor);
    if (!actor) return vly_fail(VLY_ENOMEM, "no memory for an actor's environments");
    const vly_status status = take_free(r, p, wanted, actor);
    free(actor);
    return status;
}

static void count_serving(vly_remote *r) {
    r->serving = 0;
    for (const remote_peer *p = r->peers; p; p = p->next)
        for (int i = 0; p->state == PEER_SERVING && i < p->slice_count; i++)
            if (p->slices[i].state != SLICE_LATE) r->serving += p->slices[i].n;
    if (r->serving == 0) r->open = false, r->ticks_since_first = 0;
    if (r->serving == r->source.actors) r->open = true;
}

/* ---- rows ---- */

static vly_rows rows_of_slice(const vly_remote *r, const remote_slice *s) {
    return vly_rows_of(r->groups[s->group].out, (size_t)(s->first - s->group * r->group_actors),
                       (int)r->shape.players);
}

uint8_t *vly_remote_obs_of(const vly_remote *r, const remote_slice *s) {
    const vly_rows rows = rows_of_slice(r, s);
    return rows.obs_stride == r->shape.obs_bytes ? rows.obs : NULL;
}

/* Environments first .. first + n - 1 of a group, counted from its own first. */
static void mask_remote_rows(vly_remote *r, int g, int first, int n) {
    const size_t rows = (size_t)n * r->shape.players;
    const vly_rows out = vly_rows_of(r->groups[g].out, (size_t)first, (int)r->shape.players);
    for (size_t i = 0; i < rows; i++) {
        memset(out.obs + i * out.obs_stride, 0, r->shape.obs_bytes);
        if (out.mask) memset(out.mask + i * out.mask_stride, 1, r->shape.mask_bytes);
        out.reward[i] = out.score[i] = 0;
        out.flags[i] = VLY_ROW_RESET | (r->groups[g].action.data ? VLY_ROW_FAILED : 0);
    }
    for (size_t i = 0; out.shared && i < (size_t)n; i++)
        memset(out.shared + i * out.shared_stride, 0, r->shape.shared_bytes);
}

static void end_slice(vly_remote *r, int g) {
    remote_group *group = &r->groups[g];
    if (--group->waiting > 0) return;
    group->complete = true;
    if (r->o.ordered) return; /* they are taken as they were submitted */
    r->done[(r->done_head + r->done_count++) % r->source.groups] = g;
}

/* ---- asking ---- */

static bool serves_group(const remote_peer *p, int g) {
    for (int i = 0; p->state == PEER_SERVING && i < p->slice_count; i++)
        if (p->slices[i].group == g && p->slices[i].state == SLICE_IDLE) return true;
    return false;
}

static bool anyone_serves(const vly_remote *r, int g) {
    for (const remote_peer *p = r->peers; p; p = p->next)
        if (serves_group(p, g)) return true;
    return false;
}

static bool is_stopping(const vly_remote *r) {
    return r->o.stop && atomic_load(r->o.stop) != 0;
}

/* Without order a step of a group that nobody serves stays out; first episodes never do. */
static bool has_to_wait(const vly_remote *r, int g) {
    if (is_stopping(r)) return false;
    if (!r->open) return true;
    return !r->o.ordered && r->groups[g].action.data && !anyone_serves(r, g);
}

static void ask_slice(vly_remote *r, remote_peer *p, int index) {
    remote_slice *s = &p->slices[index];
    const remote_group *group = &r->groups[s->group];
    const bool reset = s->fresh || !group->action.data;
    const size_t bytes = reset ? 0 : vly_wire_step_bytes(&r->shape, s->n);
    const vly_wire_head head = vly_wire_make(reset ? VLY_WIRE_RESET : VLY_WIRE_STEP,
                                             (uint32_t)index, ++r->sequence, bytes);
    s->state = SLICE_ASKED, s->fresh = reset;
    s->sequence = r->sequence;
    s->ticks = 0, s->asked_ns = vly_now_ns();
    memset(r->asked + s->first, true, (size_t)s->n);
    const int at = (s->first - s->group * r->group_actors) * (int)r->shape.players;
    vly_remote_peer_ask(p, &head,
                        reset ? (vly_actions){0} : vly_actions_at(group->action, (size_t)at));
}

static void ask_serving(vly_remote *r, int g) {
    for (remote_peer *p = r->peers, *next; p; p = next) {
        next = p->next;
        for (int i = 0; p->state == PEER_SERVING && i < p->slice_count; i++) {
            if (p->slices[i].group != g || p->slices[i].state != SLICE_IDLE) continue;
            r->groups[g].waiting++;
            ask_slice(r, p, i);
        }
    }
}

static void mask_unasked(vly_remote *r, int g) {
    const bool *asked = r->asked + g * r->group_actors;
    for (int i = 0; i < r->group_actors; i++)
        if (!asked[i]) mask_remote_rows(r, g, i, 1);
}

/* Asking counts as one that is waited for: a peer that ends meanwhile does not complete the group. */
void vly_remote_ask(vly_remote *r, int g) {
    remote_group *group = &r->groups[g];
    if (group->busy && group->held && !has_to_wait(r, g)) {
        group->held = false, group->waiting = 1;
        memset(r->asked + g * r->group_actors, false, (size_t)r->group_actors);
        ask_serving(r, g);
        mask_unasked(r, g);
        end_slice(r, g);
    }
}

void vly_remote_ask_held(vly_remote *r) {
    count_serving(r);
    for (int i = 0, n = r->order_count; i < n; i++)
        vly_remote_ask(r, r->order[(r->order_head + i) % r->source.groups]);
}

/* ---- answers ---- */

static vly_status unpack_rows(const vly_remote *r, const remote_slice *s, const uint8_t *packed,
                              size_t bytes, vly_rows rows) {
#ifdef VLY_HAVE_LZ4
    const size_t whole = vly_wire_obs_bytes(&r->shape, s->n);
    if (LZ4_decompress_safe((const char *)packed, (char *)rows.obs, (int)bytes, (int)whole) ==
        (int)whole)
        return VLY_OK;
    return vly_fail(VLY_ECORRUPT, "packed observations do not give %zu bytes", whole);
#else
    (void)r, (void)s, (void)packed, (void)bytes, (void)rows;
    return vly_fail(VLY_EUNSUPPORTED, "packed observations: this build has no LZ4");
#endif
}

static void spread_rows(const vly_remote *r, const remote_slice *s, const uint8_t *from,
                        vly_rows rows) {
    const size_t n = (size_t)s->n * r->shape.players;
    for (size_t i = 0; i < n; i++)
        memcpy(rows.obs + i * rows.obs_stride, from + i * r->shape.obs_bytes, r->shape.obs_bytes);
}

static vly_status take_observations(const vly_remote *r, const remote_slice *s,
                                    const vly_wire_head *head, const uint8_t *body, vly_rows rows) {
    const size_t fixed = vly_wire_fixed_bytes(&r->shape, s->n);
    if (head->flags & VLY_WIRE_PACKED)
        return unpack_rows(r, s, body + fixed, head->bytes - fixed, rows);
    if (rows.obs_stride != r->shape.obs_bytes) spread_rows(r, s, body + fixed, rows);
    return VLY_OK; /* they came straight into the rows */
}

/* A row of a fresh episode in the middle of a run is one that failed: the step before is masked. */
static void take_flags(vly_remote *r, const remote_slice *s, uint8_t *flags) {
    const size_t n = (size_t)s->n * r->shape.players;
    const bool stepped = r->groups[s->group].action.data != NULL;
    for (size_t i = 0; i < n; i++) {
        if (s->fresh)
            flags[i] = (uint8_t)((flags[i] & VLY_ROW_IDLE) | VLY_ROW_RESET |
                                 (stepped ? VLY_ROW_FAILED : 0));
        else if (flags[i] & VLY_ROW_FAILED)
            r->restarts += i % r->shape.players == 0;
    }
}

static void book_round_trip(vly_remote *r, remote_peer *p, const remote_slice *s) {
    const double ms = (double)(vly_now_ns() - s->asked_ns) * 1e-6;
    r->round_trip[r->round_trips++ % ROUND_TRIPS] = (float)ms;
    p->round_trip_ms += (ms - p->round_trip_ms) * (p->rows ? 0.1 : 1.0);
    p->rows += s->n;
    r->rows += s->n;
}

static vly_status take_masks(const vly_remote *r, const remote_slice *s,
                             const vly_wire_parts *parts, vly_rows rows) {
    const size_t n = (size_t)s->n * r->shape.players, bytes = r->shape.mask_bytes;
    for (size_t i = 0; bytes && i < n; i++) {
        if (vly_mask_blocks(&r->space, parts->mask + i * bytes))
            return vly_fail(VLY_ECORRUPT, "a mask that allows no action");
        if (rows.mask) memcpy(rows.mask + i * rows.mask_stride, parts->mask + i * bytes, bytes);
    }
    for (size_t i = 0; rows.shared && i < (size_t)s->n; i++)
        memcpy(rows.shared + i * rows.shared_stride, parts->shared + i * r->shape.shared_bytes,
               r->shape.shared_bytes);
    return VLY_OK;
}

vly_status vly_remote_answer(vly_remote *r, remote_peer *p, remote_slice *s,
                             const vly_wire_head *head, uint8_t *body) {
    const vly_rows rows = rows_of_slice(r, s);
    const size_t n = (size_t)s->n * r->shape.players;
    const vly_wire_parts parts = vly_wire_parts_of(&r->shape, s->n, body);
    VLY_TRY(take_observations(r, s, head, body, rows));
    VLY_TRY(vly_wire_check_values(&r->shape, s->n, &parts, rows.obs, rows.obs_stride));
    VLY_TRY(take_masks(r, s, &parts, rows));
    memcpy(rows.flags, parts.flags, n);
    take_flags(r, s, rows.flags);
    if (s->fresh) {
        memset(parts.reward, 0, n * sizeof(float));
        memset(parts.score, 0, n * sizeof(float));
    }
    memcpy(rows.reward, parts.reward, n * sizeof(float));
    memcpy(rows.score, parts.score, n * sizeof(float));
    if (r->shape.phase_bytes)
        memcpy(r->phase + s->first, parts.phase, (size_t)s->n * sizeof *r->phase);
    s->state = SLICE_IDLE, s->fresh = false, s->ticks = 0;
    book_round_trip(r, p, s);
    end_slice(r, s->group);
    return VLY_OK;
}

/* ---- actors that do not answer ---- */

/* "actor 3 after action 1, actors 8 to 11": those that are being stepped first. */
void vly_remote_describe(const vly_remote *r, const remote_peer *p, char *text, size_t bytes) {
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < p->slice_count && at + 96 < bytes; i++) {
        const remote_slice *s = &p->slices[i];
        char action[48] = "";
        if (s->state == SLICE_ASKED && !s->fresh && s->n == 1) {
            const size_t row = (size_t)(s->first - s->group * r->group_actors) * r->shape.players;
            vly_action_text(&r->space, vly_actions_at(r->groups[s->group].action, row), action,
                            sizeof action);
        }
        at += (size_t)snprintf(text + at, bytes - at, s->n > 1 ? "%sactors %d to %d" : "%sactor %d",
                               i ? ", " : "", s->first, s->first + s->n - 1);
        if (action[0])
            at += (size_t)snprintf(text + at, bytes - at, " after action %s", action);
        else if (s->state == SLICE_ASKED && s->fresh)
            at += (size_t)snprintf(text + at, bytes - at, " in reset");
    }
}

static void mask_slice(vly_remote *r, const remote_slice *s) {
    mask_remote_rows(r, s->group, s->first - s->group * r->group_actors, s->n);
    end_slice(r, s->group);
}

void vly_remote_give_up(vly_remote *r, remote_peer *p, remote_slice *s) {
    const uint32_t index = (uint32_t)(s - p->slices);
    if (p->in.in_body && p->in.head.type == VLY_WIRE_ROWS && p->in.head.slice == index)
        vly_wire_forget(&p->in); /* the rows are the learner's now */
    s->state = SLICE_LATE, s->fresh = true;
    r->late += s->n;
    mask_slice(r, s);
    count_serving(r);
}

void vly_remote_release(vly_remote *r, remote_peer *p) {
    vly_wire_forget(&p->in);
    for (int i = 0; i < p->slice_count; i++) {
        remote_slice *s = &p->slices[i];
        memset(r->owned + s->first, false, (size_t)s->n);
        for (int a = s->first; s->sequence && a < s->first + s->n; a++)
            r->draws[a] += VLY_FAR_DRAWS_OF_A_LIFE;
        if (s->state == SLICE_ASKED) mask_slice(r, s);
        s->state = SLICE_IDLE;
    }
    free(p->slices);
    p->slices = NULL;
    p->slice_count = p->envs = 0;
    count_serving(r);
}
