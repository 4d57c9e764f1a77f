#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "files/directory.h"
#include "tokenizer/bytes.h"
#include "tokenizer/spm.h"
#include "tokenizer/tokenizer.h"

/* Known files have up to 35 MB and 1.2 MB; what is made of them in memory takes up to 40 times as much. */
#define LARGEST_FILE ((size_t)64 << 20)
#define LARGEST_CONFIG ((size_t)4 << 20)

/* "path: component", in place of the last one. */
static clora_status locate(char **where, const char *path, const char *component) {
    free(*where);
    *where = alloc_format("%s: %s", path, component);
    return *where ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
}

/* By its scores, where the vocabulary has any, else as the file describes it. */
static clora_status read_model(clora_tokenizer *t, const json_t *root, const scored_vocab *scored, const char *where) {
    const json_t *model = json_object_get(root, "model");

    if (scored)
        return token_model_init_scored(&t->model, scored, where);
    return json_is_object(model) ? token_model_init(&t->model, model, where)
                                 : clora_fail(CLORA_ERROR_FORMAT, "%s must be an object", where);
}

static clora_status read_components(clora_tokenizer *t, const json_t *root, const scored_vocab *scored,
                                    const char *path) {
    clora_status status = CLORA_OK;
    const char *version;
    char *where = NULL;

    TRY(json_get_text(&version, root, "version", "1.0", path));
    if (strcmp(version, "1.0") != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: version \"%s\" (clora knows 1.0)", path, version));
    TRY(locate(&where, path, "model"));
    TRY(read_model(t, root, scored, where));
    TRY(locate(&where, path, "normalizer"));
    TRY(normalizer_create(&t->normalizer, json_object_get(root, "normalizer"), where));
    TRY(locate(&where, path, "pre_tokenizer"));
    TRY(pretokenizer_create(&t->pretokenizer, json_object_get(root, "pre_tokenizer"), where));
    TRY(locate(&where, path, "decoder"));
    TRY(decode_chain_create(&t->decoder, json_object_get(root, "decoder"), where));
    TRY(locate(&where, path, "added_tokens"));
    TRY(added_init(&t->added, json_object_get(root, "added_tokens"), token_model_vocab(&t->model), t->normalizer,
                   where));
    t->size = token_model_vocab(&t->model)->size;
    for (size_t i = 0; i < t->added.count; i++)
        if (t->added.tokens[i].id >= t->size)
            t->size = t->added.tokens[i].id + 1;
    TRY(locate(&where, path, "post_processor"));
    TRY(post_init(&t->post, json_object_get(root, "post_processor"), t->size, where));
done:
    free(where);
    return status;
}

static clora_status list_tokens(clora_tokenizer *t) {
    const vocab *vocab = token_model_vocab(&t->model);

    t->tokens = alloc_array((size_t)t->size, sizeof(*t->tokens));
    t->decoded = alloc_array((size_t)t->size, sizeof(*t->decoded));
    t->skipped = alloc_array((size_t)t->size, sizeof(*t->skipped));
    if (!t->tokens || !t->decoded || !t->skipped)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
    for (int32_t id = 0; id < vocab->size; id++)
        t->tokens[id] = t->decoded[id] = vocab->tokens[id];
    for (size_t i = 0; i < t->added.count; i++) {
        const added_token *token = &t->added.tokens[i];
        t->tokens[token->id] = (token_text){token->content, token->size};
        t->decoded[token->id] = (token_text){token->pattern, token->pattern_size};
        t->skipped[token->id] = token->skipped;
    }
    return CLORA_OK;
}

