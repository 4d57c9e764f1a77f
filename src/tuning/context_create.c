#include "device/context.h"
#include "device/fork.h"
#include "device/opencl.h"
#include "tuning/table.h"

/* A context is a device with its tuned parameters. The two meet here, because device/ knows nothing of tuning. */

static void destroy(shared *object) {
    clora_context *context = (clora_context *)object;

    if (fork_is_child())
        return; /* the driver's threads are not here: left to the end of the process */
    tuning_free(context->tuning);
    context_close(context);
}

clora_status clora_context_create(clora_context **out, const char *device) {
    clora_status status = CLORA_OK;
    clora_context *context = NULL;

    NEED(out);
    *out = NULL;
    TRY(context_open(&context, device, destroy));
    TRY(tuning_create(&context->tuning));
    *out = context;
    context = NULL;
done:
    clora_context_free(context);
    return clora_keep_cause(status);
}

clora_status clora_context_from_opencl(clora_context **out, cl_context cl, cl_command_queue queue) {
    clora_status status = CLORA_OK;
    clora_context *context = NULL;

    NEED(out);
    *out = NULL;
    NEED(cl);
    NEED(queue);
    TRY(context_adopt(&context, cl, queue, destroy));
    TRY(tuning_create(&context->tuning));
    *out = context;
    context = NULL;
done:
    clora_context_free(context);
    return clora_keep_cause(status);
}
