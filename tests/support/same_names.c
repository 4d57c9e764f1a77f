/* A program of test_install.py: loads the tokenizer of a directory. Some of its names are also the library's own. */

#include <stdio.h>
#include <stdlib.h>

#include <clora/tokenizer.h>

int tensor_new, weight_create = 1;
int text_append(void);
int utf8_valid(void);

int text_append(void) {
    return weight_create;
}

int utf8_valid(void) {
    return 2;
}

int main(int argc, char **argv) {
    clora_tokenizer *tokenizer;
    int32_t *ids;
    size_t count;

    if (argc != 2 || clora_tokenizer_load(&tokenizer, argv[1]) != CLORA_OK ||
        clora_tokenizer_encode(tokenizer, "naïve 12", 9, 0, &ids, &count) != CLORA_OK) {
        printf("%s\n", clora_last_error());
        return 1;
    }
    clora_tokenizer_free(tokenizer);
    free(ids);
    return count > 1 && tensor_new == 0 && text_append() + utf8_valid() == 3 ? 0 : 1;
}
