#include "envs/atari/still.h"
#include <string.h>

/* A row of the code begins with a byte of kind and number: so many rows as the one above, so many
 * as the same rows of the first picture, runs of up to four colours, or else the pixels: all, or
 * colour and length. */
enum {
    ABOVE = 0x00,
    FIRST = 0x40,
    RUNS = 0x80,
    PIXELS = 0xc0,
    PAIRS = 0xc1,
    KIND = 0xc0,
    NUMBER = 0x3f,
    COLOURS = 4,
    WIDTH = VLY_SCREEN_WIDTH
};

typedef struct {
    uint8_t *at, *end;
    int last; /* the last byte is of a kind that only counts */
} writer;

static int append_code(writer *w, const uint8_t *bytes, size_t n) {
    if ((size_t)(w->end - w->at) < n) return -1;
    memcpy(w->at, bytes, n);
    w->at += n;
    return 0;
}

/* A row in runs: kind and colours, the colours, then colour << 6 | length - 1. 0: too many of
 * either. */
static size_t runs_of(const uint8_t *row, uint8_t out[1 + COLOURS + WIDTH]) {
    uint8_t colours[COLOURS], runs[WIDTH];
    size_t n_colours = 0, n_runs = 0;
    for (int x = 0; x < WIDTH;) {
        int to = x + 1;
        while (to < WIDTH && to - x < 64 && row[to] == row[x]) to++;
        size_t c = 0;
        while (c < n_colours && colours[c] != row[x]) c++;
        if (c == COLOURS) return 0;
        if (c == n_colours) colours[n_colours++] = row[x];
        runs[n_runs++] = (uint8_t)(c << 6 | (size_t)(to - x - 1));
        x = to;
    }
    out[0] = (uint8_t)(RUNS | n_colours);
    memcpy(out + 1, colours, n_colours);
    memcpy(out + 1 + n_colours, runs, n_runs);
    return 1 + n_colours + n_runs;
}

/* Colour, length ...; 0: no shorter than the pixels. */
static size_t pairs_of(const uint8_t *row, uint8_t out[1 + WIDTH]) {
    size_t n = 1;
    out[0] = PAIRS;
    for (int x = 0, to; x < WIDTH; x = to) {
        for (to = x + 1; to < WIDTH && row[to] == row[x]; to++) {
        }
        if (n + 2 > WIDTH) return 0;
        out[n++] = row[x], out[n++] = (uint8_t)(to - x);
    }
    return n;
}

/* One more row of a kind that only counts: in the byte before where that is of the same kind. */
static int count_row(writer *w, uint8_t kind) {
    if (w->last && (w->at[-1] & KIND) == kind && (w->at[-1] & NUMBER) < NUMBER) {
        w->at[-1]++;
        return 0;
    }
    w->last = 1;
    return append_code(w, &kind, 1);
}

static int put_row(writer *w, const uint8_t *row) {
    uint8_t code[1 + COLOURS + WIDTH];
    size_t n = runs_of(row, code);
    if (n == 0 || n > 1 + WIDTH) n = pairs_of(row, code);
    if (n == 0) {
        code[0] = PIXELS, n = 1 + WIDTH;
        memcpy(code + 1, row, WIDTH);
    }
    w->last = 0;
    return append_code(w, code, n);
}

/* Rows [from, height) of a picture; those of `first` from first_from on are in the code before it.
 */
static int put_picture(writer *w, const uint8_t *picture, int from, int height,
                       const uint8_t *first, int first_from) {
    w->last = 0;
    for (int y = from; y < height; y++) {
        const uint8_t *row = picture + y * WIDTH;
        int bad;
        if (y > from && memcmp(row, row - WIDTH, WIDTH) == 0)
            bad = count_row(w, ABOVE);
        else if (first && y >= first_from && memcmp(row, first + y * WIDTH, WIDTH) == 0)
            bad = count_row(w, FIRST);
        else
            bad = put_row(w, row);
        if (bad) return -1;
    }
    return 0;
}

typedef struct {
    const uint8_t *at, *end;
} reader;

