/* micro_avx2.c - the micro-kernels for AVX2 and FMA. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "internal.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define VD_VECTOR_BYTES 32
#define VD_ISA_NAME "avx2"
#define VD_ISA_TABLE vd_micro_avx2
#include "micro.inc.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int vd_no_avx2_here;
#endif
