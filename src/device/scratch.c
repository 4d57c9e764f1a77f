#include "device/scratch.h"

/* What the old one still holds for commands in the queue lives until they are done. */
static clora_status grow(clora_context *context, size_t elements) {
    clora_tensor *larger;
    clora_status status = CLORA_OK;

    if (elements == 0 || (context->scratch && clora_tensor_count(context->scratch) >= elements))
        return CLORA_OK;
    if (elements > INT32_MAX)
        return clora_fail(CLORA_ERROR_MEMORY, "a scratch of %zu elements is too large", elements);
    TRY(tensor_new(&larger, context, CLORA_DTYPE_F32, 1, (int)elements));
    clora_tensor_free(context->scratch);
    context->scratch = larger;
done:
    return status;
}

clora_status scratch_join(clora_context *context, size_t elements) {
    pthread_mutex_lock(&context->scratch_lock);
    const clora_status status = grow(context, elements);
    context->scratch_users += status == CLORA_OK;
    pthread_mutex_unlock(&context->scratch_lock);
    return status;
}

void scratch_leave(clora_context *context) {
    pthread_mutex_lock(&context->scratch_lock);
    if (--context->scratch_users == 0) {
        clora_tensor_free(context->scratch);
        context->scratch = NULL;
    }
    pthread_mutex_unlock(&context->scratch_lock);
}

clora_status scratch_take(clora_tensor **out, clora_context *context, size_t elements) {
    pthread_mutex_lock(&context->scratch_lock);
    const clora_status status = grow(context, elements);
    *out = context->scratch;
    if (status != CLORA_OK)
        pthread_mutex_unlock(&context->scratch_lock);
    return status;
}

void scratch_give(clora_context *context) {
    pthread_mutex_unlock(&context->scratch_lock);
}

size_t scratch_bytes(const clora_context *context) {
    return context->scratch ? clora_tensor_count(context->scratch) * sizeof(float) : 0;
}
