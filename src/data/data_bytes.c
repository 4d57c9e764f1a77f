#include "data/data_bytes.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"

#define MAGIC(text) text, sizeof(text) - 1

/* Files that are not text, by the bytes they begin with. */
static const struct {
    const char *magic;
    size_t size;
    const char *what, *remedy;
} kinds[] = {
    {MAGIC("\x1f\x8b"), "compressed with gzip", "unpack it first (gunzip)"},
    {MAGIC("\x28\xb5\x2f\xfd"), "compressed with zstd", "unpack it first (unzstd)"},
    {MAGIC("\xfd\x37zXZ"), "compressed with xz", "unpack it first (unxz)"},
    {MAGIC("\x04\x22\x4d\x18"), "compressed with lz4", "unpack it first (unlz4)"},
    {MAGIC("7z\xbc\xaf\x27\x1c"), "a 7z archive", "unpack it first (7z x)"},
    {MAGIC("PK\x03\x04"), "a zip archive or an Excel workbook", "unpack it (unzip), or save the table as CSV"},
    {MAGIC("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an Excel workbook", "save the table as CSV in UTF-8"},
    {MAGIC("PAR1"), "a Parquet table",
     "write it as JSONL (pandas: read_parquet(...).to_json(..., orient=\"records\", lines=True))"},
    {MAGIC("ARROW1"), "an Arrow table", "write it as JSONL (datasets: Dataset.to_json)"},
    {MAGIC("\xff\xff\xff\xff"), "an Arrow table", "write it as JSONL (datasets: Dataset.to_json)"},
    {MAGIC("\x89HDF\r\n"), "an HDF5 file", "write its rows as JSONL or CSV"},
    {MAGIC("\x93NUMPY"), "a NumPy array", "write its rows as JSONL or CSV"},
    {MAGIC("SQLite format 3"), "an SQLite database", "export the table as CSV"},
    {MAGIC(FILE_LFS_POINTER), "a Git LFS pointer, not the file itself", "fetch it (git lfs pull)"},
    {MAGIC("\xff\xfe\0\0"), "text in UTF-32", "convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)"},
    {MAGIC("\xff\xfe"), "text in UTF-16", "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"},
    {MAGIC("\xfe\xff"), "text in UTF-16", "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"},
};

static bool is_bzip2(const char *bytes, size_t size) {
    return size >= 10 && memcmp(bytes, "BZh", 3) == 0 && memcmp(bytes + 4, "1AY&SY", 6) == 0;
}

/* Protocols 2 to 5. */
static bool is_pickle(const char *bytes, size_t size) {
    return size >= 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
}

static bool is_tar(const char *bytes, size_t size) {
    return size >= 262 && memcmp(bytes + 257, "ustar", 5) == 0;
}

/* The length of a header in JSON, then the header. */
static bool is_safetensors(const char *bytes, size_t size) {
    return size >= 9 && memcmp(bytes + 5, "\0\0\0{", 4) == 0;
}

/* UTF-16 without a mark: half of ASCII's bytes, those at first and at first + 2, are NUL. */
static bool is_utf16(const char *bytes, size_t size, size_t first) {
    return size >= 4 && bytes[first] == 0 && bytes[first + 2] == 0 && bytes[1 - first] != 0 && bytes[3 - first] != 0;
}

static clora_status refuse(const char *name, const char *what, const char *remedy) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s is %s; %s", name, what, remedy);
}

clora_status data_check_kind(const char *name, const char *bytes, size_t size) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (size >= kinds[i].size && memcmp(bytes, kinds[i].magic, kinds[i].size) == 0)
            return refuse(name, kinds[i].what, kinds[i].remedy);
    if (is_bzip2(bytes, size))
        return refuse(name, "compressed with bzip2", "unpack it first (bunzip2)");
    if (is_pickle(bytes, size))
        return refuse(name, "a Python pickle, which clora does not run", "write its rows as JSONL or CSV");
    if (is_tar(bytes, size))
        return refuse(name, "a tar archive", "unpack it first (tar xf)");
    if (is_safetensors(bytes, size))
        return refuse(name, "a safetensors file", "data are pairs of texts in JSONL, CSV or text");
    if (is_utf16(bytes, size, 0))
        return refuse(name, "text in UTF-16", "convert it to UTF-8 (iconv -f UTF-16BE -t UTF-8)");
    if (is_utf16(bytes, size, 1))
        return refuse(name, "text in UTF-16", "convert it to UTF-8 (iconv -f UTF-16LE -t UTF-8)");
    return CLORA_OK;
}

clora_status data_check_text(const char *name, size_t line, const char *bytes, size_t size) {
    for (size_t i = 0; i < size;) {
        const unsigned char byte = (unsigned char)bytes[i];
        bool complete;
        if (byte == 0)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: line %zu: holds a NUL character; is it a text file in UTF-8?",
                              name, line);
        if (byte < 0x80) {
            line += byte == '\n';
            i++;
            continue;
        }
        const size_t n = utf8_prefix(bytes + i, size - i, &complete);
        if (!complete)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: line %zu: not UTF-8 (byte 0x%02x); convert the file with iconv",
                              name, line, byte);
        i += n;
    }
    return CLORA_OK;
}

size_t data_mark_size(const char *bytes, size_t size) {
    return size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}
