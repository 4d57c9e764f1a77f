#ifndef CLORA_MODEL_ROPE_TABLE_H
#define CLORA_MODEL_ROPE_TABLE_H

#include <stdbool.h>

typedef enum rope_kind {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_LLAMA3,
    ROPE_YARN,
    ROPE_LONGROPE,
    ROPE_STILL /* no rotation */
} rope_kind;

/* Of a head's frequencies at most, and the two lists of longrope. */
enum { ROPE_PAIRS = 128, ROPE_LENGTHS = 2 };

/* By which angles heads are rotated. */
typedef struct rope_settings {
    rope_kind kind;
    int width; /* columns of each head that are rotated, the first ones */
    float theta, factor;
    float low, high;  /* llama3: wavelengths of original / low and longer are stretched, to original / high kept */
    float slow, fast; /* yarn: turns within `original` of the frequencies that are stretched, and kept */
    bool truncate;    /* yarn: frequencies are blended between whole numbers of pairs */
    int original;     /* positions of the model that was scaled */
    float attention;  /* factor of sines and cosines */
    float stretch[ROPE_LENGTHS][ROPE_PAIRS]; /* longrope: of each frequency in texts up to `original`, and in longer */
} rope_settings;

/*
 * table (positions, W) for op_rope: cos (W/2) then sin (W/2) of pos * inv_freq. inv_freq and the product are float, as
 * the models were trained; sine and cosine are double, rounded once. longer: for texts longer than `original`.
 */
void rope_table(float *table, const rope_settings *s, int positions, bool longer);

#endif
