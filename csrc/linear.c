/* linear.c - products with what surrounds them, over packed panels.
 *
 * C [rows, columns] = A [rows, inner] * B [inner, columns], as in BLIS (Van Zee and
 * van de Geijn 2015): B is packed into panels as wide as the micro-kernel, once, by
 * all threads; a task then takes a block of rows, packs its part of A, multiplies
 * panel by panel into a block of C of its own that stays in the second-level cache,
 * and finishes that block (micro_linear.inc.h). Blocks depend on the shapes alone and
 * the inner dimension is summed in order, so the numbers do not depend on the threads.
 */
#include "internal.h"

enum {
    INNER = VD_INNER,       /* steps of the inner dimension that a panel holds */
    BLOCK_ROWS = 72,        /* of A and C: with BLOCK_COLUMNS they fill half the L2 cache */
    BLOCK_COLUMNS = 512,    /* of C; a multiple of every micro-kernel's width */
    LEAST_ROWS = 24,        /* below this the panels of B are read too often */
    LEAST_COLUMNS = 128,    /* when a task takes part of the columns */
    TASKS = 8,              /* so that several cores find work in a small product */
    PACK_COLUMNS = 64,      /* of B that a task packs; a multiple of every width */
    PACKED = 1536 * 1536,   /* elements of B that are packed at one time */
    ALIGNMENT = 64,
};

typedef struct {
    const vd_operand *a, *b;
    const vidya_output *c;
    int64_t rows, columns, inner;
    int64_t ldc;
    int half;
    char *packed;                     /* panels of the part of B below */
    int64_t column0, part_columns;    /* which part: columns */
    int64_t inner0, part_inner;       /* and steps */
    int64_t task_rows, task_columns, tasks_across;
    vidya_output to;                  /* c, or plain partial sums */
} product;

/* Bytes of one step and lane of a panel. */
static int64_t element_bytes(const product *p)
{
    return p->half && vd_micro_kernels()->pairs ? 2 : (int64_t)sizeof(vd_real);
}

/* Where the panel of B at `column` of the part and block `inner` of it begins. A panel
 * takes an even number of steps. */
static char *panel_of_b(const product *p, int64_t inner, int64_t column)
{
    int64_t nr = vd_micro_kernels()->nr;
    int64_t padded = vd_ceil_div(p->part_columns, nr) * nr;
    int64_t steps = vd_min(INNER, p->part_inner - inner);
    return p->packed + (inner * padded + (steps + (steps & 1)) * column) * element_bytes(p);
}

/* ---- packing B: a task is some panels over all steps of the part ----------------- */

static void pack_panels(int64_t i, void *context)
{
    const product *p = context;
    const vd_micro *micro = vd_micro_kernels();
    int64_t column = i * PACK_COLUMNS;
    for (int64_t inner = 0; inner < p->part_inner; inner += INNER) {
        int64_t steps = vd_min(INNER, p->part_inner - inner);
        micro->pack(panel_of_b(p, inner, column), micro->nr, p->b, p->column0 + column,
                    vd_min(PACK_COLUMNS, p->part_columns - column), p->inner0 + inner, steps,
                    p->half);
    }
}

/* ---- a task: some rows by some columns ---------------------------------------------- */

static void multiply_block(const product *p, char *a, vd_real *block, int64_t row, int64_t rows,
                           int64_t column, int64_t columns, int *a_is_packed)
{
    const vd_micro *micro = vd_micro_kernels();
    int64_t mr = micro->mr, nr = micro->nr;
    for (int64_t inner = 0; inner < p->part_inner; inner += INNER) {
        int64_t steps = vd_min(INNER, p->part_inner - inner);
        int64_t panel = mr * (steps + (steps & 1)) * element_bytes(p);
        if (!*a_is_packed)
            micro->pack(a, mr, p->a, row, rows, p->inner0 + inner, steps, p->half);
        *a_is_packed = p->part_inner <= INNER; /* then A stays for the next columns */
        for (int64_t j = 0; j < columns; j += nr)
            for (int64_t r = 0; r < rows; r += mr)
                (p->half ? micro->multiply_half : micro->multiply)(
                    block + r * BLOCK_COLUMNS + j, BLOCK_COLUMNS, a + r / mr * panel,
                    panel_of_b(p, inner, column + j), steps, inner > 0);
    }
}

