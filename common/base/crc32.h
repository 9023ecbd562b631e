/* crc32.h -- CRC-32 as zlib, PNG and Ethernet compute it (reflected 0xEDB88320).
 *
 *   uint32_t crc = vly_crc32(0, data, bytes);      // continue: vly_crc32(crc, more, n)
 */
#ifndef VLY_COMMON_BASE_CRC32_H
#define VLY_COMMON_BASE_CRC32_H
#include <stddef.h>
#include <stdint.h>

/* Four bits at a time: a table of 16 words, quick enough for traces and tests. */
static inline uint32_t vly_crc32(uint32_t crc, const void *data, size_t bytes) {
    static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu,
                                       0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
                                       0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                       0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    const uint8_t *p = (const uint8_t *)data;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        crc = table[(crc ^ p[i]) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (uint32_t)(p[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}
#endif
