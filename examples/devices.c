/* List the OpenCL devices and make a context on the default one:  cc devices.c $(pkg-config --cflags --libs clora) */
#include <stdio.h>
#include <stdlib.h>

#include <clora/context.h>

int main(void) {
    const clora_device_info **devices = NULL;
    clora_context *context = NULL;
    size_t count = 0;

    if (clora_devices_list(&devices, &count) != CLORA_OK)
        goto failed;
    for (size_t i = 0; i < count; i++)
        printf("%d%s %s: %s, %d compute units, %zu MB\n", devices[i]->index, devices[i]->is_default ? "*" : " ",
               devices[i]->platform, devices[i]->name, devices[i]->compute_units, devices[i]->global_memory >> 20);
    free(devices);
    if (clora_context_create(&context, NULL) != CLORA_OK)
        goto failed;
    printf("ready on %s\n", clora_context_device(context)->name);
    clora_context_free(context);
    return EXIT_SUCCESS;
failed:
    fprintf(stderr, "%s\n", clora_last_error());
    return EXIT_FAILURE;
}
