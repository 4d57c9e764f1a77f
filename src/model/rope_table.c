#include "model/rope_table.h"

#include <math.h>

/* Llama 3.1's scaling: long waves are stretched by the factor, short ones kept, those between blended. */
static float llama3_frequency(const model_config *c, float f) {
    const float pi2 = 6.283185307179586f, original = (float)c->scaling_original;
    const float wavelength = pi2 / f;

    if (wavelength < original / c->scaling_high)
        return f;
    if (wavelength > original / c->scaling_low)
        return f / c->scaling_factor;
    const float smooth = (original / wavelength - c->scaling_low) / (c->scaling_high - c->scaling_low);
    return (1.0f - smooth) * f / c->scaling_factor + smooth * f;
}

static float frequency(const model_config *c, int i) {
    const float f = 1.0f / powf(c->rope_theta, (float)(2 * i) / (float)c->head_dim);

    switch (c->scaling) {
    case ROPE_LINEAR: return f / c->scaling_factor;
    case ROPE_LLAMA3: return llama3_frequency(c, f);
    case ROPE_DEFAULT: break;
    }
    return f;
}

void rope_table(float *table, const model_config *config, int positions) {
    const int half = config->head_dim / 2;

    for (int i = 0; i < half; i++) {
        const float f = frequency(config, i);
        for (int p = 0; p < positions; p++) {
            const double angle = (double)((float)p * f);
            table[(long)p * config->head_dim + i] = (float)cos(angle);
            table[(long)p * config->head_dim + half + i] = (float)sin(angle);
        }
    }
}
