/* libFuzzer's mutations, and one more for JSON: a member of a list, many times over. Growth by repetition is what other
 * mutations do not find. */

#include <string.h>

#include "fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);

/* Where the value that begins at `at` ends: at a comma or bracket that is not inside of it. */
static size_t member_end(const uint8_t *data, size_t size, size_t at) {
    int depth = 0, text = 0;

    for (; at < size; at++) {
        const uint8_t c = data[at];
        if (c == '\\' && text)
            at++;
        else if (c == '"')
            text = !text;
        else if (text)
            continue;
        else if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}' || c == ',') && depth == 0)
            return at;
        else if (c == ']' || c == '}')
            depth--;
    }
    return size;
}

/* The first `[` or `,` from a place on, or size. */
static size_t member_start(const uint8_t *data, size_t size, size_t at) {
    while (at < size && data[at] != '[' && data[at] != ',')
        at++;
    return at;
}

/* 0 when there is no member or no room. */
static size_t repeat_member(uint8_t *data, size_t size, size_t most, unsigned int seed) {
    const size_t start = size ? member_start(data, size, seed / 7 % size) + 1 : size + 1;
    const size_t end = start <= size ? member_end(data, size, start) : size;

    if (end >= size || end == start)
        return 0;
    const size_t length = end - start + 1; /* with its comma */
    size_t times = (size_t)1 << seed % 7;
    while (times > 0 && size + times * length > most)
        times--;
    memmove(data + end + times * length, data + end, size - end);
    for (size_t i = 0; i < times; i++) {
        data[end + i * length] = ',';
        memmove(data + end + i * length + 1, data + start, length - 1);
    }
    return times ? size + times * length : 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
    const size_t repeated = seed % 8 == 0 ? repeat_member(data, size, most, seed / 8) : 0;

    return repeated ? repeated : LLVMFuzzerMutate(data, size, most);
}
