#include "ops/weight.h"

#include "base/ints.h"

weight_span weight_module_span(const weight *w, int module, int part) {
    const weight_module *m = &w->module[module];
    const weight_part *p = &w->part[part];
    const bool panels = w->layout == WEIGHT_PANEL;
    const int begin = panels ? m->panel : m->col, end = begin + (panels ? divide_up(m->N, w->NR) : m->N);
    const int first = begin > p->panel ? begin : p->panel, last = least(end, p->panel + p->panels);

    return (weight_span){part, first, last > first ? last - first : 0};
}

static size_t unit_elements(const weight *w) {
    return w->layout == WEIGHT_PANEL ? weight_panel_elements(w) : weight_row_elements(w);
}

clora_tensor weight_span_view(const weight *w, weight_span s) {
    const weight_part *p = &w->part[s.part];
    const size_t unit = unit_elements(w);

    return tensor_slice(p->data, (size_t)(s.first - p->panel) * unit, 1, (int)((size_t)s.count * unit));
}

size_t weight_span_values(const weight *w, weight_span s) {
    const size_t rows = w->layout == WEIGHT_PANEL ? (size_t)w->NR : 1;

    return (size_t)s.count * rows * (size_t)w->K;
}

bool weight_are_values(const clora_tensor *values, const weight *w, weight_span s) {
    return s.part >= 0 && s.part < w->parts && s.count > 0 && s.first >= w->part[s.part].panel &&
           s.first + s.count <= w->part[s.part].panel + w->part[s.part].panels &&
           clora_tensor_count(values) == weight_span_values(w, s) && values->dtype == CLORA_DTYPE_F32 &&
           tensor_is_dense(values);
}
