/* micro_generic.c - the micro-kernels in 16-byte vectors, which every target has. */
#include "internal.h"

#define VD_VECTOR_BYTES 16
#define VD_ISA_NAME "generic"
#define VD_ISA_TABLE vd_micro_generic
#include "micro.inc.h"
