#ifndef CLI_ENDS_H
#define CLI_ENDS_H

#include <clora/model.h>
#include <clora/tokenizer.h>

#include "cli/cli.h"

/* One note where the files of a model directory do not agree on what ends a text: targets are taught to end with the
 * tokenizer's eos, and other programs may wait for another. */
void ends_note_files(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer,
                     const clora_model_info *info);

/* A note that `count` texts, if any, of a file (NULL: of no file) hold this bos or eos themselves. */
void ends_note_own(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer, int32_t id, int64_t count);

#endif
