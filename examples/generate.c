/*
 * Continue a prompt with a model, with or without an adapter:
 *
 *     cc generate.c $(pkg-config --cflags --libs clora) -o generate
 *     ./generate models/tiny "Once upon a time" [ADAPTER]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/generate.h>

#define TRY(call)               \
    do {                        \
        if ((call) != CLORA_OK) \
            goto failed;        \
    } while (0)

static int on_text(void *user, const char *text, size_t size) {
    (void)user;
    return fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0;
}

int main(int argc, char **argv) {
    clora_context *context = NULL;
    clora_model *model = NULL;
    clora_tokenizer *tokenizer = NULL;
    clora_adapter *adapter = NULL;
    clora_session *session = NULL;
    clora_generation *result = NULL;
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_sample_options sample = CLORA_SAMPLE_OPTIONS_INIT;
    int32_t *prompt = NULL;
    size_t count = 0;
    int status = EXIT_FAILURE;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s MODEL PROMPT [ADAPTER]\n", argv[0]);
        return status;
    }
    TRY(clora_context_create(&context, NULL));
    TRY(clora_model_load(&model, context, argv[1], NULL));
    TRY(clora_tokenizer_load(&tokenizer, argv[1]));
    if (argc == 4)
        TRY(clora_adapter_load(&adapter, model, argv[3]));
    TRY(clora_tokenizer_encode(tokenizer, argv[2], strlen(argv[2]), 1, &prompt, &count));
    options.max_tokens = 64;
    sample.temperature = 0.8f;
    sample.top_p = 0.95f;
    options.sample = &sample;
    TRY(clora_session_create(&session, model, 1, (int)count + options.max_tokens));
    TRY(clora_session_set_adapter(session, adapter)); /* NULL: the base alone */
    options.callback = on_text;
    TRY(clora_generate(&result, session, tokenizer, prompt, count, &options));
    printf("\n%zu tokens, %.0f a second, ended by %s\n", result->count, (double)result->count / result->decode_seconds,
           clora_stop_reason_name(result->stop));
    status = EXIT_SUCCESS;
failed:
    if (status != EXIT_SUCCESS)
        fprintf(stderr, "%s\n", clora_last_error());
    clora_generation_free(result);
    free(prompt);
    clora_session_free(session);
    clora_adapter_free(adapter);
    clora_tokenizer_free(tokenizer);
    clora_model_free(model);
    clora_context_free(context);
    return status;
}
