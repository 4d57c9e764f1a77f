#ifndef CLORA_MODEL_MODEL_H
#define CLORA_MODEL_MODEL_H

#include <clora/model.h>

#include "files/model_tables.h"
#include "methods/adapter.h"
#include "model/config.h"
#include "model/merged.h"

/* The most of each that a layer of any family has. */
enum { LAYER_NORMS = 6, LAYER_PROJECTIONS = 4 };

/* The frozen weights of a layer, in the order of its family's lists (model/family.h). */
typedef struct model_layer {
    clora_tensor *norm[LAYER_NORMS];      /* f32 (1, C); NULL where the family has none */
    clora_tensor *norm_bias[LAYER_NORMS]; /* likewise, of layer normalisations */
    weight *w[LAYER_PROJECTIONS];
} model_layer;

struct clora_model {
    shared shared; /* held by the program, adapters, sessions and trainers */
    clora_context *context;
    model_config config;
    clora_model_info info;
    weight *embedding;              /* (V, C) */
    weight *head;                   /* the embedding when tied */
    clora_tensor *norm, *norm_bias; /* the last normalisation's; the second NULL where that is no layer normalisation */
    clora_tensor *positions;        /* f32 (max_positions, C), where they are learned, or NULL */
    model_layer *layer;
    int projections; /* those of each layer, and the head, which is last */
    projection *projection;
    int modules;
    clora_module_info *module; /* of all projections, in order */
    char **name;               /* owns the module names: projections * WEIGHT_MODULES */
    int tensors;
    size_t tensor_capacity;
    own_tensor *tensor; /* what the files hold, with names of their own */
    char *directory;    /* where it was read from */
    bool own_values;    /* the weights are, or may come to be, others than those in the files there */
    merged_state merged;
};

/* The sizes that a configuration tells. */
void model_info_fill(clora_model_info *info, const model_config *c);

/* With an embedding, from files of this type: round its scale where that is a number of the weights'
 * type. (embedding_scale.c) */
void model_round_scale(clora_model *m, clora_dtype file);

/* An empty model on a context, which it holds. NULL without memory. */
clora_model *model_allocate(clora_context *context);

/* Make the list of adaptable weights: each layer's in order, then the head. */
clora_status model_list_projections(clora_model *model);

/* Make the list of the model's own tensors, in the order of the forward pass. (own_tensors.c) */
clora_status model_list_tensors(clora_model *model);
void model_free_tensors(clora_model *model);

/* The model as adapters see it. */
base_model model_as_base(clora_model *model);

/* device/self_check.h with this model's types and heads */
clora_status model_self_check(const clora_model *model, unsigned groups);

/*
 * Open the weights' files and check their heads against the configuration: every tensor is there, in shape, and none is
 * left over. What the files say of the output head goes into the configuration. Nothing is read yet.
 */
clora_status model_files_check(model_files **out, model_tables *tables, model_config *config, const char *directory);

/* The configuration, checked against the files, and the storage of the matrices: dtype, or with -1 the embedding's. */
clora_status model_describe(model_config *config, storage_choice *type, const char *directory, int dtype);

/* All tensors of a model whose configuration is known, without values, and their lists. */
clora_status model_build(clora_model *model, storage_choice type);

/* Device memory taken now, but for the scratch; and what a model ends with that has its values: the device is checked,
 * the memory since `before` noted. */
size_t model_memory(const clora_context *context);
clora_status model_complete(clora_model *model, size_t before);

/* A model whose weights have their shapes and no values, from the heads of the files: for a trace. */
clora_status model_skeleton(clora_model **out, clora_context *context, const char *directory, int dtype);

/* An adapter was made for this model and no other, or an error that says so. */
clora_status model_check_adapter(const clora_model *model, const clora_adapter *adapter);

/* Read the files of a directory, checked against the model's configuration, into its weights. */
clora_status model_load_weights(clora_model *model, const model_files *files, const model_tables *tables,
                                const char *directory, const clora_model_options *options);

#endif
