/* matmul.c - matrix products over OpenBLAS, called single-threaded on tiles of
 * the output from the pool. The tiles depend on the shapes alone, so the numbers
 * do not depend on the number of threads. */
#include "blas.h"
#include "internal.h"

enum {
    TILE_ROWS = 256,    /* enough rows for OpenBLAS to run at full speed */
    TILE_COLUMNS = 512, /* columns a tile keeps when there are rows enough */
    MIN_COLUMNS = 64,
    MIN_TILES = 8,               /* so that several cores find work in a small product */
    MIN_TILE_FLOPS = 1 << 20,    /* below this a tile costs more than it shares */
    ROW_TILE_ELEMENTS = 1 << 16, /* of the weights, when x is a single row */
    ALIGNMENT = 16,              /* tiles begin at multiples of the micro-kernel's width */
};

typedef struct {
    vd_real *c;           /* [rows, columns] */
    const vd_real *a, *b; /* [rows, inner] and [inner, columns], or these transposed */
    int trans_a, trans_b;
    int64_t rows, columns, inner;
    int64_t lda, ldb;
    int64_t tile_rows, tile_columns, tiles_across;
    vd_real beta;
} product;

/* Even cuts of `size` into about `parts`, each a multiple of ALIGNMENT. */
static int64_t even_cut(int64_t size, int64_t parts)
{
    int64_t cut = vd_ceil_div(size, vd_max(1, parts));
    return vd_min(size, vd_ceil_div(cut, ALIGNMENT) * ALIGNMENT);
}

static void choose_tiles(product *p)
{
    double flops = 2.0 * (double)p->rows * (double)p->columns * (double)p->inner;
    int64_t down = vd_ceil_div(p->rows, TILE_ROWS);
    int64_t across = 1;
    if (down < MIN_TILES) {
        across = vd_ceil_div(MIN_TILES, down);
        across = vd_min(across, (int64_t)(flops / (double)MIN_TILE_FLOPS / (double)down));
        across = vd_min(across, p->columns / MIN_COLUMNS);
    } else if (p->columns > 2 * TILE_COLUMNS) {
        across = vd_ceil_div(p->columns, TILE_COLUMNS);
    }
    p->tile_rows = even_cut(p->rows, down);
    p->tile_columns = even_cut(p->columns, across);
    p->tiles_across = vd_ceil_div(p->columns, p->tile_columns);
}

static void multiply_tile(int64_t i, void *context)
{
    const product *p = context;
    int64_t row = i / p->tiles_across * p->tile_rows;
    int64_t column = i % p->tiles_across * p->tile_columns;
    int64_t rows = vd_min(p->tile_rows, p->rows - row);
    int64_t columns = vd_min(p->tile_columns, p->columns - column);
    const vd_real *a = p->a + (p->trans_a == VD_TRANS ? row : row * p->lda);
    const vd_real *b = p->b + (p->trans_b == VD_TRANS ? column * p->ldb : column);
    VD_GEMM(VD_ROW_MAJOR, p->trans_a, p->trans_b, (int)rows, (int)columns, (int)p->inner, 1, a,
            (int)p->lda, b, (int)p->ldb, p->beta, p->c + row * p->columns + column,
            (int)p->columns);
}

static void keep_blas_single_threaded(void)
{
    if (VD_BLAS(openblas_get_num_threads)() != 1)
        VD_BLAS(openblas_set_num_threads)(1);
}

static void multiply(product *p)
{
    keep_blas_single_threaded();
    choose_tiles(p);
    vd_parallel(vd_ceil_div(p->rows, p->tile_rows) * p->tiles_across, multiply_tile, p);
}

static void multiply_row_tile(int64_t i, void *context)
{
    const product *p = context;
    int64_t first = i * p->tile_rows;
    VD_GEMV(VD_ROW_MAJOR, VD_NO_TRANS, (int)vd_min(p->tile_rows, p->rows - first), (int)p->inner, 1,
            p->a + first * p->inner, (int)p->inner, p->b, 1, p->beta, p->c + first, 1);
}

/* y [n] = w [n, k] * x [k], as in generation: every weight is read once and used
 * once, so the work is cut by bytes, not by arithmetic. */
static void multiply_row(vd_real *y, const vd_real *x, const vd_real *w, int64_t n, int64_t k,
                         int accumulate)
{
    product p = {.c = y, .a = w, .b = x, .rows = n, .inner = k, .beta = accumulate ? 1 : 0};
    keep_blas_single_threaded();
    p.tile_rows = vd_max(ALIGNMENT, ROW_TILE_ELEMENTS / k / ALIGNMENT * ALIGNMENT);
    vd_parallel(vd_ceil_div(n, p.tile_rows), multiply_row_tile, &p);
}

void vidya_matmul_forward(vd_real *y, const vd_real *x, const vd_real *w, int64_t m, int64_t n,
                          int64_t k, int accumulate)
{
    vd_assert(y && x && w && m > 0 && n > 0 && k > 0);
    if (m == 1) {
        multiply_row(y, x, w, n, k, accumulate);
        return;
    }
    product p = {.c = y,
                 .a = x,
                 .b = w,
                 .trans_a = VD_NO_TRANS,
                 .trans_b = VD_TRANS,
                 .rows = m,
                 .columns = n,
                 .inner = k,
                 .lda = k,
                 .ldb = k,
                 .beta = accumulate ? 1 : 0};
    multiply(&p);
}

void vidya_matmul_backward_input(vd_real *dx, const vd_real *dy, const vd_real *w, int64_t m,
                                 int64_t n, int64_t k, int accumulate)
{
    vd_assert(dx && dy && w && m > 0 && n > 0 && k > 0);
    product p = {.c = dx,
                 .a = dy,
                 .b = w,
                 .trans_a = VD_NO_TRANS,
                 .trans_b = VD_NO_TRANS,
                 .rows = m,
                 .columns = k,
                 .inner = n,
                 .lda = n,
                 .ldb = k,
                 .beta = accumulate ? 1 : 0};
    multiply(&p);
}

void vidya_matmul_backward_weight(vd_real *dw, const vd_real *dy, const vd_real *x, int64_t m,
                                  int64_t n, int64_t k, int accumulate)
{
    vd_assert(dw && dy && x && m > 0 && n > 0 && k > 0);
    product p = {.c = dw,
                 .a = dy,
                 .b = x,
                 .trans_a = VD_TRANS,
                 .trans_b = VD_NO_TRANS,
                 .rows = n,
                 .columns = k,
                 .inner = m,
                 .lda = n,
                 .ldb = k,
                 .beta = accumulate ? 1 : 0};
    multiply(&p);
}
