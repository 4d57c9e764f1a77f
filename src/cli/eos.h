#ifndef CLI_EOS_H
#define CLI_EOS_H

#include <clora/model.h>
#include <clora/tokenizer.h>

#include "cli/cli.h"

/* One note where the files of a model directory do not agree on what ends a text: targets are taught to end with the
 * tokenizer's eos, and other programs may wait for another. */
void eos_note(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer, const clora_model_info *info);

#endif
