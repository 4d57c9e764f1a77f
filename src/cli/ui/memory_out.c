#include "cli/ui/memory_out.h"

#include <stddef.h>

#include "cli/ui/text.h"

static const struct {
    const char *name;
    size_t offset;
} parts[] = {
    {"weights", offsetof(clora_memory_plan, weights)},         {"adapter", offsetof(clora_memory_plan, adapter)},
    {"gradients", offsetof(clora_memory_plan, gradients)},     {"optimizer", offsetof(clora_memory_plan, optimizer)},
    {"activations", offsetof(clora_memory_plan, activations)}, {"evaluation", offsetof(clora_memory_plan, evaluation)},
    {"scratch", offsetof(clora_memory_plan, scratch)},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static size_t part(const clora_memory_plan *plan, int i) {
    return *(const size_t *)((const char *)plan + parts[i].offset);
}

void memory_print(FILE *out, const clora_memory_plan *plan) {
    const char *before = "";

    for (int i = 0; i < PARTS; i++) {
        if (part(plan, i) == 0)
            continue;
        fprintf(out, "%s%s %s", before, parts[i].name, text_bytes(part(plan, i)));
        before = ", ";
    }
}

json_t *memory_json(const clora_memory_plan *plan) {
    json_t *object = json_pack("{s:I}", "total", (json_int_t)plan->total);

    for (int i = 0; object && i < PARTS; i++)
        if (json_object_set_new(object, parts[i].name, json_integer((json_int_t)part(plan, i))) != 0) {
            json_decref(object);
            object = NULL;
        }
    return object;
}
