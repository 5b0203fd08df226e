/* micro_avx512_bf16.c - the micro-kernels for AVX-512 with its dot products of bfloat16. */
#if defined(__x86_64__) && !defined(VIDYA_NO_AVX512)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "internal.h"

#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma"))),                  \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma,prefer-vector-width=512")
#endif

#ifdef VIDYA_DOUBLE
#define VD_MAX(a, b) _mm512_max_pd((__m512d)(a), (__m512d)(b))
#define VD_MIN(a, b) _mm512_min_pd((__m512d)(a), (__m512d)(b))
#else
#define VD_MAX(a, b) _mm512_max_ps((__m512)(a), (__m512)(b))
#define VD_MIN(a, b) _mm512_min_ps((__m512)(a), (__m512)(b))
#endif
#define VD_MULTIPLY_HALVES(a, b) ((uvec)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#ifndef VIDYA_DOUBLE
#define VD_MULTIPLY_ADD_PAIRS(sum, a, b)                                                           \
    ((vec)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)_mm512_set1_epi32((int32_t)(a)), (__m512bh)(b)))
#endif
#define VD_LOAD_HALVES(p)                                                                          \
    _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))), 16)
#define VD_LOAD_INT8(p)                                                                            \
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define VD_TILE_ROWS 12
#define VD_TILE_VECTORS 2
#define VD_VECTOR_BYTES 64
#define VD_ISA_NAME "avx512_bf16"
#define VD_ISA_TABLE vd_micro_avx512_bf16
#include "micro.inc.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int vd_no_avx512_bf16_here;
#endif
