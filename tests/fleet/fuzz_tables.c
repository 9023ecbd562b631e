/* Tables and transitions of workers that somebody else wrote into the store: what is malformed is
 * dropped or refused in words, and the fleet's table stays finite, for every scheme.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_tables &&
 *   build-fuzz/fuzz_tables tests/fuzz/tables
 * The first byte chooses the scheme and the side; then messages follow, field by field, patched. */
#include "tests/fuzz/input.h"
#ifndef VLY_HAVE_REDIS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    (void)data, (void)bytes;
    return 0;
}
#else
#include <math.h>
#include "cpu/fleet/tables.h"
#include "tests/fleet/hostile_store.h"

enum { STATES = 3, ACTIONS = 2, CELLS = STATES * ACTIONS, WORLD = 3, MESSAGES = 8 };
/* The format as cpu/fleet/tables_wire.c has it. */
enum { MAGIC = 0x31544c56, MAGIC_BLOCK = 0x31584c56, RETURNS = 16, ROOM = 4096 };

typedef struct {
    uint32_t magic;
    int32_t rank, states, actions, finished, returns;
    int64_t round, steps, updates, episodes;
    uint64_t sent, received, shared;
    float score[RETURNS];
} table_head;

static size_t put_bytes(uint8_t *to, size_t at, const void *from, size_t n) {
    memcpy(to + at, from, n);
    return at + n;
}

static size_t make_table(fuzz_input *in, uint8_t *to) {
    table_head head = {.magic = MAGIC,
                       .rank = (int32_t)(fuzz_byte(in) % (WORLD + 2)) - 1,
                       .states = STATES,
                       .actions = ACTIONS,
                       .finished = (int32_t)(fuzz_byte(in) & 1),
                       .returns = (int32_t)(fuzz_byte(in) % (RETURNS + 1)),
                       .round = fuzz_number(in),
                       .steps = fuzz_number(in),
                       .updates = fuzz_number(in),
                       .episodes = fuzz_number(in)};
    size_t at = put_bytes(to, 0, &head, sizeof head);
    for (int i = 0; i < CELLS; i++) {
        const float x = fuzz_float(in);
        at = put_bytes(to, at, &x, sizeof x);
    }
    for (int i = 0; i < CELLS; i++) {
        const uint32_t x = (uint32_t)fuzz_number(in);
        at = put_bytes(to, at, &x, sizeof x);
    }
    for (int i = 0; i < CELLS; i++) to[at++] = (uint8_t)(fuzz_byte(in) & 1);
    return at;
}

static size_t make_block(fuzz_input *in, uint8_t *to) {
    const int32_t count = (int32_t)(fuzz_byte(in) % 8);
    const struct {
        uint32_t magic;
        int32_t rank, count, spare;
    } head = {MAGIC_BLOCK, (int32_t)fuzz_number(in), count, 0};
    size_t at = put_bytes(to, 0, &head, sizeof head);
    for (int i = 0; i < count; i++) {
        const vly_transition x = {(int32_t)fuzz_number(in), (int32_t)fuzz_number(in),
                                  (int32_t)fuzz_number(in), -1,
                                  fuzz_float(in),           0};
        at = put_bytes(to, at, &x, sizeof x);
    }
    return at;
}

/* A copy of exactly that size, so that its end is watched. */
static uint8_t *message_of(fuzz_input *in, bool block, size_t *bytes) {
    uint8_t room[ROOM];
    *bytes = block ? make_block(in, room) : make_table(in, room);
    fuzz_patch(in, room, *bytes);
    if ((fuzz_byte(in) & 15) == 1) *bytes = fuzz_byte(in) % *bytes;
    uint8_t *exact = malloc(*bytes ? *bytes : 1);
    fuzz_check(exact);
    memcpy(exact, room, *bytes);
    return exact;
}

static void hub_merges(fuzz_input *in, vly_tab_scheme scheme) {
    vly_tab_hub *h;
    vly_real table[CELLS];
    uint32_t visits[CELLS];
    vly_tab_report r;
    hostile_store = (hostile){0};
    const vly_tab_options o = {.scheme = scheme, .world = WORLD};
    fuzz_check(vly_tab_hub_create(&h, (vly_store *)&hostile_store, &o, STATES, ACTIONS) == VLY_OK);
    for (int i = 0; i < MESSAGES && in->left; i++) {
        size_t bytes;
        uint8_t *message = message_of(in, false, &bytes);
        if (fuzz_byte(in) & 1)
            hostile_store.popped = message, hostile_store.popped_bytes = bytes;
        else
            hostile_store.value = message, hostile_store.value_bytes = bytes;
        vly_error_clear();
        vly_status status = vly_tab_hub_serve(h, 0);
        if (status == VLY_OK) status = vly_tab_hub_table(h, table, visits);
        if (status != VLY_OK) fuzz_check(vly_error_text()[0] != '\0');
        for (int k = 0; status == VLY_OK && k < CELLS; k++) fuzz_check(isfinite(table[k]));
        vly_tab_hub_report(h, &r);
        fuzz_check(r.steps >= 0 && r.updates >= 0 && r.episodes >= 0);
        hostile_store = (hostile){0};
        free(message);
    }
    vly_tab_hub_destroy(h);
}

static void worker_mixes(fuzz_input *in, vly_tab_scheme scheme) {
    const vly_tab_options o = {
        .scheme = scheme, .rank = 0, .world = WORLD, .block = 2, .every = 1, .seed = 1};
    vly_tab *t;
    vly_real table[CELLS] = {0};
    uint32_t visits[CELLS] = {0};
    fuzz_check(vly_tab_create(&t, (vly_store *)&hostile_store, &o) == VLY_OK);
    vly_sync *sync = vly_tab_sync(t);
    for (int i = 0; i < MESSAGES && in->left; i++) {
        size_t bytes, more;
        uint8_t *block = message_of(in, true, &bytes), *other = message_of(in, false, &more);
        const vly_transition mine[2] = {{(int32_t)(fuzz_byte(in) % STATES), 1, 1, -1, 1, 0},
                                        {0, 0, 2, -1, 1, 0}};
        const vly_transition *theirs = mine;
        int count = 2;
        hostile_store = (hostile){.value = other,
                                  .value_bytes = more,
                                  .popped = block,
                                  .popped_bytes = bytes,
                                  .owner = fuzz_number(in)};
        vly_error_clear();
        vly_status status = VLY_OK;
        if (sync->tables->exchange) status = sync->tables->exchange(sync, mine, 2, &theirs, &count);
        if (status == VLY_OK) status = sync->tables->merge(sync, STATES, ACTIONS, table, visits);
        if (status != VLY_OK) fuzz_check(vly_error_text()[0] != '\0');
        for (int k = 0; k < CELLS; k++) fuzz_check(isfinite(table[k]));
        hostile_store = (hostile){0};
        free(block), free(other);
    }
    vly_tab_destroy(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    fuzz_input in = {data, bytes};
    const unsigned choice = fuzz_byte(&in);
    const vly_tab_scheme scheme = (vly_tab_scheme)(choice % VLY_TAB_SCHEMES);
    if (choice & 128)
        worker_mixes(&in, scheme);
    else
        hub_merges(&in, scheme);
    return 0;
}
#endif
