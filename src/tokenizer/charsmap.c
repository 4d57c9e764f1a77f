#include "tokenizer/charsmap.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "tokenizer/components.h"

#define LONGEST_KEY 64     /* bytes of a text of the map; known ones have up to 18 */
#define LARGEST_GRAPHEME 5 /* bytes: longer ones are mapped character by character */

struct charsmap {
    unsigned char *bytes; /* the decoded file */
    size_t units;         /* of the double array, four bytes each, after the size */
    const char *texts;    /* the replacements */
    size_t texts_size;
    bool longest; /* of the texts that begin at a place, the longest counts, as SentencePiece itself has it */
};

/* ---- Reading ---- */

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* Base64 with its padding. */
static bool decode_base64(unsigned char *out, size_t *size, const char *text, size_t n) {
    const size_t padding = n < 2 ? 0 : (size_t)(text[n - 1] == '=') + (text[n - 1] == '=' && text[n - 2] == '=');
    uint32_t bits = 0;

    *size = 0;
    if (n % 4 != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        const int digit = i < n - padding ? digit_of(text[i]) : 0;
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 3) {
            out[(*size)++] = (unsigned char)(bits >> 16);
            out[(*size)++] = (unsigned char)(bits >> 8);
            out[(*size)++] = (unsigned char)bits;
        }
    }
    *size -= padding;
    return true;
}

static uint32_t read_u32(const unsigned char *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static clora_status read_map(charsmap *map, const char *text, size_t n, const char *where) {
    size_t size, bad;

    map->bytes = alloc_array(n / 4 * 3 + 1, 1);
    if (!map->bytes)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a normalizer");
    if (!decode_base64(map->bytes, &size, text, n))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"precompiled_charsmap\" is not base64", where);
    const size_t array = size < 4 ? 0 : read_u32(map->bytes);
    if (size < 4 || array > size - 4 || array % 4 != 0 || array == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"precompiled_charsmap\" is cut short, or no such map", where);
    map->units = array / 4;
    map->texts = (const char *)map->bytes + 4 + array;
    map->texts_size = size - 4 - array;
    if (!utf8_valid(map->texts, map->texts_size, &bad))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"precompiled_charsmap\" writes what is not UTF-8", where);
    return CLORA_OK;
}

clora_status charsmap_create(charsmap **out, const json_t *specification, const char *where) {
    charsmap *map = calloc(1, sizeof(*map));
    clora_status status = CLORA_OK;
    const char *text;
    size_t n;

    *out = NULL;
    if (!map)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a normalizer"));
    TRY(component_string(&text, &n, specification, "precompiled_charsmap", where));
    TRY(read_map(map, text, n, where));
    map->longest = json_is_true(json_object_get(specification, CHARSMAP_LONGEST));
    *out = map;
    map = NULL;
done:
    charsmap_free(map);
    return status;
}

void charsmap_free(charsmap *map) {
    if (map)
        free(map->bytes);
    free(map);
}

/* ---- Mapping ---- */

/* A unit: bit 31 and the low byte are its label, bit 8 says that a text ends here, the rest says where its children
 * lie. */
static bool unit_at(const charsmap *map, size_t place, uint32_t *unit) {
    if (place >= map->units)
        return false;
    *unit = read_u32(map->bytes + 4 + 4 * place);
    return true;
}

static size_t children_of(uint32_t unit) {
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What is written for a text, by the shortest (or longest) text of the map that it begins with, which has *length
 * bytes; NULL for nothing. */
static const char *find(const charsmap *map, const char *text, size_t size, size_t *length) {
    const char *found = NULL;
    uint32_t unit, value;
    size_t place;

    if (!unit_at(map, 0, &unit))
        return NULL;
    place = children_of(unit);
    for (size_t i = 0; i < size && text[i] != '\0' && (!found || map->longest); i++) {
        place ^= (unsigned char)text[i];
        if (!unit_at(map, place, &unit) || (unit & (1u << 31 | 0xff)) != (unsigned char)text[i])
            break;
        place ^= children_of(unit);
        if (!(unit & 1u << 8))
            continue;
        if (!unit_at(map, place, &value) || (value & INT32_MAX) >= map->texts_size)
            break;
        found = map->texts + (value & INT32_MAX);
        *length = i + 1;
    }
    return found;
}

/* The end of the grapheme that begins at a place. */
static size_t grapheme_end(const piece *in, size_t at) {
    utf8proc_int32_t state = 0;
    uint32_t last, c;
    size_t end = at + utf8_decode(in->text + at, &last);

    while (end < in->size) {
        const size_t n = utf8_decode(in->text + end, &c);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)c, &state))
            break;
        end += n;
        last = c;
    }
    return end;
}

/* The bytes from..to, by what the map writes for them; as they are where it has nothing. */
static clora_status put(text_buffer *out, piece *to, const charsmap *map, const piece *in, size_t from, size_t end) {
    size_t length;
    const char *text = find(map, in->text + from, end - from, &length);
    clora_status status = CLORA_OK;

    if (text)
        TRY(text_append(out, text, strnlen(text, (size_t)(map->texts + map->texts_size - text))));
    else
        TRY(text_append(out, in->text + from, end - from));
    piece_replaced(to, in, end, out->size);
done:
    return status;
}

/*
 * A short grapheme that the map knows is written anew as a whole, otherwise each of its characters is. The map is asked
 * for the shortest text that matches, so that marks after it may be lost: the `tokenizers` package does the same.
 */
static clora_status put_grapheme(text_buffer *out, piece *to, const charsmap *map, const piece *in, size_t from,
                                 size_t end, bool *crossed) {
    const size_t border = in->marks[PIECE_BORDER];
    clora_status status = CLORA_OK;
    size_t length;

    if (end - from <= LARGEST_GRAPHEME && find(map, in->text + from, end - from, &length)) {
        *crossed |= from < border && border < end;
        return put(out, to, map, in, from, end);
    }
    for (size_t at = from, next; at < end; at = next) {
        next = at + utf8_length(in->text[at]);
        TRY(put(out, to, map, in, at, next));
    }
done:
    return status;
}

/* The longest text of the map that begins at a place, else a character as it is. */
static clora_status put_longest(text_buffer *out, piece *to, const charsmap *map, const piece *in, size_t from,
                                size_t *end, bool *crossed) {
    const size_t border = in->marks[PIECE_BORDER], left = in->size - from;
    size_t length = utf8_length(in->text[from]);

    find(map, in->text + from, left < LONGEST_KEY ? left : LONGEST_KEY, &length);
    if (length < left && (in->text[from + length] & 0xc0) == 0x80) /* no end of a character */
        length = utf8_length(in->text[from]);
    *end = from + length;
    *crossed |= from < border && border < *end;
    return put(out, to, map, in, from, *end);
}

clora_status charsmap_normalize(text_buffer *out, piece *to, const charsmap *map, const piece *in, bool *crossed) {
    clora_status status = CLORA_OK;

    for (size_t at = 0, end; at < in->size; at = end) {
        if (map->longest) {
            TRY(put_longest(out, to, map, in, at, &end, crossed));
            continue;
        }
        end = grapheme_end(in, at);
        TRY(put_grapheme(out, to, map, in, at, end, crossed));
    }
done:
    return status;
}
