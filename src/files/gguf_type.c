#include "files/gguf.h"

#define FLOATS(number, text, bytes, dtype) \
    { number, text, 1, bytes, true, dtype }
#define PACKED(number, text, block, bytes) \
    { number, text, block, bytes, false, CLORA_DTYPE_F32 }

static const gguf_type TABLE[] = {
    FLOATS(0, "F32", 4, CLORA_DTYPE_F32),
    FLOATS(1, "F16", 2, CLORA_DTYPE_F16),
    FLOATS(30, "BF16", 2, CLORA_DTYPE_BF16),
    PACKED(2, "Q4_0", 32, 18),
    PACKED(3, "Q4_1", 32, 20),
    PACKED(6, "Q5_0", 32, 22),
    PACKED(7, "Q5_1", 32, 24),
    PACKED(8, "Q8_0", 32, 34),
    PACKED(9, "Q8_1", 32, 40),
    PACKED(10, "Q2_K", 256, 84),
    PACKED(11, "Q3_K", 256, 110),
    PACKED(12, "Q4_K", 256, 144),
    PACKED(13, "Q5_K", 256, 176),
    PACKED(14, "Q6_K", 256, 210),
    PACKED(15, "Q8_K", 256, 292),
    PACKED(16, "IQ2_XXS", 256, 66),
    PACKED(17, "IQ2_XS", 256, 74),
    PACKED(18, "IQ3_XXS", 256, 98),
    PACKED(19, "IQ1_S", 256, 50),
    PACKED(20, "IQ4_NL", 32, 18),
    PACKED(21, "IQ3_S", 256, 110),
    PACKED(22, "IQ2_S", 256, 82),
    PACKED(23, "IQ4_XS", 256, 136),
    PACKED(24, "I8", 1, 1),
    PACKED(25, "I16", 1, 2),
    PACKED(26, "I32", 1, 4),
    PACKED(27, "I64", 1, 8),
    PACKED(28, "F64", 1, 8),
    PACKED(29, "IQ1_M", 256, 56),
    PACKED(34, "TQ1_0", 256, 54),
    PACKED(35, "TQ2_0", 256, 66),
    PACKED(39, "MXFP4", 32, 17),
    PACKED(40, "NVFP4", 64, 36),
    PACKED(41, "Q1_0", 128, 18),
};

enum { TYPES = sizeof(TABLE) / sizeof(TABLE[0]) };

const gguf_type *gguf_type_find(uint32_t number) {
    for (size_t i = 0; i < TYPES; i++)
        if (TABLE[i].number == number)
            return &TABLE[i];
    return NULL;
}

const gguf_type *gguf_type_of(clora_dtype dtype) {
    for (size_t i = 0; i < TYPES; i++)
        if (TABLE[i].supported && TABLE[i].dtype == dtype)
            return &TABLE[i];
    return NULL;
}
