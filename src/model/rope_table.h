#ifndef CLORA_MODEL_ROPE_TABLE_H
#define CLORA_MODEL_ROPE_TABLE_H

#include "model/config.h"

/*
 * table (positions, D): cos (D/2) then sin (D/2) of pos * inv_freq, for op_rope. inv_freq and the product are float, as
 * the models were trained; sine and cosine are double, rounded once.
 */
void rope_table(float *table, const model_config *config, int positions);

#endif
