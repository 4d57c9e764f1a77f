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

/* The pair, not a whole number, whose frequency makes so many turns within the original positions. */
static double pair_of_turns(const rope_settings *s, float turns) {
    const double pi2 = 6.283185307179586;

    return s->width * log(s->original / ((double)turns * pi2)) / (2.0 * log((double)s->theta));
}

/* YaRN: fast frequencies are kept, slow ones stretched by the factor, those between blended pair by pair. */
static float yarn_frequency(const rope_settings *s, float wave, int i) {
    double low = pair_of_turns(s, s->fast), high = pair_of_turns(s, s->slow);

    if (s->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, s->width - 1);
    const float span = (float)(high == low ? 0.001 : high - low), ramp = ((float)i - (float)low) / span;
    const float kept = 1.0f - fminf(fmaxf(ramp, 0.0f), 1.0f);
    return 1.0f / (s->factor * wave) * (1.0f - kept) + 1.0f / wave * kept;
}

static float frequency(const rope_settings *s, int i, bool longer) {
    const float wave = powf(s->theta, (float)(2 * i) / (float)s->width), f = 1.0f / wave;

    switch (s->kind) {
    case ROPE_LINEAR: return f / s->factor;
    case ROPE_LLAMA3: return llama3_frequency(s, f);
    case ROPE_YARN: return yarn_frequency(s, wave, i);
    case ROPE_LONGROPE: return 1.0f / (s->stretch[longer][i] * wave);
    case ROPE_STILL: return 0.0f;
    case ROPE_DEFAULT: break;
    }
    return f;
}

void rope_table(float *table, const rope_settings *s, int positions, bool longer) {
    const int half = s->width / 2;

    for (int i = 0; i < half; i++) {
        const float f = frequency(s, i, longer);
        for (int p = 0; p < positions; p++) {
            const double angle = (double)((float)p * f);
            table[(long)p * s->width + i] = (float)cos(angle) * s->attention;
            table[(long)p * s->width + half + i] = (float)sin(angle) * s->attention;
        }
    }
}
