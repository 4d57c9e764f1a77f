#ifndef CLORA_MODEL_ROPE_TABLE_H
#define CLORA_MODEL_ROPE_TABLE_H

typedef enum rope_kind { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_STILL } rope_kind;

/* By which angles heads are rotated; not at all where the kind is ROPE_STILL. */
typedef struct rope_settings {
    rope_kind kind;
    float theta, factor;
    float low, high; /* llama3: wavelengths of original / low and longer are stretched, to original / high kept */
    int original;    /* positions of the model that was scaled */
} rope_settings;

/*
 * table (positions, D) of heads of width D: cos (D/2) then sin (D/2) of pos * inv_freq, for op_rope. inv_freq and the
 * product are float, as the models were trained; sine and cosine are double, rounded once.
 */
void rope_table(float *table, const rope_settings *s, int width, int positions);

#endif
