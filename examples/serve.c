/*
 * Texts side by side, as a server has them: each with an adapter of its own or none, begun when a slot is free.
 *
 *     cc serve.c $(pkg-config --cflags --libs clora) -o serve
 *     ./serve models/tiny "Once upon a time" "my-adapter=Once upon a time" "other-adapter=city ="
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/engine.h>

#define TRY(call)               \
    do {                        \
        if ((call) != CLORA_OK) \
            goto failed;        \
    } while (0)

typedef struct server {
    clora_context *context;
    clora_model *model;
    clora_tokenizer *tokenizer;
    clora_engine *engine;
} server;

/* Called with each piece of a text, which is printed when it has ended: with the call of size 0. */
static int on_text(void *user, clora_request *request, const char *text, size_t size) {
    (void)text;
    if (size == 0)
        printf("%s ->%s\n", (const char *)user, clora_request_text(request, NULL));
    return 0;
}

/* "PROMPT" or "ADAPTER=PROMPT" for a free slot. The request keeps the adapter as long as it runs. */
static clora_status admit(clora_request **request, const server *s, char *line) {
    clora_request_options options = CLORA_REQUEST_OPTIONS_INIT;
    clora_adapter *adapter = NULL;
    char *prompt = strchr(line, '=');
    int32_t *ids = NULL;
    size_t count;
    clora_status status;

    if (prompt) {
        *prompt++ = '\0';
        if ((status = clora_adapter_load(&adapter, s->model, line)) != CLORA_OK)
            return status;
    } else {
        prompt = line;
    }
    options.max_tokens = 32;
    options.adapter = adapter;
    options.callback = on_text;
    options.user = prompt;
    status = clora_tokenizer_encode(s->tokenizer, prompt, strlen(prompt), 1, &ids, &count);
    if (status == CLORA_OK)
        status = clora_engine_admit(request, s->engine, ids, count, &options);
    free(ids);
    clora_adapter_free(adapter);
    return status;
}

int main(int argc, char **argv) {
    clora_engine_options options = CLORA_ENGINE_OPTIONS_INIT;
    server s = {NULL, NULL, NULL, NULL};
    clora_request **requests = calloc((size_t)argc, sizeof(*requests));
    int next = 2, status = EXIT_FAILURE;

    if (argc < 3 || !requests) {
        fprintf(stderr, "usage: %s MODEL [ADAPTER=]PROMPT...\n", argv[0]);
        free(requests);
        return status;
    }
    options.slots = 4;
    TRY(clora_context_create(&s.context, NULL));
    TRY(clora_model_load(&s.model, s.context, argv[1], NULL));
    TRY(clora_tokenizer_load(&s.tokenizer, argv[1]));
    TRY(clora_engine_create(&s.engine, s.model, s.tokenizer, &options));
    while (next < argc || clora_engine_running(s.engine) > 0) {
        for (; next < argc && clora_engine_free_slots(s.engine) > 0; next++)
            TRY(admit(&requests[next], &s, argv[next]));
        TRY(clora_engine_step(s.engine));
    }
    status = EXIT_SUCCESS;
failed:
    if (status != EXIT_SUCCESS)
        fprintf(stderr, "%s\n", clora_last_error());
    for (int i = 0; i < argc; i++)
        clora_request_free(requests[i]);
    free(requests);
    clora_engine_free(s.engine);
    clora_tokenizer_free(s.tokenizer);
    clora_model_free(s.model);
    clora_context_free(s.context);
    return status;
}
