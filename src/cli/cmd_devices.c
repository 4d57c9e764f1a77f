#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/context.h>

#include "cli/cli.h"
#include "cli/ui/json_out.h"
#include "cli/options/opt.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"

static json_t *device_json(const clora_device_info *d) {
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:b, s:b, s:b, s:s, s:b}", "index",
                     d->index, "platform", d->platform, "name", d->name, "vendor", d->vendor, "driver", d->driver,
                     "type", d->type, "version", d->version, "c_version", d->c_version, "compute_units",
                     d->compute_units, "global_memory", (json_int_t)d->global_memory, "max_allocation",
                     (json_int_t)d->max_allocation, "local_memory", (json_int_t)d->local_memory, "fp16", d->fp16,
                     "fp64", d->fp64, "subgroups", d->subgroups, "gemm", d->gemm, "default", d->is_default);
}

static const char *kernels_text(const char *gemm) {
    if (strcmp(gemm, "panel") == 0)
        return "panel (explicit vectors, for CPUs)";
    if (strcmp(gemm, "tile") == 0)
        return "tile (local memory, for GPUs)";
    if (strcmp(gemm, "clblast") == 0)
        return "clblast (the CLBlast library)";
    if (strcmp(gemm, "none") == 0)
        return "none (OpenCL 1.2 is needed: install a newer driver)";
    return gemm;
}

static void print_device(FILE *out, const clora_device_info *d) {
    fprintf(out, "%d  %s%s\n", d->index, d->name, d->is_default ? "  (default)" : "");
    fprintf(out, "   type           %s, %s", d->type, text_amount(d->compute_units, "compute unit", "compute units"));
    if (d->clock_mhz > 0)
        fprintf(out, ", %d MHz", d->clock_mhz);
    fprintf(out, "\n");
    fprintf(out, "   platform       %s\n", d->platform);
    fprintf(out, "   vendor         %s\n", d->vendor);
    fprintf(out, "   driver         %s\n", d->driver);
    fprintf(out, "   version        %s; %s\n", d->version, d->c_version);
    fprintf(out, "   memory         %s, %s at most in one allocation\n", text_bytes(d->global_memory),
            text_bytes(d->max_allocation));
    fprintf(out, "   local memory   %s, %s\n", text_bytes(d->local_memory),
            d->local_is_dedicated ? "in hardware" : "in ordinary memory");
    fprintf(out, "   work-group     %d items at most, float vectors of %d\n", (int)d->max_group, d->vector_width);
    fprintf(out, "   features       fp16 %s, fp64 %s, sub-groups %s\n", d->fp16 ? "yes" : "no", d->fp64 ? "yes" : "no",
            d->subgroups ? "yes" : "no");
    fprintf(out, "   GEMM backend   %s\n", kernels_text(d->gemm));
}

/* --device shows one device: the library finds it, so that the name means here what it means elsewhere, and a machine
 * without devices gets the sentence that it gets elsewhere. */
static int choose_one(const cli_state *cli, int *chosen) {
    clora_context *context = NULL;

    if (clora_context_create(&context, cli->device) != CLORA_OK)
        return cli_fail_library(cli);
    *chosen = clora_context_device(context)->index;
    clora_context_free(context);
    return OPT_GO_ON;
}

static int print_devices(const cli_state *cli, const clora_device_info *const *devices, size_t count, int chosen) {
    json_t *array = cli->json ? json_array() : NULL;
    int shown = 0;

    for (size_t i = 0; i < count; i++) {
        if (chosen >= 0 && devices[i]->index != chosen)
            continue;
        if (cli->json) {
            if (json_array_append_new(array, device_json(devices[i])) != 0) {
                json_decref(array);
                return cli_fail(cli, "cannot write the device '%s' as JSON", devices[i]->name);
            }
        } else {
            page lines;
            printf("%s", shown++ ? "\n" : "");
            print_device(page_begin(&lines, stdout, 18), devices[i]);
            page_end(&lines);
        }
    }
    return cli->json ? json_print(cli, array) : CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {NULL};
    const char *positionals[1] = {NULL};
    const clora_device_info **devices = NULL;
    size_t count = 0;
    int chosen = -1;
    int status = opt_parse(cli, NULL, 0, names, 0, positionals, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (clora_devices_list(&devices, &count) != CLORA_OK)
        return cli_fail_library(cli);
    if (count == 0 || cli->device)
        status = choose_one(cli, &chosen);
    if (status == OPT_GO_ON)
        status = print_devices(cli, devices, count, chosen);
    free(devices);
    return status;
}

const command command_devices = {
    .name = "devices",
    .summary = "list the OpenCL devices, and which one clora takes",
    .usage = "[options]",
    .about =
        "Shows every OpenCL device of this machine: what it is, what it can do, which GEMM backend clora uses there, "
        "and "
        "which device is taken when none is asked for: a GPU before others, of several the one with most compute units "
        "times clock. --device, or the variable CLORA_DEVICE, chooses another: by "
        "number, by type (gpu, cpu, accelerator), or by a part of the name.",
    .example = "clora devices --json",
    .run = run,
};
