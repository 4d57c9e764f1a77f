#ifndef CLORA_DEVICE_WITHHOLD_H
#define CLORA_DEVICE_WITHHOLD_H

#include <stdbool.h>

/*
 * A thread may withhold its launches: they do nothing, so that a step can be recorded without being run (ops/tape.h).
 * Buffers are still made, filled and read meanwhile, which no recording repeats: they are seen, as the launches are.
 */
bool withhold(bool on); /* ending says whether anything was seen */

/* Whatever asks is seen. True: this thread's launches are withheld. */
bool withhold_sees(void);

#endif
