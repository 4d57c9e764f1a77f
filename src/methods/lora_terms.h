#ifndef CLORA_METHODS_LORA_TERMS_H
#define CLORA_METHODS_LORA_TERMS_H

#include "methods/lora_adapter.h"

/* The low-rank terms that the choices ask for, with their place in chunks. What trains has no values yet. */
clora_status lora_create_terms(lora_adapter *lora);

#endif
