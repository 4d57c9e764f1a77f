#ifndef CLORA_MODEL_MODEL_H
#define CLORA_MODEL_MODEL_H

#include <clora/model.h>

#include "files/model_tables.h"
#include "methods/adapter.h"
#include "model/config.h"

/* The frozen weights of a layer, in the order in which the forward pass uses them. */
enum { SITE_QKV, SITE_O, SITE_GATE_UP, SITE_DOWN, SITES_PER_LAYER };

typedef struct decoder_layer {
    clora_tensor *norm_attention, *norm_mlp; /* f32 (1, C) */
    weight *w[SITES_PER_LAYER];              /* q,k,v (C -> (H+2G)D); o; gate,up (C -> 2F); down */
} decoder_layer;

struct clora_model {
    shared shared; /* held by the program, adapters, sessions and trainers */
    clora_context *context;
    model_config config;
    clora_model_info info;
    weight *embedding; /* (V, C) */
    weight *head;      /* the embedding when tied */
    clora_tensor *norm;
    decoder_layer *layer;
    int sites; /* layers * SITES_PER_LAYER + 1: the head is last */
    adapter_site *site;
    char **name; /* owns the module names: sites * WEIGHT_MODULES */
};

/* Rows of each module of a layer's site, and its inputs. Returns the number of modules. */
int model_site_shape(const model_config *c, int kind, int N[WEIGHT_MODULES], int *K);

/* The Hugging Face name of module m of a layer's site, without layer: "self_attn.q_proj". */
const char *model_module_path(int kind, int module);

/* The sizes that a configuration tells; model_type is borrowed from it. */
void model_info_fill(clora_model_info *info, const model_config *c);

/* An empty model on a context, which it holds. NULL without memory. */
clora_model *model_allocate(clora_context *context);

/* Make the list of adaptable weights: each layer's in order, then the head. */
clora_status model_list_sites(clora_model *model);

/* Whether the projections of a layer's site have biases. */
bool model_site_bias(const model_config *c, int kind);

/* device/self_check.h with this model's types and heads */
clora_status model_self_check(const clora_model *model, unsigned groups);

/*
 * Open the weights' files and check their heads against the configuration: every tensor is there, in shape, and none is
 * left over. What the files say of the output head goes into the configuration. Nothing is read yet.
 */
clora_status model_files_open(safetensors_set **out, model_tables *tables, model_config *config, const char *directory);

/* The configuration, checked against the files, and the storage of the matrices: the options', or the embedding's. */
clora_status model_describe(model_config *config, clora_dtype *storage, const char *directory,
                            const clora_model_options *options);

/* A model whose weights have their shapes and no values, from the heads of the files: for a trace. */
clora_status model_skeleton(clora_model **out, clora_context *context, const char *directory,
                            const clora_model_options *options);

/* An adapter was made for this model and no other, or an error that says so. */
clora_status model_check_adapter(const clora_model *model, const clora_adapter *adapter);

/* Read every tensor of the directory into the model's weights, for which its configuration has been loaded. */
clora_status model_load_weights(clora_model *model, const char *directory, int dtype);

#endif
