/* blas.h - OpenBLAS, with or without a prefix before its symbols, in the
 * precision of vd_real. Declared here because the headers of the wheel and of
 * the system disagree about the prefix. */
#ifndef VIDYA_BLAS_H
#define VIDYA_BLAS_H

#include "vidya.h"

#define VD_PASTE2(a, b) a##b
#define VD_PASTE(a, b) VD_PASTE2(a, b)
#ifdef VIDYA_BLAS_PREFIX
#define VD_BLAS(name) VD_PASTE(VIDYA_BLAS_PREFIX, name)
#else
#define VD_BLAS(name) name
#endif

enum { VD_ROW_MAJOR = 101, VD_NO_TRANS = 111, VD_TRANS = 112 };

void VD_BLAS(openblas_set_num_threads)(int n);
int VD_BLAS(openblas_get_num_threads)(void);
int VD_BLAS(openblas_get_parallel)(void);
char *VD_BLAS(openblas_get_config)(void);

#ifdef VIDYA_DOUBLE
#define VD_GEMM VD_BLAS(cblas_dgemm)
#define VD_GEMV VD_BLAS(cblas_dgemv)
#else
#define VD_GEMM VD_BLAS(cblas_sgemm)
#define VD_GEMV VD_BLAS(cblas_sgemv)
#endif

void VD_GEMM(int order, int trans_a, int trans_b, int m, int n, int k, vd_real alpha,
             const vd_real *a, int lda, const vd_real *b, int ldb, vd_real beta, vd_real *c,
             int ldc);
void VD_GEMV(int order, int trans, int m, int n, vd_real alpha, const vd_real *a, int lda,
             const vd_real *x, int incx, vd_real beta, vd_real *y, int incy);

#endif
