#ifndef CLORA_TESTS_FIXTURE_H
#define CLORA_TESTS_FIXTURE_H

/*
 * The golden files of tests/fixtures (PyTorch + PEFT): a batch of ids and labels, and reference tensors. Include after
 * cmocka.h. Each function ends the test when a file is not as it should be.
 */

#include <clora/adapter.h>
#include <clora/dataset.h>

#include "data/dataset.h"
#include "files/safetensors.h"

/* tests/fixtures/NAME; static buffer, one of four. */
const char *fixture_path(const char *name);

/* The adapter there of this name. */
clora_adapter *fixture_adapter(clora_model *model, const char *name);

typedef struct fixture_batch {
    int B, T;
    int32_t ids[64], labels[64]; /* (B, T); labels not shifted, -100 = not learnt */
    int lengths[4];
    int learnt;
} fixture_batch;

/* reference/NAME.json */
void fixture_read_batch(fixture_batch *out, const char *name);
double fixture_number(const char *name, const char *key, int index); /* index -1: the key is a number, not a list */

/* What a row of reference/NAME.json's batch goes on with, the most probable id each time. Returns how many ids these
 * are: 12, or more where the model has a window. */
enum { FIXTURE_GREEDY = 64 };
int fixture_greedy(int32_t ids[FIXTURE_GREEDY], const char *name, int row);

/* A batch as the trainer gets it: targets shifted, one sequence a row. Free with fixture_batch_free. */
void fixture_make_batch(clora_batch *out, const fixture_batch *from);
void fixture_batch_free(clora_batch *batch);

/* Tensor `key` of reference/NAME.safetensors: n floats, borrowed from the open file. */
typedef struct fixture_tensors fixture_tensors;
fixture_tensors *fixture_open(const char *name);
void fixture_close(fixture_tensors *f);
const float *fixture_tensor(const fixture_tensors *f, const char *key, size_t n);

/* max|a - b| / max|b|, infinite when something is not finite: the measure of the fixtures' tolerances. */
double relative_error(const float *a, const float *b, size_t n);

#endif
