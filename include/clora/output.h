/**
 * @file clora/output.h
 * @brief Tier 3: claim the directory that an adapter or a model is going to be written to.
 *
 * clora_adapter_save() and clora_merge() claim their directory while they last. A program that works for hours before
 * it saves claims it first, so that no other one finds the same place empty and writes there too.
 */
#ifndef CLORA_OUTPUT_H
#define CLORA_OUTPUT_H

#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** A directory that this process alone writes to. */
typedef struct clora_output clora_output;

/**
 * Claim a directory, which is made when it is not there (the one above it must be) and must be empty and writable
 * otherwise. Files that killed runs left unfinished in it are removed; clora_set_note() tells their names.
 *
 * Until it is closed, other processes are refused, and calls of this process may write there one at a time. The claim
 * is a lock (flock) on the directory: it leaves no file and ends with the process, however that ends. On a network file
 * system it holds among the processes of one machine. Any thread.
 *
 * @param[out] out        yours to give back with clora_output_close()
 * @param[in]  directory  not NULL
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when the directory is not empty or claimed by another run,
 * CLORA_ERROR_NOT_FOUND when the directory above it is not there, CLORA_ERROR_IO when the system does not allow it
 */
CLORA_API clora_status clora_output_open(clora_output **out, const char *directory);

/**
 * Claim a directory as it is, to go on with what is in it: clora_output_open() for one that need not be empty and must
 * be there. Any thread.
 *
 * @param[out] out        yours to give back with clora_output_close()
 * @param[in]  directory  not NULL
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when the directory is claimed by another run, CLORA_ERROR_NOT_FOUND when it is
 * not there, CLORA_ERROR_IO when the system does not allow it
 */
CLORA_API clora_status clora_output_continue(clora_output **out, const char *directory);

/**
 * Did the claim make the directory?
 *
 * @param[in] output  NULL: 0
 *
 * @return 1, or 0 when it was there
 */
CLORA_API int clora_output_is_new(const clora_output *output);

/**
 * Give a directory back.
 *
 * @param[in] output  freed; NULL is allowed
 * @param[in] keep    0: a directory that the claim made is removed again if it is still empty
 */
CLORA_API void clora_output_close(clora_output *output, int keep);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