static int get_runs(reader *r, size_t n_colours, uint8_t *row) {
    const uint8_t *colours = r->at;
    if (n_colours > COLOURS || (size_t)(r->end - r->at) < n_colours) return -1;
    r->at += n_colours;
    for (int x = 0; x < WIDTH;) {
        if (r->at == r->end) return -1;
        const uint8_t run = *r->at++;
        const int n = (run & NUMBER) + 1;
        if (n > WIDTH - x || run >> 6 >= n_colours) return -1;
        memset(row + x, colours[run >> 6], (size_t)n);
        x += n;
    }
    return 0;
}

static int get_pairs(reader *r, uint8_t *row) {
    for (int x = 0; x < WIDTH;) {
        if (r->end - r->at < 2 || r->at[1] == 0 || r->at[1] > WIDTH - x) return -1;
        memset(row + x, r->at[0], r->at[1]);
        x += r->at[1];
        r->at += 2;
    }
    return 0;
}

/* The row or rows that follow: returns how many, or -1. */
static int get_rows(reader *r, uint8_t *picture, int y, int from, int height,
                    const uint8_t *first) {
    if (r->at == r->end) return -1;
    const uint8_t head = *r->at++, kind = head & KIND;
    uint8_t *row = picture + y * WIDTH;
    const int n = (head & NUMBER) + 1;
    if (kind == RUNS) return get_runs(r, head & NUMBER, row) ? -1 : 1;
    if (head == PAIRS) return get_pairs(r, row) ? -1 : 1;
    if (kind == PIXELS) {
        if (r->end - r->at < WIDTH) return -1;
        memcpy(row, r->at, WIDTH);
        r->at += WIDTH;
        return 1;
    }
    if (n > height - y || (kind == ABOVE ? y == from : first == NULL)) return -1;
    for (int i = 0; i < n; i++)
        memcpy(row + i * WIDTH, kind == ABOVE ? row + (i - 1) * WIDTH : first + (y + i) * WIDTH,
               WIDTH);
    return n;
}

static int get_picture(reader *r, uint8_t *picture, int from, int height, const uint8_t *first) {
    for (int y = from, n; y < height; y += n)
        if ((n = get_rows(r, picture, y, from, height, first)) < 0) return -1;
    return 0;
}

/* 1: drawing the last two frames once more gives all but the rows below them. */
static int can_be_drawn(const vly_machine *m, const vly_screens *screens) {
    const vly_shot *a = &screens->shot[0], *b = &screens->shot[1];
    return !m->tia.partial && !a->partial && !b->partial && a->buffer != b->buffer;
}

typedef struct {
    int height;
    const vly_screens *screens;
    const uint8_t *third; /* or NULL */
    uint16_t rows[2];     /* that need no code */
} pictures;

/* The bytes of the code, or -1. */
static int put_pictures(uint8_t *code, size_t room, const pictures *p) {
    writer w = {code, code + room, 0};
    const uint8_t *first = p->screens->pixels[0];
    for (int i = 0; i < 2; i++)
        if (put_picture(&w, p->screens->pixels[i], p->rows[i], p->height, i ? first : NULL,
                        p->rows[0]))
            return -1;
    if (p->third && put_picture(&w, p->third, 0, p->height, first, 0)) return -1;
    return (int)(w.at - code);
}

int vly_still_take(vly_still *still, size_t room, const vly_machine *m, int height,
                   const vly_screens *screens, const uint8_t *before) {
    uint8_t code[VLY_STILL_MOST];
    const int drawn = can_be_drawn(m, screens);
    const vly_shot *last = &screens->shot[screens->last],
                   *other = &screens->shot[screens->last ^ 1];
    pictures p = {height, screens, drawn ? NULL : before, {0, 0}};
    if (drawn) p.rows[last->buffer] = last->rows, p.rows[other->buffer] = other->rows;
    const int bytes = put_pictures(code, room < sizeof code ? room : sizeof code, &p);
    if (bytes < 0) return -1;
    memcpy(still->machine, drawn ? (const void *)other->machine : m, sizeof still->machine);
    memcpy(&still->wires, last->machine + offsetof(vly_machine, wires), sizeof still->wires);
    memcpy(still->rows, p.rows, sizeof still->rows);
    still->front = m->tia.front;
    still->frames = drawn ? 2 : 0;
    still->third = p.third != NULL;
    still->more = 0;
    still->bytes = (uint32_t)bytes;
    memcpy(still->code, code, (size_t)bytes);
    return 0;
}

