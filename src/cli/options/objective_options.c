#include "cli/options/objective_options.h"

const char *const objective_words[] = {"next", "classify", "dpo", "ipo", "hinge", "orpo", "kto", NULL};

/* In the same order. */
static const struct {
    clora_preference preference;
    clora_data_kind data;
} objectives[] = {
    {CLORA_PREFERENCE_NONE, CLORA_DATA_PAIRS},
    {CLORA_PREFERENCE_NONE, CLORA_DATA_LABELS},
    {CLORA_PREFERENCE_DPO, CLORA_DATA_PREFERENCE},
    {CLORA_PREFERENCE_IPO, CLORA_DATA_PREFERENCE},
    {CLORA_PREFERENCE_HINGE, CLORA_DATA_PREFERENCE},
    {CLORA_PREFERENCE_ORPO, CLORA_DATA_PREFERENCE},
    {CLORA_PREFERENCE_KTO, CLORA_DATA_UNPAIRED_PREFERENCE},
};

clora_preference objective_preference(int i) {
    return objectives[i].preference;
}

clora_data_kind objective_data(int i) {
    return objectives[i].data;
}
