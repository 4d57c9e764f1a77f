/*
 * Fine-tune a model on context-target pairs, save the adapter, and let the adapted model speak.
 *
 *     cc finetune.c $(pkg-config --cflags --libs clora) -o finetune
 *     ./finetune models/tiny data/train.jsonl my-adapter "name: Emma's Star | food: Polish | price: fair | area:
 * harbour =>"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/clora.h>

static int show_step(void *user, const clora_train_step *step) {
    (void)user;
    if (step->step % 10 == 0 || step->step == step->steps)
        printf("step %d of %d: loss %.3f\n", step->step, step->steps, (double)step->loss);
    return 0; /* anything else would end the run here, with all that was learnt */
}

static int show_text(void *user, const char *text, size_t size) {
    (void)user;
    fwrite(text, 1, size, stdout);
    return 0;
}

#define TRY(call)                      \
    if ((status = (call)) != CLORA_OK) \
    goto done

int main(int argc, char **argv) {
    clora_status status = CLORA_OK;
    clora_context *context = NULL;
    clora_model *model = NULL;
    clora_tokenizer *words = NULL;
    clora_dataset *pairs = NULL;
    clora_adapter *adapter = NULL;
    clora_session *session = NULL;
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_generation generation = {0};
    int32_t *prompt = NULL;
    size_t count;

    if (argc != 5) {
        fprintf(stderr, "usage: %s MODEL PAIRS OUT PROMPT\n", argv[0]);
        return 2;
    }
    TRY(clora_context_create(&context, NULL));
    TRY(clora_model_load(&model, context, argv[1], NULL));
    TRY(clora_tokenizer_load(&words, argv[1]));
    TRY(clora_dataset_load(&pairs, argv[2], words, NULL));
    TRY(clora_adapter_create(&adapter, model, NULL));
    options.batch_size = 16;
    options.lr = 5e-3f;
    options.schedule = CLORA_SCHEDULE_COSINE;
    TRY(clora_train(model, adapter, pairs, &options, show_step, NULL));
    TRY(clora_adapter_save(adapter, argv[3], argv[1]));

    TRY(clora_session_create(&session, model, 1, 256));
    TRY(clora_session_select(session, adapter));
    TRY(clora_tokenizer_encode(words, argv[4], strlen(argv[4]), 1, &prompt, &count));
    TRY(clora_generate(&generation, session, words, prompt, (int)count, NULL, show_text, NULL));
    putchar('\n');
done:
    if (status != CLORA_OK)
        fprintf(stderr, "%s\n", clora_last_error());
    clora_generation_free(&generation);
    free(prompt);
    clora_session_free(session);
    clora_adapter_free(adapter);
    clora_dataset_free(pairs);
    clora_tokenizer_free(words);
    clora_model_free(model);
    clora_context_free(context);
    return status != CLORA_OK;
}
