#include "cli/ui/profile_out.h"

#include "cli/ui/json_out.h"
#include "cli/ui/text.h"

int profile_begin(const cli_state *cli, clora_context *context) {
    return clora_context_profile(context, 1) == CLORA_OK ? CLI_DONE : cli_fail_library(cli);
}

profile_view profile_read(clora_context *context) {
    profile_view profile;

    profile.entry = clora_context_profile_read(context, &profile.count);
    return profile;
}

bool profile_copy(profile_view *out, profile_view profile) {
    const size_t pointers = (profile.count + 1) * sizeof(*profile.entry);
    const clora_profile_entry **list = malloc(pointers + profile.count * sizeof(**list));
    clora_profile_entry *copy = list ? (clora_profile_entry *)(void *)(list + profile.count + 1) : NULL;

    *out = (profile_view){list, list ? profile.count : 0};
    for (size_t i = 0; i < out->count; i++) {
        copy[i] = *profile.entry[i];
        list[i] = &copy[i];
    }
    return list != NULL;
}

void profile_free(profile_view copy) {
    free((void *)(uintptr_t)copy.entry);
}

static void print_line(FILE *out, const char *kernel, double seconds, double all, long launches) {
    fprintf(out, "%-24s %9.2f ms %8s %10s\n", kernel, 1e3 * seconds, text_percent(seconds, all), text_count(launches));
}

void profile_print(FILE *out, profile_view profile) {
    double seconds = 0;
    long launches = 0;

    for (size_t i = 0; i < profile.count; i++) {
        seconds += profile.entry[i]->seconds;
        launches += profile.entry[i]->launches;
    }
    fprintf(out, "%-24s %12s %8s %10s\n", "kernel", "device time", "share", "launches");
    for (size_t i = 0; i < profile.count; i++)
        print_line(out, profile.entry[i]->kernel, profile.entry[i]->seconds, seconds, profile.entry[i]->launches);
    print_line(out, "all", seconds, seconds, launches);
}

json_t *profile_json(profile_view profile) {
    json_t *array = json_array();

    for (size_t i = 0; array && i < profile.count; i++) {
        const clora_profile_entry *e = profile.entry[i];
        json_t *line = json_pack("{s:s, s:o, s:I}", "kernel", e->kernel, "seconds", json_number(e->seconds), "launches",
                                 (json_int_t)e->launches);
        if (json_array_append_new(array, line) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
