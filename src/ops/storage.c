#include "ops/storage.h"

#include <math.h>
#include <string.h>

#include "base/dtype.h"

/* ---- q8_0: a scale d in f16, then 32 integers q; the value is q d ---- */

enum { Q8_BLOCK = 32, Q8_BYTES = sizeof(uint16_t) + Q8_BLOCK };

/* As ggml does: rounded with the scale before it is rounded to f16, ties away from zero. */
static bool q8_pack(void *blocks, const float *values, size_t n) {
    unsigned char *to = blocks;
    bool finite = dtype_all_finite(values, CLORA_DTYPE_F32, n);

    for (size_t b = 0; b < n && finite; b += Q8_BLOCK, to += Q8_BYTES) {
        float largest = 0.0f;
        for (int i = 0; i < Q8_BLOCK; i++)
            largest = fmaxf(largest, fabsf(values[b + (size_t)i]));
        const float d = largest / 127.0f, inverse = 1.0f / d;
        const uint16_t scale = dtype_f32_to_f16(d);
        memcpy(to, &scale, sizeof(scale));
        for (int i = 0; i < Q8_BLOCK; i++) /* of values too small for an inverse nothing is left */
            to[sizeof(scale) + (size_t)i] =
                isfinite(inverse) ? (unsigned char)(int8_t)roundf(values[b + (size_t)i] * inverse) : 0;
        finite = dtype_all_finite(&scale, CLORA_DTYPE_F16, 1);
    }
    return finite;
}

static void q8_unpack(float *values, const void *blocks, size_t n) {
    const unsigned char *from = blocks;

    for (size_t b = 0; b < n; b += Q8_BLOCK, from += Q8_BYTES) {
        uint16_t scale;
        memcpy(&scale, from, sizeof(scale));
        for (int i = 0; i < Q8_BLOCK; i++)
            values[b + (size_t)i] = dtype_f16_to_f32(scale) * (float)(int8_t)from[sizeof(scale) + (size_t)i];
    }
}

static const storage rows[CLORA_STORAGE_END] = {
    [CLORA_STORAGE_F32] = {CLORA_STORAGE_F32, "f32", CLORA_DTYPE_F32, .block = 1, .unit = 1, .steps = 1,
                           .piece = {{4, 1}}},
    [CLORA_STORAGE_F16] = {CLORA_STORAGE_F16, "f16", CLORA_DTYPE_F16, .block = 1, .unit = 1, .steps = 1,
                           .piece = {{2, 1}}},
    [CLORA_STORAGE_BF16] = {CLORA_STORAGE_BF16, "bf16", CLORA_DTYPE_BF16, .block = 1, .unit = 2, .steps = 2,
                            .piece = {{4, 1}}, .pairs = true},
    [CLORA_STORAGE_Q8_0] = {CLORA_STORAGE_Q8_0, "q8_0", CLORA_DTYPE_F16, Q8_BLOCK, .unit = Q8_BLOCK, .steps = 4,
                            .piece = {{2, 1}, {4, 8}}, .pack = q8_pack, .unpack = q8_unpack},
};

const storage *storage_of(clora_storage id) {
    return (size_t)id < CLORA_STORAGE_END && rows[id].name ? &rows[id] : NULL;
}

const char *clora_storage_name(clora_storage id) {
    const storage *s = storage_of(id);

    return s ? s->name : NULL;
}

clora_storage storage_choose(storage_choice c, int K) {
    const storage *asked = c.asked < 0 ? NULL : storage_of((clora_storage)c.asked);

    return asked && K % asked->block == 0 ? asked->id : (clora_storage)c.file;
}

size_t storage_unit_bytes(const storage *s) {
    size_t bytes = 0;

    for (const storage_piece *p = s->piece; p->bytes; p++)
        bytes += (size_t)p->bytes * (size_t)p->count;
    return bytes;
}

size_t storage_block_bytes(const storage *s) {
    return storage_unit_bytes(s) / (size_t)(s->unit / s->block);
}

size_t storage_row_elements(const storage *s, int K) {
    return (size_t)(K / s->block) * storage_block_bytes(s) / dtype_size(s->element);
}

size_t storage_panel_elements(const storage *s, int K, int NR) {
    const size_t units = ((size_t)K + (size_t)s->unit - 1) / (size_t)s->unit;

    return units * storage_unit_bytes(s) * (size_t)NR / dtype_size(s->element);
}

static bool pack_floats(const storage *s, void *blocks, const float *values, size_t n) {
    if (s->pack)
        return s->pack(blocks, values, n);
    dtype_from_f32(blocks, s->element, values, n);
    return dtype_all_finite(blocks, s->element, n);
}

bool storage_pack(const storage *s, void *blocks, const void *values, clora_dtype dtype, size_t n) {
    enum { SOME = 256 }; /* whole blocks */
    const size_t bytes = storage_block_bytes(s), block = (size_t)s->block;
    float wide[SOME];
    bool finite = true;

    if (!s->pack && dtype == s->element) {
        memcpy(blocks, values, n * bytes);
        return dtype_all_finite(blocks, dtype, n);
    }
    for (size_t i = 0; i < n; i += SOME) {
        const size_t count = n - i < SOME ? n - i : SOME;
        dtype_to_f32(wide, (const char *)values + i * dtype_size(dtype), dtype, count);
        finite &= pack_floats(s, (char *)blocks + i / block * bytes, wide, count);
    }
    return finite;
}

void storage_unpack(const storage *s, float *values, const void *blocks, size_t n) {
    if (s->unpack)
        s->unpack(values, blocks, n);
    else
        dtype_to_f32(values, blocks, s->element, n);
}
