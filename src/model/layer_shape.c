#include "model/family.h"

static int width_of(const model_config *c, config_width width) {
    switch (width) {
    case WIDTH_HIDDEN: return c->hidden;
    case WIDTH_FFN: return c->ffn;
    case WIDTH_QUERIES: return c->heads * c->head_dim;
    case WIDTH_KEYS: return c->kv_heads * c->head_dim;
    case WIDTH_HEAD: return c->head_dim;
    case WIDTH_QKV: return (c->heads + 2 * c->kv_heads) * c->head_dim;
    case WIDTH_GATE_UP: return 2 * c->ffn;
    }
    return 0;
}

int model_projection_shape(const model_config *c, int k, int *N, int *K) {
    const family_projection *p = &c->family->projection[k];

    for (int i = 0; i < p->modules; i++)
        N[i] = width_of(c, p->module[i].outputs);
    *K = width_of(c, p->inputs);
    return p->modules;
}

int model_norm_width(const model_config *c, int i) {
    const family_norm *norm = &c->family->norm[i];

    return norm->path ? width_of(c, norm->width) : 0;
}

bool model_projection_bias(const model_config *c, int k) {
    return c->biases >> k & 1u;
}
