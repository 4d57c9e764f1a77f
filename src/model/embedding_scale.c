#include "base/dtype.h"
#include "model/model.h"

void model_round_scale(clora_model *m, clora_dtype file) {
    const storage *s = m->embedding->storage;
    const clora_dtype type = s->block > 1 ? file : s->element;
    float rounded;

    if (!m->config.scale_rounded)
        return;
    dtype_from_f32(&rounded, type, &m->config.embedding_scale, 1);
    dtype_to_f32(&m->config.embedding_scale, &rounded, type, 1);
}
