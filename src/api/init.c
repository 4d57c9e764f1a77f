#include <clora/init.h>

#include "base/options.h"

/* What a struct's macro says is what its function gives. */
#define DEFINE_INIT(type, defaults)                 \
    void type##_init(type *out, size_t size) {      \
        static const type all = defaults;           \
        options_init(out, size, &all, sizeof(all)); \
    }

DEFINE_INIT(clora_adamw_options, CLORA_ADAMW_OPTIONS_INIT)
DEFINE_INIT(clora_adapter_cache_options, CLORA_ADAPTER_CACHE_OPTIONS_INIT)
DEFINE_INIT(clora_adapter_merge_options, CLORA_ADAPTER_MERGE_OPTIONS_INIT)
DEFINE_INIT(clora_adapter_options, CLORA_ADAPTER_OPTIONS_INIT)
DEFINE_INIT(clora_adapter_save_options, CLORA_ADAPTER_SAVE_OPTIONS_INIT)
DEFINE_INIT(clora_bottleneck_options, CLORA_BOTTLENECK_OPTIONS_INIT)
DEFINE_INIT(clora_chat_options, CLORA_CHAT_OPTIONS_INIT)
DEFINE_INIT(clora_combine_options, CLORA_COMBINE_OPTIONS_INIT)
DEFINE_INIT(clora_combine_result, CLORA_COMBINE_RESULT_INIT)
DEFINE_INIT(clora_convert_options, CLORA_CONVERT_OPTIONS_INIT)
DEFINE_INIT(clora_convert_result, CLORA_CONVERT_RESULT_INIT)
DEFINE_INIT(clora_dataset_options, CLORA_DATASET_OPTIONS_INIT)
DEFINE_INIT(clora_engine_options, CLORA_ENGINE_OPTIONS_INIT)
DEFINE_INIT(clora_evaluate_result, CLORA_EVALUATE_RESULT_INIT)
DEFINE_INIT(clora_evaluate_options, CLORA_EVALUATE_OPTIONS_INIT)
DEFINE_INIT(clora_full_options, CLORA_FULL_OPTIONS_INIT)
DEFINE_INIT(clora_generate_options, CLORA_GENERATE_OPTIONS_INIT)
DEFINE_INIT(clora_inspected_data, CLORA_INSPECTED_DATA_INIT)
DEFINE_INIT(clora_memory_plan, CLORA_MEMORY_PLAN_INIT)
DEFINE_INIT(clora_merge_options, CLORA_MERGE_OPTIONS_INIT)
DEFINE_INIT(clora_merge_result, CLORA_MERGE_RESULT_INIT)
DEFINE_INIT(clora_model_info, CLORA_MODEL_INFO_INIT)
DEFINE_INIT(clora_model_options, CLORA_MODEL_OPTIONS_INIT)
DEFINE_INIT(clora_model_plan_options, CLORA_MODEL_PLAN_OPTIONS_INIT)
DEFINE_INIT(clora_objective, CLORA_OBJECTIVE_INIT)
DEFINE_INIT(clora_preference_options, CLORA_PREFERENCE_OPTIONS_INIT)
DEFINE_INIT(clora_prefix_options, CLORA_PREFIX_OPTIONS_INIT)
DEFINE_INIT(clora_request_options, CLORA_REQUEST_OPTIONS_INIT)
DEFINE_INIT(clora_rewards, CLORA_REWARDS_INIT)
DEFINE_INIT(clora_sample_options, CLORA_SAMPLE_OPTIONS_INIT)
DEFINE_INIT(clora_tensor_layout, CLORA_TENSOR_LAYOUT_INIT)
DEFINE_INIT(clora_train_options, CLORA_TRAIN_OPTIONS_INIT)
DEFINE_INIT(clora_train_step, CLORA_TRAIN_STEP_INIT)
DEFINE_INIT(clora_tune_entry, CLORA_TUNE_ENTRY_INIT)
DEFINE_INIT(clora_tune_options, CLORA_TUNE_OPTIONS_INIT)
DEFINE_INIT(clora_tune_result, CLORA_TUNE_RESULT_INIT)
DEFINE_INIT(clora_tune_use, CLORA_TUNE_USE_INIT)
