#include "cli/inputs/ends.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/ui/json_out.h"
#include "cli/ui/text.h"

/* "2, 5"; info->eos has so few that they fit. */
static void list_ids(char *out, size_t size, const clora_model_info *info) {
    size_t used = 0;

    for (int i = 0; i < info->eos_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%d", i ? ", " : "", (int)info->eos[i]);
}

/* Where the model's files say nothing, nothing is contradicted. */
static bool contradicts(const clora_model_info *info, int32_t eos) {
    bool listed = false;

    for (int i = 0; i < info->eos_count; i++)
        listed = listed || info->eos[i] == eos;
    return eos >= 0 && info->eos_count > 0 && !listed;
}

static void note_both(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer,
                      const clora_model_info *info) {
    const int32_t eos = clora_tokenizer_eos(tokenizer);
    size_t size = 0;
    const char *token = clora_tokenizer_token(tokenizer, eos, &size);
    char *shown = json_quoted(token ? token : "", size), listed[128];

    list_ids(listed, sizeof(listed), info);
    cli_note(cli,
             "%s: its files do not agree on the end of a text: tokenizer_config.json says %s (id %d), the model's "
             "configuration %s; targets are taught to end with the former, generation stops at each",
             path, shown ? shown : "eos_token", (int)eos, listed);
    free(shown);
}

void ends_note_files(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer,
                     const clora_model_info *info) {
    if (contradicts(info, clora_tokenizer_eos(tokenizer)))
        note_both(cli, path, tokenizer, info);
    if (info->eos_ignored > 0)
        cli_note(cli, "%s: \"eos_token_id\" of its configuration names %d outside the vocabulary of %d: passed over",
                 path, info->eos_ignored, info->vocab);
}

void ends_note_own(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer, int32_t id,
                   int64_t count) {
    size_t size = 0;
    const char *token = clora_tokenizer_token(tokenizer, id, &size);
    char *shown = count > 0 ? json_quoted(token ? token : "", size) : NULL;

    if (shown)
        cli_note(cli, "%s%s%s %s already: no second one is added", path ? path : "", path ? ": " : "",
                 text_amount(count, "text has its", "texts have their"), shown);
    free(shown);
}
