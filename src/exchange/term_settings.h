#ifndef CLORA_EXCHANGE_TERM_SETTINGS_H
#define CLORA_EXCHANGE_TERM_SETTINGS_H

#include "exchange/term_list.h"

/*
 * Make the list's settings say what its terms are: rank, alpha and the modules. The base's name, the task and the
 * dropout stay.
 *
 * layers        of the base, so that terms in all of them need no list of layers; 0: not known
 * keep_targets  the settings name the right modules already
 */
clora_status term_settings(term_list *list, int layers, bool keep_targets);

#endif
