/* resize.h -- from palette indices to what an agent sees: pool, colour, area-average.
 *
 *   vly_area area;
 *   vly_area_init(&area, 210, 84);                       // 160 x 210 -> 84 x 84
 *   vly_area_resize(&area, grey, obs, 1);                // grey: 210 x 160 bytes
 *   vly_pool_lookup(lut, screen_a, screen_b, n, grey);   // max(lut[a], lut[b]); b may be NULL
 *
 * The result is OpenCV's cv2.resize(..., interpolation=INTER_AREA), bit for bit. OpenCV sums
 * float32 products; here the same sum is taken in integers, which is exact, and only where it falls
 * so near to a half that float32 could have rounded the other way is that pixel redone as OpenCV
 * does it. Every path (AVX-512, AVX2, plain C) gives the same bytes.
 */
#ifndef VLY_ENVS_ATARI_RESIZE_H
#define VLY_ENVS_ATARI_RESIZE_H
#include <stddef.h>
#include <stdint.h>

enum {
    VLY_AREA_WIDTH = 160,
    VLY_AREA_MAX_HEIGHT = 250,
    VLY_AREA_MAX_SIZE = 160,
    VLY_AREA_TAPS = 18
};

/* One axis: destination d is the weighted sum of count[d] sources from first[d] on. */
typedef struct {
    int source, size;
    int sum; /* of a destination's whole weights: the same for all */
    uint8_t first[VLY_AREA_MAX_SIZE], count[VLY_AREA_MAX_SIZE];
    uint8_t whole[VLY_AREA_MAX_SIZE][VLY_AREA_TAPS]; /* exact: weight times sum */
    float weight[VLY_AREA_MAX_SIZE][VLY_AREA_TAPS];  /* as OpenCV rounds them */
} vly_area_axis;

typedef struct {
    vly_area_axis x, y;
    int fast;    /* the vector code's bounds hold: at most four sources across, 16-bit sums down */
    float scale; /* 1 / (x.sum * y.sum) */
    /* Across, for vectors of destinations: where the first source lies, weights of sources 0 and 1,
     * of 2 and 3, as pairs of 16 bits. */
    int32_t first[VLY_AREA_MAX_SIZE + 16], pair[2][VLY_AREA_MAX_SIZE + 16];
    /* 160 x 210 to 84 x 84, across, 32 destinations a part: each is a sum of three sources. Part 0 has
     * sources 0 .. 63, part 1 sources 60 .. 123, part 2 sources 96 .. 159. */
    uint16_t usual_at[3][3][32], usual_weight[3][3][32];
} vly_area;

/* height: 1 .. 250 lines of 160; size: side of the square result, 16 .. 160 and not above height.
 * Returns 0, or -1 where the sizes are outside that. */
int vly_area_init(vly_area *area, int height, int size);
/* dst[(row * size + column) * stride]: stride 1 for grey, 3 for a channel of RGB. */
void vly_area_resize(const vly_area *area, const uint8_t *src, uint8_t *dst, int stride);
/* The plain C twin, with OpenCV's float32 arithmetic throughout. */
void vly_area_resize_reference(const vly_area *area, const uint8_t *src, uint8_t *dst, int stride);

/* out[i] = max(lut[a[i]], lut[b[i]]), or lut[a[i]] where b is NULL. */
void vly_pool_lookup(const uint8_t lut[256], const uint8_t *a, const uint8_t *b, size_t n,
                     uint8_t *out);
/* The two of them for a grey picture of 160 x 210 as 84 x 84. 0: not this one, or not on this processor. */
int vly_area_pool_usual(const vly_area *area, const uint8_t lut[256], const uint8_t *a,
                        const uint8_t *b, uint8_t *dst);
void vly_pool_lookup_reference(const uint8_t lut[256], const uint8_t *a, const uint8_t *b, size_t n,
                               uint8_t *out);

/* Fills the tables of the usual size, where this is it. */
void vly_area_prepare_usual(vly_area *area);
/* For resize_usual.c: rounded to nearest and into range; whether the processor permutes 64 bytes. */
uint8_t vly_area_to_byte(float value);
int vly_area_is_wide(void);
#endif
