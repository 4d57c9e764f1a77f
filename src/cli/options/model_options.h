#ifndef CLI_MODEL_OPTIONS_H
#define CLI_MODEL_OPTIONS_H

#include <clora/model.h>

#include "cli/cli.h"

/* --dtype, as the commands that put a model on the device have it: an index into model_dtypes. */
typedef struct model_args {
    int dtype;
} model_args;

extern const char *const model_dtypes[]; /* "file" and the storage types */

/* By their clora_storage_name(). */
#define MODEL_DTYPES "f32", "f16", "bf16", "q8_0"

#define MODEL_DTYPE_HELP "data type of the weights on the device: file (as in their files), f32, f16, bf16 or q8_0"

/* A clora_storage, or -1 for "file". */
int model_dtype_value(int choice);

clora_model_options model_args_options(const model_args *args);

/* clora_model_load(), which shows itself where it takes a while. */
clora_status model_args_load(clora_model **out, const cli_state *cli, clora_context *context, const char *path,
                             const model_args *args);

/* Of the least run that there is: where only the model's sizes are asked for. */
clora_model_plan_options model_args_plan(const model_args *args);

/* A note where the files of the model at path hold a head that its config.json denies. */
void model_note_head(const cli_state *cli, const char *path, int own_head);

#endif
