/* template 8< values */

#include "base/json.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "template/template.h"

static void check_result(const template_result *result) {
    size_t last = 0, bad;

    FUZZ_CHECK(utf8_valid(result->text, result->size, &bad));
    for (size_t i = 0; i < result->learnt_count; i++) {
        FUZZ_CHECK(result->learnt[i].from <= result->learnt[i].to && result->learnt[i].to <= result->size);
        FUZZ_CHECK(result->learnt[i].to >= last);
        last = result->learnt[i].to;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const template_options options = {.now = 1721995200, .utc = true};
    template_result result = {0};
    json_t *values = NULL;
    template *t = NULL;
    fuzz_part parts[2];

    fuzz_split(parts, 2, data, size);
    if (!parts[1].data || json_load_bytes(&values, (const char *)parts[1].data, parts[1].size, "v") != CLORA_OK)
        return -1;
    if (json_is_object(values) && template_parse(&t, "t", (const char *)parts[0].data, parts[0].size) == CLORA_OK &&
        template_render(&result, t, values, &options) == CLORA_OK)
        check_result(&result);
    template_result_finish(&result);
    template_free(t);
    json_decref(values);
    return 0;
}
