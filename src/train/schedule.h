#ifndef CLORA_TRAIN_SCHEDULE_H
#define CLORA_TRAIN_SCHEDULE_H

#include <clora/train.h>

/*
 * Learning rate of update i (from 0) of N with W warm-up updates: lr (i + 1) / W while i < W, then with
 * t = (i - W) / (N - W):  constant lr;  linear lr (1 - t);  cosine lr (1 + cos(pi t)) / 2.
 */
float schedule_rate(const clora_train_options *options, int i, int N);

#endif
