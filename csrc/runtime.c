/* runtime.c - which micro-kernels run, and OpenBLAS's own settings. */
#include <string.h>

#include "blas.h"
#include "internal.h"

static const vd_micro *best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return __builtin_cpu_supports("avx512bf16") ? &vd_micro_avx512_bf16 : &vd_micro_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &vd_micro_avx2;
#endif
    return &vd_micro_generic;
}

static const vd_micro *chosen;

/* At load, before any thread can ask. */
__attribute__((constructor)) static void choose(void)
{
    chosen = best();
    VD_BLAS(openblas_set_num_threads)(1);
}

const vd_micro *vd_micro_kernels(void)
{
    return chosen;
}

const char *vidya_get_isa(void)
{
    return chosen->name;
}

int vidya_has_bf16(void)
{
    return chosen->pairs && chosen != &vd_micro_pairs;
}

int vidya_set_isa(const char *name)
{
    /* from the widest to the narrowest: what stands after the best is available */
    static const vd_micro *const all[] = {
#if defined(__x86_64__)
        &vd_micro_avx512_bf16,
        &vd_micro_avx512,
        &vd_micro_avx2,
#endif
        &vd_micro_generic,
        &vd_micro_pairs,
    };
    int available = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        available |= all[i] == best();
        if (available && strcmp(name, all[i]->name) == 0) {
            chosen = all[i];
            return 0;
        }
    }
    return -1;
}

void vidya_openblas_set_num_threads(int n)
{
    VD_BLAS(openblas_set_num_threads)(n);
}

int vidya_openblas_get_num_threads(void)
{
    return VD_BLAS(openblas_get_num_threads)();
}

int vidya_openblas_get_parallel(void)
{
    return VD_BLAS(openblas_get_parallel)();
}

const char *vidya_openblas_config(void)
{
    return VD_BLAS(openblas_get_config)();
}
