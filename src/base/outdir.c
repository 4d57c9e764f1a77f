#include "base/outdir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_error.h"
#include "base/unfinished.h"

clora_status outdir_open(outdir *out, const char *directory, const char *last) {
    clora_status status = CLORA_OK;

    *out = (outdir){.last = last};
    TRY(claim_take(&out->claim, directory, false));
    unfinished_sweep(directory);
done:
    return status;
}

clora_status outdir_check_empty(const char *directory) {
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    bool empty = true;
    int error = 0;

    if (!entries)
        return file_error_write(directory, errno);
    while (empty && (entry = file_next_entry(&error, entries)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                unfinished_is_name(entry->d_name); /* of a writer that is still there */
    closedir(entries);
    if (error)
        return file_error_read(directory, error);
    if (!empty)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "the output directory %s is not empty: name a new one or empty it first", directory);
    if (access(directory, W_OK | X_OK) != 0)
        return file_error_write(directory, errno);
    return CLORA_OK;
}

/* The journal is begun with the first file: a run that writes none needs none. */
static clora_status remember(outdir *out, const char *name) {
    const char *directory = claim_path(out->claim);

    if (!out->journal_path) {
        out->journal = unfinished_create(&out->journal_path, directory, UNFINISHED_JOURNAL);
        if (out->journal < 0 || unfinished_journal_begin(out->journal, out->last) != 0)
            return file_error_write(directory, errno);
    }
    if (unfinished_journal_add(out->journal, name) != 0)
        return file_error_write(directory, errno);
    return CLORA_OK;
}

clora_status outdir_path(char **path, outdir *out, const char *name) {
    *path = file_join(claim_path(out->claim), name);
    if (!*path)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", name);
    return file_exists(*path) ? CLORA_OK : remember(out, name); /* one that is replaced is not to disappear */
}

void outdir_close(outdir *out, bool keep) {
    if (out->journal_path) {
        if (!keep)
            unfinished_journal_undo(out->journal, claim_path(out->claim));
        unlink(out->journal_path);
        if (out->journal >= 0)
            close(out->journal);
        free(out->journal_path);
    }
    claim_release(out->claim, false, keep);
    *out = (outdir){.claim = NULL};
}
