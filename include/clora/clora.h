/**
 * @file clora/clora.h
 * @brief Everything. Fine-tune, use and merge language models with low-rank adapters on any OpenCL device.
 *
 * The shortest useful program fine-tunes a model on context-target pairs and saves the adapter:
 *
 *     clora_context *context;  clora_context_create(&context, NULL);
 *     clora_model *model;      clora_model_load(&model, context, "models/tiny", NULL);
 *     clora_tokenizer *words;  clora_tokenizer_load(&words, "models/tiny");
 *     clora_dataset *pairs;    clora_dataset_load(&pairs, "data/train.jsonl", words, NULL);
 *     clora_adapter *adapter;  clora_adapter_create(&adapter, model, NULL);
 *     if (clora_train(model, adapter, pairs, NULL, NULL, NULL) != CLORA_OK ||
 *         clora_adapter_save(adapter, "my-adapter", "models/tiny") != CLORA_OK)
 *         puts(clora_last_error());
 *
 * Each call returns a clora_status; clora_last_error() says what went wrong. A call that is given the NULL of one that
 * failed fails too and repeats why. examples/finetune.c is the same with every check.
 *
 * Tiers, each built on those before it: status; context, tensor, opencl, tune; lowrank; model, tokenizer, dataset,
 * adapter; train, generate. A program enters where it fits.
 */
#ifndef CLORA_CLORA_H
#define CLORA_CLORA_H

#include <clora/adapter.h>
#include <clora/context.h>
#include <clora/dataset.h>
#include <clora/generate.h>
#include <clora/inspect.h>
#include <clora/lowrank.h>
#include <clora/model.h>
#include <clora/status.h>
#include <clora/tensor.h>
#include <clora/tokenizer.h>
#include <clora/train.h>
#include <clora/tune.h>
#include <clora/version.h>

#endif
