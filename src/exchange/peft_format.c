#include "base/file.h"
#include "exchange/adapter_format.h"
#include "exchange/peft_terms.h"
#include "exchange/term_settings.h"

/* What is of no other format may be of this: its reader says best what is wrong with it. */
static bool is_peft(const char *path) {
    (void)path;
    return true;
}

static clora_status read_peft(term_list *out, const char *path, const base_shape *base) {
    (void)base;
    return peft_terms_read(out, path);
}

static clora_status write_peft(bool *folded, term_list *list, const char *path, const base_shape *base,
                               clora_dtype dtype) {
    clora_status status = CLORA_OK;

    *folded = false;
    if (!list->told)
        TRY(term_settings(list, base->layers, false));
    TRY(peft_terms_write(list, path, dtype));
done:
    return status;
}

const adapter_format peft_format = {is_peft, read_peft, write_peft};
