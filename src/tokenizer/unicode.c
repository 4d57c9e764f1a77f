#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/unicode_data.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool in_ranges(const char_range *ranges, size_t count, uint32_t c) {
    size_t low = 0, high = count;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && c >= ranges[low].first;
}

static const unicode_addition *find_addition(uint32_t c) {
    size_t low = 0, high = COUNT(additions);

    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > additions[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT(additions) && c >= additions[low].first ? &additions[low] : NULL;
}

const unicode_addition *unicode_additions(size_t *count) {
    *count = COUNT(additions);
    return additions;
}

bool unicode_has_additions(const char *text, size_t size) {
    size_t i = 0;
    uint32_t c;

    while (i < size) {
        if ((unsigned char)text[i] < 0xe0) { /* all additions take three bytes or four */
            i++;
            continue;
        }
        i += utf8_decode(text + i, &c);
        if (find_addition(c))
            return true;
    }
    return false;
}

static const char *category(uint32_t c) {
    const unicode_addition *addition = c < additions[0].first ? NULL : find_addition(c);

    return addition ? addition->category : utf8proc_category_string((utf8proc_int32_t)c);
}

bool unicode_is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool unicode_is_numeric(uint32_t c) {
    if (c < 0x80)
        return c >= '0' && c <= '9';
    return category(c)[0] == 'N' || in_ranges(later_numbers, COUNT(later_numbers), c);
}

bool unicode_is_punctuation(uint32_t c) {
    if (c < 0x80)
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    if (c == 0x166d || c == 0x111c9) /* punctuation in Unicode 8, symbols since */
        return true;
    return !find_addition(c) && category(c)[0] == 'P' && !in_ranges(later_punctuation, COUNT(later_punctuation), c);
}

/* Letters in circles and squares are symbols that count as alphabetic. */
static bool is_enclosed_letter(uint32_t c) {
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

bool unicode_is_word(uint32_t c) {
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    const char *kind = category(c);
    return kind[0] == 'L' || kind[0] == 'M' || (kind[0] == 'N' && kind[1] != 'o') ||
           (kind[0] == 'P' && kind[1] == 'c') || c == 0x200c || c == 0x200d || is_enclosed_letter(c);
}

bool unicode_is_inert(uint32_t c) {
    return c >= inert[0].first && (in_ranges(inert, COUNT(inert), c) || find_addition(c));
}

size_t unicode_lowercase(uint32_t out[2], uint32_t c) {
    out[0] = c;
    if (c < 0x80) {
        if (c >= 'A' && c <= 'Z')
            out[0] = c + ('a' - 'A');
        return 1;
    }
    if (c == 0x0130) { /* the one letter whose small form is two characters: i and a dot above */
        out[0] = 'i';
        out[1] = 0x0307;
        return 2;
    }
    for (size_t i = 0; i < COUNT(later_lowercase); i++)
        if (c >= later_lowercase[i].first && c <= later_lowercase[i].last) {
            out[0] = later_lowercase[i].target + (c - later_lowercase[i].first);
            return 1;
        }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return 1;
}

size_t unicode_without_marks(uint32_t out[2], uint32_t c) {
    out[0] = c;
    if (c < 0x300 || in_ranges(later_marks, COUNT(later_marks), c))
        return 1;
    const bool is_mark = c == 0x1cf2 || c == 0x1cf3 || category(c)[0] == 'M'; /* the two are letters since Unicode 12 */
    return !is_mark;
}

size_t unicode_nmt(uint32_t out[2], uint32_t c) {
    const bool goes =
        (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
    const bool blank = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
                       (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
                       c == 0xfffd;

    out[0] = blank ? ' ' : c;
    return !goes;
}
