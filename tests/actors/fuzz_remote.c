/* Random bytes as an actor's connection: the learner's side takes them or ends it, and a message that
 * the actor's side would allocate for is checked first.
 * cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_remote &&
 * build-fuzz/fuzz_remote tests/fuzz/remote
 *
 * The input is a list of messages. The first byte of each says how its head is made: from the bytes
 * that follow, or right for a type, so that what lies behind the head is reached too. How many there
 * were is written to the file that $VLY_FUZZ_MESSAGES names. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/actors/remote_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { ENVS = 6, GROUPS = 2, OBS = 12 };

static uv_loop_t loop;
static const uint8_t token[VLY_WIRE_TOKEN] = "a token of the tests";
static uint8_t obs[ENVS * OBS];
static float reward[ENVS], score[ENVS];
static uint8_t flags[ENVS];
static int32_t action[ENVS];
static uint64_t messages;

typedef struct {
    const uint8_t *at;
    size_t left;
} input;

static size_t take(input *in, void *to, size_t n) {
    const size_t got = n < in->left ? n : in->left;
    memset(to, 0, n);
    if (got) memcpy(to, in->at, got);
    in->at += got, in->left -= got;
    return got;
}

static uint8_t take_byte(input *in) {
    uint8_t byte;
    take(in, &byte, 1);
    return byte;
}

static void give(remote_peer *p, const void *from, size_t bytes) {
    const uint8_t *at = from;
    while (bytes > 0 && p->state != PEER_GONE) {
        size_t n;
        uint8_t *to = vly_wire_want(&p->in, &n);
        if (n > bytes) n = bytes;
        memcpy(to, at, n);
        at += n, bytes -= n;
        vly_remote_peer_got(p, n);
    }
}

/* As long as the type has to be, for a slice that exists. */
static size_t right_length(const remote_peer *p, int type, uint32_t slice) {
    switch (type) {
    case VLY_WIRE_HELLO: return sizeof(vly_wire_hello);
    case VLY_WIRE_READY: return sizeof(vly_wire_ready);
    case VLY_WIRE_ROWS:
        return slice < (uint32_t)p->slice_count
                   ? vly_wire_fixed_bytes(&p->r->shape, p->slices[slice].n) +
                         vly_wire_obs_bytes(&p->r->shape, p->slices[slice].n)
                   : 1;
    case VLY_WIRE_PONG: return 0;
    default: return 8;
    }
}

static void give_message(remote_peer *p, input *in) {
    const uint8_t how = take_byte(in);
    vly_wire_head head;
    uint8_t body[4096];
    messages++;
    if (how & 0x80) { /* any head */
        take(in, &head, sizeof head);
        give(p, &head, sizeof head);
        return;
    }
    const uint32_t slice = (how >> 4) & 1;
    const uint64_t sequence = slice < (uint32_t)p->slice_count ? p->slices[slice].sequence : 0;
    size_t n = right_length(p, how & 15, slice);
    if (how & 0x40) n = n / 2 + take_byte(in) % 32;
    if (n > sizeof body) n = sizeof body;
    head = vly_wire_make((vly_wire_type)(how & 15), slice, sequence, n);
    if (how & 0x20) head.flags = take_byte(in);
    take(in, body, n);
    if (head.type == VLY_WIRE_HELLO && !(how & 0x10)) memcpy(body, token, sizeof token);
    give(p, &head, sizeof head);
    give(p, body, n);
}

static void check_rows(void) {
    for (int i = 0; i < ENVS; i++)
        if (flags[i] > 0x7f || reward[i] - reward[i] != 0 || score[i] - score[i] != 0) abort();
}

/* Every group is out, or is taken and given out again: as the trainer would. */
static void turn(vly_source *s) {
    const int n = ENVS / GROUPS;
    int g;
    while (s->take(s, 1, &g) == 1) {
        check_rows();
        const vly_rows rows = {.obs = obs + g * n * OBS,
                               .obs_stride = OBS,
                               .reward = reward + g * n,
                               .score = score + g * n,
                               .flags = flags + g * n};
        if (s->submit(s, g, vly_actions_of_ints(action + g * n), rows) != VLY_OK) abort();
        if (!((vly_remote *)s)->open) break;
    }
}

static void learner_takes(input *in) {
    const vly_env env = {
        .obs = {.dtype = VLY_F32, .bytes = OBS}, .action = vly_space_discrete(4), .players = 1};
    const vly_remote_options o = {.actors = ENVS,
                                  .groups = GROUPS,
                                  .ordered = true,
                                  .deadline_ms = 1000,
                                  .token = token,
                                  .env_name = "fuzz"};
    vly_source *s;
    remote_peer *p;
    if (vly_remote_create(&s, &loop, &env, &o) != VLY_OK) abort();
    vly_remote *r = (vly_remote *)s;
    for (int g = 0; g < GROUPS; g++) {
        const int n = ENVS / GROUPS;
        const vly_rows rows = {.obs = obs + g * n * OBS,
                               .obs_stride = OBS,
                               .reward = reward + g * n,
                               .score = score + g * n,
                               .flags = flags + g * n};
        if (s->submit(s, g, (vly_actions){0}, rows) != VLY_OK) abort();
    }
    if (vly_remote_peer_create(r, &p) != VLY_OK) abort();
    while (in->left > 0 && r->peers) {
        give_message(p, in);
        if (!r->peers) break;
        p->out_bytes = 0; /* read by the other side */
        turn(s);
        if (r->peers && take_byte(in) > 250) vly_remote_peer_tick(p);
    }
    s->destroy(s);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void actor_checks(input *in) {
    static union {
        vly_wire_welcome welcome;
        uint8_t bytes[sizeof(vly_wire_welcome) + 8 * sizeof(vly_wire_slice)];
    } body;
    messages++;
    const size_t n = sizeof body.welcome + take_byte(in) % 9 * sizeof(vly_wire_slice);
    memset(&body, 0, sizeof body);
    take(in, &body.welcome.shape, sizeof body.welcome.shape);
    take(in, &body.welcome.slices, sizeof body.welcome.slices);
    take(in, body.bytes + sizeof body.welcome, n - sizeof body.welcome);
    take(in, body.welcome.env, sizeof body.welcome.env);
    if (vly_wire_check_welcome(&body, n) != VLY_OK) return;
    const vly_wire_slice *slices = (const void *)(&body.welcome + 1);
    for (uint32_t i = 0; i < body.welcome.slices; i++) {
        const vly_wire_shape *shape = &body.welcome.shape;
        const size_t rows = vly_wire_fixed_bytes(shape, slices[i].n) +
                            vly_wire_obs_bytes(shape, slices[i].n);
        if (rows < (size_t)slices[i].n || rows > VLY_WIRE_BODY_MOST) abort();
    }
}

static void tell_messages(void) {
    const char *path = getenv("VLY_FUZZ_MESSAGES");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f) return;
    fprintf(f, "%" PRIu64 "\n", messages);
    fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static bool ready;
    input in = {data, bytes};
    if (!ready && (uv_loop_init(&loop) || atexit(tell_messages))) abort();
    ready = true;
    if (take_byte(&in) & 1)
        actor_checks(&in);
    else
        learner_takes(&in);
    return 0;
}
