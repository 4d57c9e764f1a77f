#ifndef CLI_WATCHDOG_H
#define CLI_WATCHDOG_H

#include "cli/cli.h"

/*
 * Ends a command whose driver does not come back: a thread that asks clora_devices_stalled(), and after
 * CLORA_DEVICE_TIMEOUT seconds (0: never) says so and ends the program, since nothing else can. What the driver holds
 * goes with the process.
 */

/* Read the limit; false after an error message. */
bool watchdog_setting(const cli_state *cli);

/* From now on. The state must live as long as the program. Again does nothing. */
void watchdog_start(const cli_state *cli);

#endif
