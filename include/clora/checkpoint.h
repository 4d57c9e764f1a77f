/**
 * @file clora/checkpoint.h
 * @brief Tier 4: keep a training run on disk, and go on with it later with the same bits.
 */
#ifndef CLORA_CHECKPOINT_H
#define CLORA_CHECKPOINT_H

#include <clora/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier4
 * @{
 */

/**
 * Write all that a run needs to go on after its last update: the parameters that train, what the optimizer keeps of
 * them, the place in the data, and what the run is (docs/formats.md). Waits.
 *
 * The file appears under its name when it is complete and on disk; until then whatever had that name stays. It takes
 * the memory of the largest buffer of parameters besides.
 *
 * @param[in,out] trainer  stays where it is in its run
 * @param[in]     path     a file, not NULL
 * @param[in]     note     a text of the program's own, kept in the file; NULL: none
 *
 * @return CLORA_OK; CLORA_ERROR_IO when the file cannot be written, CLORA_ERROR_FORMAT when one of the base's cannot be
 * read any more
 */
CLORA_API clora_status clora_trainer_save(clora_trainer *trainer, const char *path, const char *note);

/**
 * Take a new trainer to where another one was when it wrote a checkpoint. It must have been made like that one: of the
 * same base, data and options, with an adapter made alike. From there on each update has the bits that it would have
 * had, on the same device with the same tuned parameters: clora_launch_plan_compare() tells after a step. Waits.
 *
 * @param[in,out] trainer  before its first update; after a failure other than CLORA_ERROR_ARGUMENT it is only to be
 *                         freed
 * @param[in]     path     of clora_trainer_save()
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when the trainer has begun, or names what differs between the two runs;
 * CLORA_ERROR_NOT_FOUND for a missing file, CLORA_ERROR_FORMAT for one that is no whole checkpoint
 */
CLORA_API clora_status clora_trainer_restore(clora_trainer *trainer, const char *path);

/** What the head of a checkpoint says. Free with clora_inspected_checkpoint_free(). */
typedef struct clora_inspected_checkpoint {
    int step;   /**< updates that are done */
    int steps;  /**< updates of the whole run */
    char *note; /**< as handed to clora_trainer_save(); "" where there was none */
} clora_inspected_checkpoint;

/**
 * Look at a checkpoint: only its head is read, and no device is needed. Any thread.
 *
 * @param[out] out   yours to free with clora_inspected_checkpoint_free()
 * @param[in]  path  of clora_trainer_save()
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND for a missing file, CLORA_ERROR_FORMAT for one that is no whole checkpoint
 */
CLORA_API clora_status clora_inspect_checkpoint(clora_inspected_checkpoint **out, const char *path);

/**
 * Free what clora_inspect_checkpoint() made.
 *
 * @param[in] checkpoint  NULL is allowed
 */
CLORA_API void clora_inspected_checkpoint_free(clora_inspected_checkpoint *checkpoint);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
