#include "tokenizer/bytes.h"

static bool stands_for_itself(uint32_t c) {
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xff && c != 0xad);
}

/* The bytes that do not stand for themselves, in order: 0..32, 127..160, 173. */
uint32_t byte_character(unsigned char byte) {
    if (stands_for_itself(byte))
        return byte;
    if (byte <= 32)
        return 0x100u + byte;
    return byte == 0xad ? 0x143u : 0x100u + 33u + (byte - 127u);
}

int byte_of_character(uint32_t c) {
    if (c < 0x100)
        return stands_for_itself(c) ? (int)c : -1;
    if (c <= 0x120)
        return (int)(c - 0x100);
    if (c <= 0x142)
        return (int)(c - 0x121 + 127);
    return c == 0x143 ? 0xad : -1;
}

clora_status bytes_map(text_buffer *out, const char *text, size_t size) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < size; i++)
        TRY(text_append_char(out, byte_character((unsigned char)text[i])));
done:
    return status;
}

size_t bytes_mapped_size(const char *text, size_t size) {
    size_t mapped = size;

    for (size_t i = 0; i < size; i++)
        mapped += byte_character((unsigned char)text[i]) >= 0x80;
    return mapped;
}