/* bos_token and eos_token are a string or an object with a content; null, "" and nothing mean none. */
static clora_status read_special(int32_t *id, const clora_tokenizer *t, const json_t *config, const char *key,
                                 const char *path) {
    const json_t *value = json_object_get(config, key);
    char quoted[TEXT_EXCERPT];

    *id = -1;
    if (!value || json_is_null(value))
        return CLORA_OK;
    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (!json_is_string(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be a string or an object with a content", path, key);
    if (json_string_length(value) == 0)
        return CLORA_OK;
    *id = clora_tokenizer_id(t, json_string_value(value), json_string_length(value));
    if (*id < 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is \"%s\", which is not in the vocabulary", path, key,
                          text_excerpt(quoted, json_string_value(value), json_string_length(value)));
    return CLORA_OK;
}

/* add_bos_token speaks to Llama's own classes, which are taken where none is named; the others pass over it. */
static clora_status read_add_bos(bool *out, const json_t *config, const char *path) {
    static const char *const listening[] = {"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
                                            "CodeLlamaTokenizerFast"};
    clora_status status = CLORA_OK;
    bool add, listens = false;
    const char *class;

    TRY(json_get_bool(&add, config, "add_bos_token", false, path));
    TRY(json_get_text(&class, config, "tokenizer_class", listening[0], path));
    for (size_t i = 0; i < sizeof(listening) / sizeof(listening[0]); i++)
        listens = listens || strcmp(class, listening[i]) == 0;
    *out = add && listens;
done:
    return status;
}

static clora_status read_config(clora_tokenizer *t, const json_t *config, const char *path) {
    clora_status status = CLORA_OK;
    bool add_bos = false;

    t->bos = t->eos = -1;
    TRY(read_add_bos(&add_bos, config, path));
    TRY(read_special(&t->bos, t, config, "bos_token", path));
    TRY(read_special(&t->eos, t, config, "eos_token", path));
    t->adds_bos = t->post.present ? t->post.before.size > 0 : add_bos;
    if (t->post.before.size > 0)
        t->bos = t->post.before.data[0];
    if (t->adds_bos && t->bos < 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"add_bos_token\" is true, but there is no \"bos_token\"", path));
done:
    return status;
}

static clora_status add_hash(clora_tokenizer *t, const char *path) {
    clora_status status = CLORA_OK;
    file_map file;

    TRY(file_map_open(&file, path));
    t->hash = XXH3_64bits_withSeed(file.data, file.size, t->hash);
    file_map_close(&file);
done:
    return status;
}

/* Is there a character that would leave nothing in the ids? */
static bool may_drop(const clora_tokenizer *t) {
    const bpe *model = &t->model.bpe;
    bool bytes = model->byte_fallback, alphabet = pretokenizer_maps_bytes(t->pretokenizer) && !model->affixes;

    for (unsigned i = 0; i < 256; i++) {
        bytes = bytes && model->bytes[i] >= 0;
        alphabet = alphabet && model->direct[byte_character((unsigned char)i)] >= 0;
    }
    return !t->model.is_unigram && model->unknown_id < 0 && !bytes && !alphabet;
}

static void destroy(shared *object) {
    clora_tokenizer *t = (clora_tokenizer *)object;

    added_finish(&t->added);
    normalizer_free(t->normalizer);
    pretokenizer_free(t->pretokenizer);
    token_model_finish(&t->model);
    post_finish(&t->post);
    decode_chain_free(t->decoder);
    free(t->tokens);
    free(t->decoded);
    free(t->skipped);
    free(t);
}

/* NULL without memory. */
static clora_tokenizer *allocate(void) {
    clora_tokenizer *t = calloc(1, sizeof(*t));

    if (t)
        shared_init(&t->shared, destroy);
    return t;
}

/* The files of a model's directory. */
typedef struct tokenizer_files {
    char *described, *scored, *settings; /* tokenizer.json, tokenizer.model, tokenizer_config.json */
    json_t *config;                      /* of the settings; empty where there are none */
} tokenizer_files;

static void files_finish(tokenizer_files *files) {
    free(files->described);
    free(files->scored);
    free(files->settings);
    json_decref(files->config);
}

static clora_status files_init(tokenizer_files *out, const char *directory) {
    clora_status status = CLORA_OK;

    *out = (tokenizer_files){.described = file_join(directory, "tokenizer.json"),
                             .scored = file_join(directory, "tokenizer.model"),
                             .settings = file_join(directory, "tokenizer_config.json")};
    if (!out->described || !out->scored || !out->settings)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer"));
    TRY(directory_need_tokenizer(directory));
    if (!file_exists(out->described) && !file_exists(out->scored))
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "%s is not there, nor a tokenizer.model in its place", out->described));
    if (file_exists(out->settings))
        TRY(json_load_path(&out->config, out->settings, LARGEST_CONFIG));
    else
        out->config = json_object();
    if (!out->config)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer"));
done:
    return status;
}

static clora_status read_described(clora_tokenizer *t, const tokenizer_files *files) {
    clora_status status = CLORA_OK;
    json_t *root = NULL;

    TRY(json_load_path(&root, files->described, LARGEST_FILE));
    TRY(read_components(t, root, NULL, files->described));
    TRY(list_tokens(t));
    TRY(read_config(t, files->config, files->settings));
    TRY(add_hash(t, files->described));
done:
    json_decref(root);
    return status;
}

/* SentencePiece's own file. Without settings its ends are the vocabulary's. */
static clora_status read_scored(clora_tokenizer *t, const tokenizer_files *files) {
    clora_status status = CLORA_OK;
    json_t *root = NULL;
    spm_file file;

    TRY(spm_read(&file, files->scored));
    TRY(spm_describe(&root, &file.vocab, files->config, files->settings));
    TRY(read_components(t, root, &file.vocab, files->scored));
    TRY(list_tokens(t));
    TRY(read_config(t, files->config, files->settings));
    t->bos = t->bos < 0 && !json_object_get(files->config, "bos_token") ? file.vocab.bos : t->bos;
    t->eos = t->eos < 0 && !json_object_get(files->config, "eos_token") ? file.vocab.eos : t->eos;
    TRY(add_hash(t, files->scored));
done:
    json_decref(root);
    spm_finish(&file);
    return status;
}

clora_status clora_tokenizer_load(clora_tokenizer **out, const char *model_directory) {
    clora_status status = CLORA_OK;
    tokenizer_files files = {.config = NULL};
    clora_tokenizer *t = NULL;

    NEED(out);
    *out = NULL;
    NEED(model_directory);
    t = allocate();
    if (!t)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer"));
    TRY(files_init(&files, model_directory));
    TRY(!file_exists(files.described) && file_exists(files.scored) ? read_scored(t, &files)
                                                                   : read_described(t, &files));
    if (file_exists(files.settings))
        TRY(add_hash(t, files.settings));
    t->may_drop = may_drop(t);
    *out = t;
    t = NULL;
done:
    clora_tokenizer_free(t);
    files_finish(&files);
    return clora_keep_cause(status);
}

void clora_tokenizer_free(clora_tokenizer *tokenizer) {
    if (tokenizer)
        shared_let_go(&tokenizer->shared);
}
