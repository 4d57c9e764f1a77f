#include "files/safetensors_dtype.h"

#include <string.h>

#define OTHER(text, bits) \
    { text, bits, false, CLORA_DTYPE_F32 }

static const safetensors_dtype TABLE[] = {
    OTHER("BOOL", 8),
    OTHER("F4", 4),
    OTHER("F6_E2M3", 6),
    OTHER("F6_E3M2", 6),
    OTHER("U8", 8),
    OTHER("I8", 8),
    OTHER("F8_E5M2", 8),
    OTHER("F8_E4M3", 8),
    OTHER("F8_E8M0", 8),
    OTHER("I16", 16),
    OTHER("U16", 16),
    {"F16", 16, true, CLORA_DTYPE_F16},
    {"BF16", 16, true, CLORA_DTYPE_BF16},
    OTHER("I32", 32),
    OTHER("U32", 32),
    {"F32", 32, true, CLORA_DTYPE_F32},
    OTHER("C64", 64),
    OTHER("F64", 64),
    OTHER("I64", 64),
    OTHER("U64", 64),
};

const safetensors_dtype *safetensors_dtype_find(const char *text) {
    for (size_t i = 0; i < sizeof(TABLE) / sizeof(TABLE[0]); i++)
        if (strcmp(TABLE[i].text, text) == 0)
            return &TABLE[i];
    return NULL;
}

const char *safetensors_dtype_text(clora_dtype dtype) {
    switch (dtype) {
    case CLORA_DTYPE_F32: return "F32";
    case CLORA_DTYPE_F16: return "F16";
    case CLORA_DTYPE_BF16: return "BF16";
    case CLORA_DTYPE_I32: return "I32";
    }
    return "unknown";
}
