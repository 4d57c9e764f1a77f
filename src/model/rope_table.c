#include "model/rope_table.h"

#include <math.h>

/* Llama 3.1's scaling: long waves are stretched by the factor, short ones kept, those between blended. */
static float llama3_frequency(const rope_settings *s, float f) {
    const float pi2 = 6.283185307179586f, original = (float)s->original;
    const float wavelength = pi2 / f;

    if (wavelength < original / s->high)
        return f;
    if (wavelength > original / s->low)
        return f / s->factor;
    const float smooth = (original / wavelength - s->low) / (s->high - s->low);
    return (1.0f - smooth) * f / s->factor + smooth * f;
}

static float frequency(const rope_settings *s, int width, int i) {
    const float f = 1.0f / powf(s->theta, (float)(2 * i) / (float)width);

    switch (s->kind) {
    case ROPE_LINEAR: return f / s->factor;
    case ROPE_LLAMA3: return llama3_frequency(s, f);
    case ROPE_STILL: return 0.0f;
    case ROPE_DEFAULT: break;
    }
    return f;
}

void rope_table(float *table, const rope_settings *s, int width, int positions) {
    const int half = width / 2;

    for (int i = 0; i < half; i++) {
        const float f = frequency(s, width, i);
        for (int p = 0; p < positions; p++) {
            const double angle = (double)((float)p * f);
            table[(long)p * width + i] = (float)cos(angle);
            table[(long)p * width + half + i] = (float)sin(angle);
        }
    }
}
