/* dispatch.c - which micro-kernels run, and OpenBLAS's own settings. */
#include <string.h>

#include "blas.h"
#include "internal.h"

/* Whether this processor can run them. */
static int runs(const vd_micro *micro)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#ifndef VIDYA_NO_AVX512
    int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (micro == &vd_micro_avx512_bf16)
        return avx512 && __builtin_cpu_supports("avx512bf16");
    if (micro == &vd_micro_avx512)
        return avx512;
#endif
    if (micro == &vd_micro_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    (void)micro;
    return 1;
}

/* Whether its products of bfloat16 are faster than those of float. Intel's cores do half
 * as many operations in vdpbf16ps as in two fused multiply-adds (measured on Emerald
 * Rapids: 92 against 194 GFLOP/s); AMD's, from Zen 4 on, do twice as many. */
static int pairs_pay(void)
{
#if defined(__x86_64__)
    return !__builtin_cpu_is("intel");
#else
    return 1;
#endif
}

/* From the widest to the narrowest; "pairs" is for tests alone. */
/* clang-format off: one a line */
static const vd_micro *const all[] = {
#if defined(__x86_64__)
#ifndef VIDYA_NO_AVX512 /* defined: left out, for compilers that do not know it */
    &vd_micro_avx512_bf16, &vd_micro_avx512,
#endif
    &vd_micro_avx2,
#endif
    &vd_micro_generic,     &vd_micro_pairs,
};
/* clang-format on */

static const vd_micro *best(void)
{
    const vd_micro *const *micro = all;
    while (!runs(*micro) || ((*micro)->pairs && !pairs_pay()))
        micro++;
    return *micro;
}

static const vd_micro *chosen;

/* At load, before any thread can ask. */
__attribute__((constructor)) static void choose(void)
{
    chosen = best();
    VD_BLAS(openblas_set_num_threads)(1);
}

const vd_micro *vd_micro_kernels(void) { return chosen; }

const char *vidya_get_isa(void) { return chosen->name; }

int vidya_has_bf16(void) { return chosen->pairs && chosen != &vd_micro_pairs && pairs_pay(); }

int vidya_set_isa(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i]->name) == 0 && runs(all[i])) {
            chosen = all[i];
            return 0;
        }
    return -1;
}

void vidya_openblas_set_num_threads(int n) { VD_BLAS(openblas_set_num_threads)(n); }

int vidya_openblas_get_num_threads(void) { return VD_BLAS(openblas_get_num_threads)(); }

int vidya_openblas_get_parallel(void) { return VD_BLAS(openblas_get_parallel)(); }

const char *vidya_openblas_config(void) { return VD_BLAS(openblas_get_config)(); }
