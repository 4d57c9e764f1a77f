/*
 * Fine-tune a model on pairs of context and target, save the adapter, and say something with it:
 *
 *     cc finetune.c $(pkg-config --cflags --libs clora) -o finetune
 *     ./finetune models/tiny data/train.jsonl my-adapter "name: The Old Mill | type: cafe | food: Italian =>"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/clora.h>

#define TRY(call)               \
    do {                        \
        if ((call) != CLORA_OK) \
            goto failed;        \
    } while (0)

static int on_step(void *user, const clora_train_step *step) {
    (void)user;
    if (step->step % 50 == 0 || step->step == step->steps)
        printf("step %d of %d: loss %.4f\n", step->step, step->steps, (double)step->loss);
    return 0; /* anything else ends the run */
}

static int on_text(void *user, const char *text, size_t size) {
    (void)user;
    return fwrite(text, 1, size, stdout) != size;
}

int main(int argc, char **argv) {
    clora_context *context = NULL;
    clora_model *model = NULL;
    clora_tokenizer *tokenizer = NULL;
    clora_dataset *pairs = NULL;
    clora_adapter *adapter = NULL;
    clora_session *session = NULL;
    clora_generation *result = NULL;
    int32_t *prompt = NULL;
    size_t count = 0;
    int status = EXIT_FAILURE;

    if (argc != 5) {
        fprintf(stderr, "usage: %s MODEL PAIRS OUT PROMPT\n", argv[0]);
        return status;
    }
    TRY(clora_inspect_output(argv[3])); /* before the work, not after it */
    TRY(clora_context_create(&context, NULL));
    TRY(clora_model_load(&model, context, argv[1], NULL));
    TRY(clora_tokenizer_load(&tokenizer, argv[1]));
    clora_dataset_options data = CLORA_DATASET_OPTIONS_INIT;
    data.max_length = clora_model_get_info(model)->max_positions;
    TRY(clora_dataset_load(&pairs, argv[2], tokenizer, &data));

    clora_train_options train = CLORA_TRAIN_OPTIONS_INIT;
    train.lr = 1e-3f;
    TRY(clora_adapter_create(&adapter, model, NULL));
    TRY(clora_train(model, adapter, pairs, &train, on_step, NULL));
    TRY(clora_adapter_save(adapter, argv[3], NULL));

    TRY(clora_tokenizer_encode(tokenizer, argv[4], strlen(argv[4]), 1, &prompt, &count));
    TRY(clora_session_create(&session, model, 1, clora_model_get_info(model)->max_positions));
    TRY(clora_session_set_adapter(session, adapter));
    clora_generate_options generate = CLORA_GENERATE_OPTIONS_INIT;
    generate.callback = on_text;
    TRY(clora_generate(&result, session, tokenizer, prompt, count, &generate));
    printf("\n");
    status = EXIT_SUCCESS;
failed:
    if (status != EXIT_SUCCESS)
        fprintf(stderr, "%s\n", clora_last_error());
    clora_generation_free(result);
    free(prompt);
    clora_session_free(session);
    clora_adapter_free(adapter);
    clora_dataset_free(pairs);
    clora_tokenizer_free(tokenizer);
    clora_model_free(model);
    clora_context_free(context);
    return status;
}
