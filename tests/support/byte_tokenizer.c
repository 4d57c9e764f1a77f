#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "support/byte_tokenizer.h"
#include "support/scratch.h"

clora_tokenizer *plain, *with_bos;

static json_t *added_token(int id, const char *text) {
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", text, "single_word", 0, "lstrip", 0,
                     "rstrip", 0, "normalized", 0, "special", 1);
}

/* GPT-2's names for bytes: printable ones stand for themselves, the others are counted from 256. */
static json_t *byte_vocabulary(void) {
    json_t *vocabulary = json_object();
    int other = 256;

    for (int byte = 0; byte < 256; byte++) {
        const int printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        const int c = printable ? byte : other++;
        const char name[3] = {(char)(c < 128 ? c : 0xc0 | c >> 6), (char)(c < 128 ? 0 : 0x80 | (c & 63)), 0};
        json_object_set_new(vocabulary, byte == 4 ? "unreachable" : name, json_integer(byte));
    }
    return vocabulary;
}

clora_tokenizer *byte_tokenizer(const char *config) {
    clora_tokenizer *tokenizer = NULL;
    json_t *bytes = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                              "use_regex", 1);
    json_t *root =
        json_pack("{s:s, s:n, s:n, s:[o, o], s:n, s:O, s:n, s:o, s:{s:s, s:n, s:n, s:b, s:o, s:[]}}", "version", "1.0",
                  "truncation", "padding", "added_tokens", added_token(BOS, "<s>"), added_token(EOS, "</s>"),
                  "normalizer", "pre_tokenizer", bytes, "post_processor", "decoder", bytes, "model", "type", "BPE",
                  "dropout", "unk_token", "byte_fallback", 0, "vocab", byte_vocabulary(), "merges");

    assert_non_null(root);
    assert_int_equal(json_dump_file(root, scratch_path("tokenizer.json"), 0), 0);
    json_decref(root);
    scratch_text("tokenizer_config.json", config);
    assert_ok(clora_tokenizer_load(&tokenizer, scratch_path("")));
    return tokenizer;
}

int byte_tokenizers_make(void **state) {
    scratch_setup(state);
    plain = byte_tokenizer("{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_bos_token\": false}");
    with_bos = byte_tokenizer("{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_bos_token\": true}");
    return scratch_teardown(state);
}

int byte_tokenizers_free(void **state) {
    (void)state;
    clora_tokenizer_free(plain);
    clora_tokenizer_free(with_bos);
    return 0;
}

/* ---- Loading ---- */

clora_dataset_options options_of_length(int length) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;

    options.max_length = length;
    return options;
}

clora_dataset *load_with(const char *name, const char *text, const clora_tokenizer *tokenizer,
                         const clora_dataset_options *options) {
    clora_dataset *dataset = NULL;

    scratch_text(name, text);
    assert_ok(clora_dataset_load(&dataset, scratch_path(name), tokenizer, options));
    return dataset;
}

clora_dataset *load(const char *name, const char *text) {
    return load_with(name, text, plain, NULL);
}

void assert_not_loaded(const char *name, const void *text, size_t size, const clora_dataset_options *options,
                       clora_status expected, const char *words) {
    clora_dataset *dataset = (clora_dataset *)1;

    scratch_write(name, text, size);
    assert_refused(clora_dataset_load(&dataset, scratch_path(name), plain, options), expected, words);
    assert_null(dataset);
}

void assert_bad(const char *name, const char *text, const char *words) {
    assert_not_loaded(name, text, strlen(text), NULL, CLORA_ERROR_FORMAT, words);
}

void assert_sequence(const clora_dataset *dataset, size_t i, const char *text, const char *learnt) {
    const int32_t *ids, *labels;
    const int n = clora_dataset_sequence(dataset, i, &ids, &labels);

    assert_int_equal(n, strlen(text));
    for (int t = 0; t < n; t++) {
        const int id = text[t] == '^' ? BOS : text[t] == '$' ? EOS : (unsigned char)text[t];
        if (ids[t] != id || labels[t] != (learnt[t] == '+' ? id : -1))
            fail_msg("sequence %zu, id %d: %d with label %d; wanted \"%s\" with %s", i, t, ids[t], labels[t], text,
                     learnt);
    }
}

void assert_only_sequence(const char *name, const char *text, const clora_dataset_options *options,
                          const char *expected, const char *learnt) {
    clora_dataset *d = load_with(name, text, plain, options);

    assert_int_equal(clora_dataset_count(d), 1);
    assert_sequence(d, 0, expected, learnt);
    clora_dataset_free(d);
}
