/**
 * @file clora/clora.h
 * @brief All tiers at once. Fine-tune, use and merge language models with low-rank adapters on any OpenCL device.
 *
 * The shortest useful program fine-tunes a model on context-target pairs and saves the adapter:
 *
 *     clora_context *context;  clora_context_create(&context, NULL);
 *     clora_model *model;      clora_model_load(&model, context, "models/tiny", NULL);
 *     clora_tokenizer *words;  clora_tokenizer_load(&words, "models/tiny");
 *     clora_dataset *pairs;    clora_dataset_load(&pairs, "data/train.jsonl", words, NULL);
 *     clora_adapter *adapter;  clora_adapter_create(&adapter, model, NULL);
 *     if (clora_train(model, adapter, pairs, NULL, NULL, NULL) != CLORA_OK ||
 *         clora_adapter_save(adapter, "my-adapter", NULL) != CLORA_OK)
 *         puts(clora_last_error());
 *
 * Each call returns a clora_status; clora_last_error() says what went wrong. A call that is given the NULL of one that
 * failed fails too and repeats why. examples/finetune.c is the same with every check.
 *
 * Threads. Messages are per thread. Contexts, models, tokenizers and datasets may be used by any number of threads at
 * once: sessions and trainers of one model work side by side, in turns on its context's queue. One thread at a time
 * uses what calls change: a session, a decoder, a trainer with the adapter that it trains, a tensor, a weight, a
 * low-rank term, a plan. clora_context_profile() and its kin, clora_tune_set_mode() and clora_tune_set_log() belong
 * before other threads begin. Handles are freed in any order, but not while a call works with them.
 *
 * Callbacks are called by the thread that made the call, and may call clora themselves: save the adapter, evaluate,
 * generate in a session that is not at work, even train another adapter. They must not free or change what the call
 * works with, and neither throw an exception nor longjmp past it. A clora_tune_log and a clora_note_callback are the
 * exceptions: they must not call clora.
 *
 * fork(). OpenCL does not survive it. In the child of a process that has used a device, calls that need one fail with
 * CLORA_ERROR_UNSUPPORTED: fork first and use clora then, or exec a program.
 *
 * Locale. Texts that clora reads and writes have a decimal point, whatever setlocale() was told.
 *
 * Tiers, each built on those before it: status, dtype; context, tensor, opencl, tune; lowrank; model, tokenizer,
 * chat, dataset, adapter, adapter_cache, prefix; objective, train, checkpoint, generate,
 * engine. A program enters where it fits; init is for bindings.
 */
#ifndef CLORA_CLORA_H
#define CLORA_CLORA_H

/**
 * @defgroup tier0 Tier 0: statuses, version, types of numbers
 * @defgroup tier1 Tier 1: devices, contexts, tensors, tuned parameters
 * @defgroup tier2 Tier 2: one linear layer with a low-rank term
 * @defgroup tier3 Tier 3: models, tokenizers, datasets, adapters
 * @defgroup tier4 Tier 4: training and generation
 */

#include <clora/adapter.h>
#include <clora/adapter_cache.h>
#include <clora/bottleneck.h>
#include <clora/chat.h>
#include <clora/checkpoint.h>
#include <clora/context.h>
#include <clora/dataset.h>
#include <clora/dtype.h>
#include <clora/engine.h>
#include <clora/exchange.h>
#include <clora/full.h>
#include <clora/generate.h>
#include <clora/init.h>
#include <clora/inspect.h>
#include <clora/lowrank.h>
#include <clora/model.h>
#include <clora/objective.h>
#include <clora/output.h>
#include <clora/prefix.h>
#include <clora/status.h>
#include <clora/tensor.h>
#include <clora/tokenizer.h>
#include <clora/train.h>
#include <clora/tune.h>
#include <clora/version.h>

#endif
