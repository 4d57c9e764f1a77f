#include <stdio.h>

#include "cli/inspect/cmd_inspect.h"
#include "cli/ui/json_out.h"
#include "cli/ui/text.h"

void inspect_print_types(FILE *out, const clora_stored *stored) {
    for (size_t i = 0; i < stored->types; i++)
        fprintf(out, "%s%s %s", i ? ", " : "", text_count(stored->type[i]->elements), stored->type[i]->dtype);
}

json_t *inspect_types_json(const clora_stored *stored) {
    json_t *types = json_object();

    for (size_t i = 0; i < stored->types; i++)
        json_put(&types, stored->type[i]->dtype, json_integer(stored->type[i]->elements));
    return types;
}
