#include "train/schedule.h"

#include <math.h>

float schedule_rate(const clora_train_options *options, int i, int N) {
    const int W = options->warmup;
    const double t = N > W ? (double)(i - W) / (double)(N - W) : 0.0;

    if (i < W)
        return (float)((double)options->lr * (i + 1) / W);
    switch (options->schedule) {
    case CLORA_SCHEDULE_LINEAR: return (float)((double)options->lr * (1.0 - t));
    case CLORA_SCHEDULE_COSINE: return (float)((double)options->lr * 0.5 * (1.0 + cos(3.14159265358979323846 * t)));
    case CLORA_SCHEDULE_CONSTANT: break;
    }
    return options->lr;
}
