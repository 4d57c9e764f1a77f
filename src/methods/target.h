#ifndef CLORA_METHODS_TARGET_H
#define CLORA_METHODS_TARGET_H

#include "base/json.h"

/*
 * Which linear layers an adapter touches, and whether the embedding, with what rank and scale: PEFT's rules on the
 * modules' names. Host only.
 *
 * target_modules: a list matches a whole name or its ending after a dot, a string is a regular expression for whole
 * names. Keys of rank_pattern and alpha_pattern are regular expressions for the end of a name after a dot; the first
 * that matches wins, in the order of the file.
 */
enum { TARGET_MAX_RANK = 1 << 16, TARGET_MAX_LAYERS = 1 << 16 }; /* far above any use; keeps products of sizes small */

/* "all-linear" is the first kind alone. An embedding's rows are those of tokens. */
typedef enum target_kind { TARGET_LINEAR, TARGET_HEAD, TARGET_EMBEDDING } target_kind;

typedef struct target_module {
    const char *name; /* "model.layers.0.self_attn.q_proj" */
    int N, K;         /* W0 is (N, K) */
    target_kind kind;
} target_module;

typedef struct target_choice {
    int R; /* 0: not adapted */
    float scale;
} target_choice;

/*
 * The JSON of target_modules for a text of the command line: "all-linear" becomes the sorted endings of all modules but
 * the head, a list of name endings (letters, digits, "_", ".", ",") a sorted list, anything else a regular expression.
 */
clora_status target_parse_modules(json_t **out, const char *text, const target_module *modules, int count);

/* A list of names with commas between them, sorted, each once; option: what errors call it. */
clora_status target_parse_names(json_t **out, const char *text, const char *option);

/* A list of names, or any other text as an expression. */
clora_status target_parse_choice(json_t **out, const char *text, const char *option);

/* Numbers from 0 and ranges of them, "0,2,5-7", as a list of integers, sorted, each once. */
clora_status target_parse_layers(json_t **out, const char *text, const char *option);

/* A copy of a list of names, sorted, each once. */
clora_status target_sort(json_t **out, const json_t *names);

/* "name=rank,name=rank" as an object in the order of the text; NULL or "" is an empty one. whole: integers from 1. */
clora_status target_parse_pattern(json_t **out, const char *text, bool whole, const char *option);

/*
 * The reverse, for people, control characters escaped: a list with commas, or the expression; "name=rank,..." or "".
 * The caller frees; NULL without memory.
 */
char *target_modules_text(const json_t *targets);
char *target_pattern_text(const json_t *pattern);

/*
 * What the settings of an adapter_config.json (checked by peft_config) mean for each of count modules. No module at all
 * is CLORA_ERROR_NOT_FOUND with the names that would match. strict: so is an entry of target_modules, rank_pattern
 * or alpha_pattern that matches none.
 */
clora_status target_resolve(target_choice *out, const json_t *config, const target_module *modules, int count,
                            bool strict);

#endif