static void multiply_task(int64_t i, void *context)
{
    const product *p = context;
    const vd_micro *micro = vd_micro_kernels();
    char a[BLOCK_ROWS * INNER * sizeof(vd_real)] __attribute__((aligned(ALIGNMENT)));
    vd_real block[BLOCK_ROWS * BLOCK_COLUMNS] __attribute__((aligned(ALIGNMENT)));
    int64_t row = i / p->tasks_across * p->task_rows;
    int64_t first = i % p->tasks_across * p->task_columns;
    int64_t rows = vd_min(p->task_rows, p->rows - row);
    int64_t end = vd_min(p->part_columns, first + p->task_columns);
    int a_is_packed = 0;
    for (int64_t column = first; column < end; column += BLOCK_COLUMNS) {
        int64_t columns = vd_min(BLOCK_COLUMNS, end - column);
        multiply_block(p, a, block, row, rows, column, columns, &a_is_packed);
        for (int64_t r = 0; r < rows; r++)
            micro->finish(&p->to, block + r * BLOCK_COLUMNS, row + r, p->column0 + column,
                          columns, p->ldc);
    }
}

/* ---- the whole ------------------------------------------------------------------------- */

static int64_t round_up(int64_t n, int64_t to) { return vd_ceil_div(n, to) * to; }

static void choose_tasks(product *p)
{
    int64_t mr = vd_micro_kernels()->mr, nr = vd_micro_kernels()->nr;
    int64_t rows = vd_max(LEAST_ROWS, vd_ceil_div(p->rows, TASKS));
    int64_t down = vd_ceil_div(p->rows, vd_min(rows, BLOCK_ROWS / mr * mr));
    p->task_rows = round_up(vd_ceil_div(p->rows, down), mr);
    down = vd_ceil_div(p->rows, p->task_rows);
    int64_t across = down >= TASKS ? 1 : vd_ceil_div(TASKS, down);
    across = vd_max(1, vd_min(across, p->part_columns / LEAST_COLUMNS));
    p->task_columns = round_up(vd_ceil_div(p->part_columns, across), nr);
    p->tasks_across = vd_ceil_div(p->part_columns, p->task_columns);
}

static void multiply_part(product *p)
{
    vd_parallel(vd_ceil_div(p->part_columns, PACK_COLUMNS), pack_panels, p);
    choose_tasks(p);
    vd_parallel(vd_ceil_div(p->rows, p->task_rows) * p->tasks_across, multiply_task, p);
}

/* B in parts that fit the workspace. Where C takes sums as they are, a part is some
 * steps of all (or many) columns and C is added to; else it is all steps of some. */
static void multiply(product *p)
{
    int64_t nr = vd_micro_kernels()->nr;
    int plain = !p->c->half && !p->c->residual && !p->c->gelu_of;
    int64_t steps = plain ? vd_min(p->inner, 4 * INNER) : p->inner;
    int64_t columns = vd_max(nr, PACKED / round_up(steps, 2) / nr * nr);
    for (p->column0 = 0; p->column0 < p->columns; p->column0 += columns)
        for (p->inner0 = 0; p->inner0 < p->inner; p->inner0 += steps) {
            p->part_columns = vd_min(columns, p->columns - p->column0);
            p->part_inner = vd_min(steps, p->inner - p->inner0);
            p->to = *p->c;
            p->to.accumulate = p->c->accumulate || p->inner0 > 0;
            multiply_part(p);
        }
}

int64_t vidya_workspace_bytes(void)
{
    return (int64_t)PACKED * (int64_t)sizeof(vd_real) + ALIGNMENT;
}

void vidya_linear_forward(const vidya_output *y, const vidya_input *x, const vd_real *w, int64_t T,
                          int64_t n, int64_t k, int half, void *workspace)
{
    vidya_input weights = {.data = w};
    vd_operand a = {.of = x, .stride = k, .lanes_are_rows = 1};
    vd_operand b = {.of = &weights, .stride = k, .lanes_are_rows = 1};
    product p = {.a = &a, .b = &b, .c = y, .rows = T, .columns = n, .inner = k, .ldc = n,
                 .half = half, .packed = workspace};
    multiply(&p);
}

void vidya_linear_backward_input(const vidya_output *dx, const vidya_input *dy, const vd_real *w,
                                 int64_t T, int64_t n, int64_t k, int half, void *workspace)
{
    vidya_input weights = {.data = w};
    vd_operand a = {.of = dy, .stride = n, .lanes_are_rows = 1};
    vd_operand b = {.of = &weights, .stride = k, .lanes_are_rows = 0};
    product p = {.a = &a, .b = &b, .c = dx, .rows = T, .columns = k, .inner = n, .ldc = k,
                 .half = half, .packed = workspace};
    multiply(&p);
}

void vidya_linear_backward_weight(vd_real *dw, const vidya_input *dy, const vidya_input *x,
                                  int64_t T, int64_t n, int64_t k, int half, int accumulate,
                                  void *workspace)
{
    vidya_output to = {.data = dw, .accumulate = accumulate};
    vd_operand a = {.of = dy, .stride = n, .lanes_are_rows = 0};
    vd_operand b = {.of = x, .stride = k, .lanes_are_rows = 0};
    product p = {.a = &a, .b = &b, .c = &to, .rows = n, .columns = k, .inner = T, .ldc = k,
                 .half = half, .packed = workspace};
    multiply(&p);
}
