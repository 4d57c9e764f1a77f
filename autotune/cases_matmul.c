#include "case.h"

const op_case cases_matmul[] = {
    {.name = NULL},
};
