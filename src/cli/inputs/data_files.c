#include "cli/inputs/data_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Files with weights ---- */

/* Where ":WEIGHT" begins, or the end. */
static size_t path_length(const char *name, double *weight) {
    const char *colon = strrchr(name, ':');
    char *end = NULL;

    *weight = 1;
    if (!colon || colon == name || !colon[1] || strspn(colon + 1, "0123456789.") != strlen(colon + 1) ||
        access(name, F_OK) == 0)
        return strlen(name);
    *weight = strtod(colon + 1, &end);
    return (size_t)(colon - name);
}

char *data_file_path(const char *name) {
    double weight;

    return strndup(name, path_length(name, &weight));
}

int data_files_read(data_files *out, const cli_state *cli, const opt_list *names, bool weighted) {
    *out = (data_files){.count = names->count};
    for (int i = 0; i < names->count; i++) {
        double weight = 1;
        const size_t length = weighted ? path_length(names->items[i], &weight) : strlen(names->items[i]);
        out->path[i] = strndup(names->items[i], length);
        if (!out->path[i])
            return cli_fail(cli, "no memory for the names of data files");
        out->item[i] = (clora_data_file){out->path[i], weight};
        if (!(weight > 0 && weight <= 1000))
            return cli_misuse(cli, "--data %s: a weight is above 0 and at most 1000", names->items[i]);
    }
    return CLI_DONE;
}

void data_files_finish(data_files *files) {
    for (int i = 0; i < files->count; i++)
        free(files->path[i]);
    files->count = 0;
}

const char *data_files_text(const opt_list *names) {
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < names->count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "", names->items[i]);
    return text;
}

/* ---- A share to hold out ---- */

static bool read_share(const char *val, double *share) {
    const size_t length = val ? strlen(val) : 0;

    if (length < 2 || val[length - 1] != '%' || strspn(val, "0123456789.") != length - 1)
        return false;
    *share = strtod(val, NULL) / 100;
    return true;
}

int data_files_split(const cli_state *cli, const char *val, uint64_t seed, clora_dataset **data, clora_dataset **held) {
    clora_dataset *rest = NULL;
    double share;

    if (!read_share(val, &share))
        return OPT_GO_ON;
    if (access(val, F_OK) == 0)
        return cli_misuse(cli, "--val %s: a share of --data, and a file here has that name: write ./%s for the file",
                          val, val);
    if (!(share > 0 && share < 1))
        return cli_misuse(cli, "--val %s: a share is above 0%% and below 100%%", val);
    if (clora_dataset_split(&rest, held, *data, share, seed) != CLORA_OK)
        return cli_fail(cli, "--val %s: %s", val, clora_last_error());
    clora_dataset_free(*data);
    *data = rest;
    return CLI_DONE;
}
