#include "support/tiny_llama.h"

#define LAYER(i)                                                                                                       \
    {"model.layers." #i ".self_attn.q_proj", 32, 32, false}, {"model.layers." #i ".self_attn.k_proj", 16, 32, false},  \
        {"model.layers." #i ".self_attn.v_proj", 16, 32, false},                                                       \
        {"model.layers." #i ".self_attn.o_proj", 32, 32, false}, {"model.layers." #i ".mlp.gate_proj", 56, 32, false}, \
        {"model.layers." #i ".mlp.up_proj", 56, 32, false}, {                                                          \
        "model.layers." #i ".mlp.down_proj", 32, 56, false                                                             \
    }

const target_module tiny_llama[TINY_MODULES] = {LAYER(0), LAYER(1), {"lm_head", 97, 32, true}};
