#ifndef CLORA_TESTS_TRAINING_H
#define CLORA_TESTS_TRAINING_H

/* What trainings of the golden files' adapters are compared by. Include after cmocka.h. */

#include "support/fixture.h"
#include "train/trainer.h"

/* A trainer of ten steps on the fixture's batch with the fixture's optimizer, and the dataset that it is made of. */
clora_trainer *fixture_trainer(clora_model *model, clora_adapter *adapter, clora_dataset **dataset,
                               const fixture_batch *batch, int recompute);

/* The same with options that are nearly those. */
clora_train_options fixture_options(const fixture_batch *batch, int recompute);
clora_trainer *fixture_trainer_with(clora_model *model, clora_adapter *adapter, clora_dataset **dataset,
                                    const fixture_batch *batch, const clora_train_options *options);

/* Compare each module's A and B, or their gradients, times `factor` with tensors named prefix + PEFT's name. */
void assert_factors(clora_adapter *adapter, const parameters *gradients, float factor, const fixture_tensors *f,
                    const char *prefix, double limit);

/* All bytes of all frozen weights; with NULL only their count. */
size_t weights_snapshot(unsigned char *out, const clora_model *model);

#endif
