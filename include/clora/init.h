/**
 * @file clora/init.h
 * @brief Tier 0: structs that begin with their size, for languages that have no macros.
 *
 * What a program makes room for begins with `size_t size` (docs/stability.md). In C and C++ each such struct has a
 * macro, CLORA_ADAPTER_OPTIONS_INIT of clora_adapter_options; a binding calls clora_adapter_options_init() with the
 * size of the struct as it knows it, and then sets what it wants.
 */
#ifndef CLORA_INIT_H
#define CLORA_INIT_H

#include <stddef.h>

#include <clora/adapter_cache.h>
#include <clora/bottleneck.h>
#include <clora/chat.h>
#include <clora/engine.h>
#include <clora/exchange.h>
#include <clora/full.h>
#include <clora/inspect.h>
#include <clora/lowrank.h>
#include <clora/prefix.h>
#include <clora/train.h>
#include <clora/tune.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier0
 * @{
 */

/**
 * @name Structs with their defaults
 * @{
 */

/**
 * The defaults of its macro; of a result, nothing yet. Any thread.
 *
 * @param[out] out   overwritten; of a larger struct than the library knows, the rest is zero. NULL is allowed
 * @param[in]  size  bytes of the struct that the caller has; fewer than those of a size_t: nothing is done
 */
CLORA_API void clora_adamw_options_init(clora_adamw_options *out, size_t size);
CLORA_API void clora_adapter_cache_options_init(clora_adapter_cache_options *out, size_t size);
CLORA_API void clora_adapter_merge_options_init(clora_adapter_merge_options *out, size_t size);
CLORA_API void clora_adapter_options_init(clora_adapter_options *out, size_t size);
CLORA_API void clora_adapter_save_options_init(clora_adapter_save_options *out, size_t size);
CLORA_API void clora_bottleneck_options_init(clora_bottleneck_options *out, size_t size);
CLORA_API void clora_chat_options_init(clora_chat_options *out, size_t size);
CLORA_API void clora_combine_options_init(clora_combine_options *out, size_t size);
CLORA_API void clora_combine_result_init(clora_combine_result *out, size_t size);
CLORA_API void clora_convert_options_init(clora_convert_options *out, size_t size);
CLORA_API void clora_convert_result_init(clora_convert_result *out, size_t size);
CLORA_API void clora_dataset_options_init(clora_dataset_options *out, size_t size);
CLORA_API void clora_engine_options_init(clora_engine_options *out, size_t size);
CLORA_API void clora_evaluate_result_init(clora_evaluate_result *out, size_t size);
CLORA_API void clora_evaluate_options_init(clora_evaluate_options *out, size_t size);
CLORA_API void clora_full_options_init(clora_full_options *out, size_t size);
CLORA_API void clora_generate_options_init(clora_generate_options *out, size_t size);
CLORA_API void clora_inspected_data_init(clora_inspected_data *out, size_t size);
CLORA_API void clora_memory_plan_init(clora_memory_plan *out, size_t size);
CLORA_API void clora_merge_options_init(clora_merge_options *out, size_t size);
CLORA_API void clora_merge_result_init(clora_merge_result *out, size_t size);
CLORA_API void clora_model_info_init(clora_model_info *out, size_t size);
CLORA_API void clora_model_options_init(clora_model_options *out, size_t size);
CLORA_API void clora_model_plan_options_init(clora_model_plan_options *out, size_t size);
CLORA_API void clora_objective_init(clora_objective *out, size_t size);
CLORA_API void clora_preference_options_init(clora_preference_options *out, size_t size);
CLORA_API void clora_prefix_options_init(clora_prefix_options *out, size_t size);
CLORA_API void clora_request_options_init(clora_request_options *out, size_t size);
CLORA_API void clora_rewards_init(clora_rewards *out, size_t size);
CLORA_API void clora_sample_options_init(clora_sample_options *out, size_t size);
CLORA_API void clora_tensor_layout_init(clora_tensor_layout *out, size_t size);
CLORA_API void clora_train_options_init(clora_train_options *out, size_t size);
CLORA_API void clora_train_step_init(clora_train_step *out, size_t size);
CLORA_API void clora_tune_entry_init(clora_tune_entry *out, size_t size);
CLORA_API void clora_tune_options_init(clora_tune_options *out, size_t size);
CLORA_API void clora_tune_result_init(clora_tune_result *out, size_t size);
CLORA_API void clora_tune_use_init(clora_tune_use *out, size_t size);
/** @} */

/** @} */

#ifdef __cplusplus
}
#endif
#endif