int vly_still_extend(vly_still *still, size_t room, const vly_machine *m, const vly_wires *wires,
                     int n) {
    const size_t at = still->bytes + still->more * sizeof *wires;
    if (at > room || room - at < (size_t)n * sizeof *wires) return -1;
    memcpy(still->code + at, wires, (size_t)n * sizeof *wires);
    still->more = (uint16_t)(still->more + n);
    still->front = m->tia.front;
    return 0;
}

/* The pictures' coded rows, and the third picture where there is one and somebody wants it. */
static int decode(const vly_still *still, size_t room, int height, vly_screens *screens,
                  uint8_t *before) {
    screens->last = 0; /* whatever there was; no frame of it can be drawn again */
    screens->shot[0].partial = screens->shot[1].partial = 1;
    if (still->bytes > room) return -1;
    reader r = {still->code, still->code + still->bytes};
    for (int i = 0; i < 2; i++) {
        if (still->rows[i] > height) return -1;
        if (get_picture(&r, screens->pixels[i], still->rows[i], height,
                        i ? screens->pixels[0] : NULL))
            return -1;
    }
    return before && still->third ? get_picture(&r, before, 0, height, screens->pixels[0]) : 0;
}

int vly_still_begin(const vly_still *still, size_t room, vly_machine *m, int height,
                    vly_screens *screens) {
    for (int i = 0; i < 2; i++) m->missing_from[i] = 0, m->missing_to[i] = still->rows[i];
    return decode(still, room, height, screens, NULL);
}

int vly_still_draw(const vly_still *still, size_t room, const vly_rom *rom, int height,
                   vly_screens *screens, uint8_t *before) {
    vly_machine m;
    const int frames = still->frames + still->more;
    if (still->frames > 2 || still->bytes > room ||
        still->more > (room - still->bytes) / sizeof(vly_wires))
        return -1;
    if (decode(still, room, height, screens, before)) return -1;
    memset(&m.rng, 0, sizeof m.rng); /* no frame draws from it */
    memcpy(&m, still->machine, sizeof still->machine);
    for (int i = 0; i < frames; i++) {
        if (before && i == frames - 1)
            memcpy(before, vly_machine_screen(&m, screens), (size_t)height * WIDTH);
        if (i >= still->frames)
            memcpy(&m.wires,
                   still->code + still->bytes + (size_t)(i - still->frames) * sizeof m.wires,
                   sizeof m.wires);
        else if (i > 0)
            m.wires = still->wires;
        (void)vly_machine_frame(&m, rom, screens);
    }
    if (before && frames == 0 && !still->third)
        memcpy(before, screens->pixels[still->front ^ 1], (size_t)height * WIDTH);
    return 0;
}

static int wires_valid(const void *at) {
    vly_wires w;
    memcpy(&w, at, sizeof w);
    return w.resistance[0] >= 0 && w.resistance[1] >= 0 && w.resistance[2] >= 0 &&
           w.resistance[3] >= 0;
}

int vly_still_check(const vly_still *still, size_t room, const vly_rom *rom, int height) {
    vly_machine m;
    vly_screens screens;
    uint8_t before[VLY_SCREEN_BYTES];
    memset(&screens, 0, sizeof screens);
    memset(&m.rng, 0, sizeof m.rng);
    memcpy(&m, still->machine, sizeof still->machine);
    if (still->front > 1 || still->third > 1 || still->frames > 2 || still->bytes > room ||
        still->more > (room - still->bytes) / sizeof(vly_wires) ||
        (still->frames + still->more > 0 && !vly_machine_valid(&m, rom)) ||
        !wires_valid(&still->wires))
        return -1;
    for (size_t i = 0; i < still->more; i++)
        if (!wires_valid(still->code + still->bytes + i * sizeof(vly_wires))) return -1;
    return vly_still_draw(still, room, rom, height, &screens, before);
}
