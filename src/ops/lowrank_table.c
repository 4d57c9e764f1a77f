#include "base/alloc.h"
#include "base/ints.h"
#include "ops/lowrank.h"

int32_t *lowrank_list_table(const lowrank *lr) {
    const weight *base = lr->base;
    int32_t *table = alloc_array((size_t)base->panels, 3 * sizeof(int32_t));

    for (int i = 0; table && i < lr->modules; i++) {
        const lowrank_module *m = &lr->module[i];
        for (int p = 0; p < divide_up(base->module[i].N, base->NR); p++) {
            int32_t *entry = &table[3 * (base->module[i].panel + p)];
            entry[0] = (int32_t)(m->b + (size_t)p * (size_t)base->NR * (size_t)m->R);
            entry[1] = m->R;
            entry[2] = m->row;
        }
    }
    return table;
}

float *lowrank_list_scales(const lowrank *lr) {
    float *scales = alloc_array((size_t)lr->R, sizeof(float));

    for (int i = 0; scales && i < lr->modules; i++)
        for (int r = 0; r < lr->module[i].R; r++)
            scales[lr->module[i].row + r] = lr->module[i].scale;
    return scales;
}
