#include "cli/inputs/adapters.h"

int adapters_add(const cli_state *cli, opt_list *paths, const char *path) {
    if (!path)
        return CLI_DONE;
    if (paths->count == OPT_LIST_MAX)
        return cli_misuse(cli, "more than %d adapters", OPT_LIST_MAX);
    paths->items[paths->count++] = path;
    paths->items[paths->count] = NULL;
    return CLI_DONE;
}

int adapters_load(const cli_state *cli, clora_adapter **out, clora_model *model, const opt_list *paths) {
    clora_adapter *part[OPT_LIST_MAX] = {NULL};
    clora_status status = CLORA_OK;

    *out = NULL;
    for (int i = 0; i < paths->count && status == CLORA_OK; i++)
        status = clora_adapter_load(&part[i], model, paths->items[i]);
    if (status == CLORA_OK && paths->count == 1) {
        *out = part[0];
        return CLI_DONE;
    }
    if (status == CLORA_OK && paths->count > 1)
        status = clora_adapter_join(out, part, (size_t)paths->count);
    for (int i = 0; i < paths->count; i++)
        clora_adapter_free(part[i]); /* the joined one keeps them */
    return status == CLORA_OK ? CLI_DONE : cli_fail_library(cli);
}
