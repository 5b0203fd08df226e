/* linear.c - products with what surrounds them, over packed panels.
 *
 * C [rows, columns] = A [rows, inner] * B [inner, columns], as in BLIS (Van Zee and
 * van de Geijn 2015): B is packed into panels as wide as the micro-kernel, once, by
 * all threads, and so is A where the inner dimension is long; a task then takes a block
 * of rows, packs its part of A if that was not done, and multiplies panel by panel: into
 * C where nothing but sums goes there, else into a block of its own that stays in the
 * second-level cache and is then finished (micro_linear.inc.h). Blocks depend on the shapes alone and
 * the inner dimension is summed in order, so the numbers do not depend on the threads.
 */
#include <string.h>

#include "internal.h"

enum {
    INNER = VD_INNER, /* steps of the inner dimension that a panel holds */
    BLOCK_ROWS = 72,  /* of A and C: with BLOCK_COLUMNS they fill half the L2 cache */
    BLOCK_COLUMNS = VD_BLOCK_COLUMNS,
    LEAST_ROWS = 24,        /* below this the panels of B are read too often */
    LEAST_COLUMNS = 128,    /* when a task takes part of the columns */
    TASKS = 8,              /* so that several cores find work in a small product */
    PACK_COLUMNS = 64,      /* of B that a task packs; a multiple of every width */
    PACK_ROWS = 72,         /* of A, likewise */
    MOST_STEPS = 4 * INNER, /* that are packed at one time where sums may be added to C */
    PACKED = 1536 * 1536,   /* elements of a factor that are packed at one time */
};

typedef struct {
    const vd_operand *a, *b;
    const vidya_weights *compressed; /* not NULL: B is this, and in panels already */
    const vidya_output *c;
    int64_t rows, columns, inner;
    int64_t ldc;
    int half;
    int plain;                     /* C takes sums as they are, or added */
    char *packed_b, *packed_a;     /* panels of the part below; A's may be missing */
    int64_t column0, part_columns; /* which part: columns, */
    int64_t inner0, part_inner;    /* steps */
    int64_t row0, part_rows;       /* and rows */
    int64_t task_rows, task_columns, tasks_across;
    int add; /* to what stands in C */
} product;

/* Bytes of one step and lane of a panel. */
static int64_t element_bytes(const product *p)
{
    return p->half && vd_micro_kernels()->pairs ? 2 : (int64_t)sizeof(vd_real);
}

/* Where the panel of a packed factor begins: lane `lane` of `lanes`, from step `inner` of
 * the part on. Panels of the same steps follow each other; each takes an even number of
 * steps. */
static char *panel_at(const product *p, char *packed, int64_t width, int64_t lanes, int64_t lane,
                      int64_t inner)
{
    int64_t steps = vd_min(INNER, p->part_inner - inner);
    int64_t before = inner * vd_ceil_div(lanes, width) * width;
    return packed + (before + (steps + (steps & 1)) * lane) * element_bytes(p);
}

static char *panel_of_a(const product *p, int64_t row, int64_t inner)
{
    return panel_at(p, p->packed_a, vd_micro_kernels()->mr, p->part_rows, row, inner);
}

/* Weights that lie in panels of vd_real need no packing. */
static int is_packed(const product *p)
{
    return p->compressed && p->compressed->kind == VIDYA_PANELS;
}

static const char *panel_of_b(const product *p, int64_t column, int64_t inner)
{
    const vidya_weights *w = p->compressed;
    if (is_packed(p))
        return (const char *)((const vd_real *)w->data +
                              vd_panel_offset(w, p->column0 + column, p->inner0 + inner));
    return panel_at(p, p->packed_b, vd_micro_kernels()->nr, p->part_columns, column, inner);
}

/* ---- packing: a task is some panels over all steps of the part -------------------- */

static void pack_columns(int64_t i, void *context)
{
    const product *p = context;
    const vd_micro *micro = vd_micro_kernels();
    int64_t column = i * PACK_COLUMNS, columns = vd_min(PACK_COLUMNS, p->part_columns - column);
    for (int64_t inner = 0; inner < p->part_inner; inner += INNER)
        micro->pack((char *)panel_of_b(p, column, inner), micro->nr, p->b, p->column0 + column,
                    columns, p->inner0 + inner, vd_min(INNER, p->part_inner - inner), p->half);
}

/* As pack_columns, from panels of fewer bytes. */
static void expand_columns(int64_t i, void *context)
{
    const product *p = context;
    const vd_micro *micro = vd_micro_kernels();
    int64_t column = i * PACK_COLUMNS, end = vd_min(column + PACK_COLUMNS, p->part_columns);
    for (int64_t inner = 0; inner < p->part_inner; inner += INNER)
        for (int64_t lane = column; lane < end; lane += micro->nr)
            micro->expand((vd_real *)panel_of_b(p, lane, inner), p->compressed, p->column0 + lane,
                          p->inner0 + inner, vd_min(INNER, p->part_inner - inner));
}

static void pack_rows(int64_t i, void *context)
{
    const product *p = context;
    const vd_micro *micro = vd_micro_kernels();
    int64_t row = i * PACK_ROWS, rows = vd_min(PACK_ROWS, p->part_rows - row);
    for (int64_t inner = 0; inner < p->part_inner; inner += INNER)
        micro->pack(panel_of_a(p, row, inner), micro->mr, p->a, p->row0 + row, rows,
                    p->inner0 + inner, vd_min(INNER, p->part_inner - inner), p->half);
}

/* ---- a task: some rows by some columns ---------------------------------------------- */

/* Rows of the part from `row` on by columns from `column` on. */
typedef struct {
    int64_t row, rows, column, columns;
} cut;

static vd_real *in_c(const product *p, const cut *c, int64_t r, int64_t j)
{
    return (vd_real *)p->c->data + (p->row0 + c->row + r) * p->ldc + p->column0 + c->column + j;
}

/* Where a tile of the cut at (r, j) is summed: in C itself where nothing but sums goes
 * there and the tile is whole, else in the task's block. */
static vd_real *tile_at(const product *p, const cut *c, int64_t r, int64_t j, vd_real *block,
                        int64_t *ld)
{
    const vd_micro *micro = vd_micro_kernels();
    if (p->plain && r + micro->mr <= c->rows && j + micro->nr <= c->columns) {
        *ld = p->ldc;
        return in_c(p, c, r, j);
    }
    *ld = BLOCK_COLUMNS;
    return block + r * BLOCK_COLUMNS + j;
}

/* The products of a cut, in C or in block. `own` is the task's room for A;
 * *own_is_packed tells whether all of A is there. */
static void multiply_cut(const product *p, const cut *c, vd_real *block, char *own,
                         int *own_is_packed)
{
    const vd_micro *micro = vd_micro_kernels();
    int64_t mr = micro->mr, nr = micro->nr, ld;
    for (int64_t inner = 0; inner < p->part_inner; inner += INNER) {
        int64_t steps = vd_min(INNER, p->part_inner - inner);
        int64_t panel = mr * (steps + (steps & 1)) * element_bytes(p);
        const char *a = p->packed_a ? panel_of_a(p, c->row, inner) : own;
        if (!p->packed_a && !*own_is_packed)
            micro->pack(own, mr, p->a, p->row0 + c->row, c->rows, p->inner0 + inner, steps,
                        p->half);
        *own_is_packed = p->part_inner <= INNER;
        for (int64_t j = 0; j < c->columns; j += nr)
            for (int64_t r = 0; r < c->rows; r += mr) {
                vd_real *to = tile_at(p, c, r, j, block, &ld);
                (p->half ? micro->multiply_half : micro->multiply)(
                    to, ld, a + r / mr * panel, panel_of_b(p, c->column + j, inner), steps,
                    p->add || inner > 0);
            }
    }
}

/* The first column of row r of a cut that is summed in block. */
static int64_t first_in_block(const product *p, const cut *c, int64_t r)
{
    const vd_micro *micro = vd_micro_kernels();
    int whole = p->plain && r < c->rows / micro->mr * micro->mr;
    return whole ? c->columns / micro->nr * micro->nr : 0;
}

/* What will be added to, where it is summed in block: in the same order as in C. */
static void fetch_cut(const product *p, const cut *c, vd_real *block)
{
    for (int64_t r = 0; r < c->rows; r++) {
        int64_t first = first_in_block(p, c, r);
        memcpy(block + r * BLOCK_COLUMNS + first, in_c(p, c, r, first),
               (size_t)(c->columns - first) * sizeof *block);
    }
}

static void scale_row(vd_real *row, const vd_real *scales, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        row[j] *= scales[j];
}

/* What of a cut stands in block goes where it belongs. */
static void finish_cut(const product *p, const cut *c, vd_real *block)
{
    for (int64_t r = 0; r < c->rows; r++) {
        int64_t first = first_in_block(p, c, r);
        if (p->compressed && p->compressed->scales)
            scale_row(block + r * BLOCK_COLUMNS, p->compressed->scales + p->column0 + c->column,
                      c->columns);
        if (first < c->columns)
            vd_micro_kernels()->finish(p->c, block + r * BLOCK_COLUMNS + first,
                                       p->row0 + c->row + r, p->column0 + c->column + first,
                                       c->columns - first, p->ldc);
    }
}

static void multiply_task(int64_t i, void *context)
{
    const product *p = context;
    char own[BLOCK_ROWS * INNER * sizeof(vd_real)] VD_ALIGNED;
    vd_real block[BLOCK_ROWS * BLOCK_COLUMNS] VD_ALIGNED;
    int64_t row = i / p->tasks_across * p->task_rows;
    int64_t first = i % p->tasks_across * p->task_columns;
    int64_t end = vd_min(p->part_columns, first + p->task_columns);
    int own_is_packed = 0;
    for (int64_t column = first; column < end; column += BLOCK_COLUMNS) {
        cut c = {row, vd_min(p->task_rows, p->part_rows - row), column,
                 vd_min(BLOCK_COLUMNS, end - column)};
        if (p->add)
            fetch_cut(p, &c, block);
        multiply_cut(p, &c, block, own, &own_is_packed);
        finish_cut(p, &c, block);
    }
}

/* ---- the whole ------------------------------------------------------------------------- */

static int64_t round_up(int64_t n, int64_t to) { return vd_ceil_div(n, to) * to; }

static void choose_tasks(product *p)
{
    int64_t mr = vd_micro_kernels()->mr, nr = vd_micro_kernels()->nr;
    int64_t rows = vd_max(LEAST_ROWS, vd_ceil_div(p->part_rows, TASKS));
    int64_t down = vd_ceil_div(p->part_rows, vd_min(rows, BLOCK_ROWS / mr * mr));
    p->task_rows = round_up(vd_ceil_div(p->part_rows, down), mr);
    down = vd_ceil_div(p->part_rows, p->task_rows);
    int64_t across = down >= TASKS ? 1 : vd_ceil_div(TASKS, down);
    across = vd_max(1, vd_min(across, p->part_columns / LEAST_COLUMNS));
    p->task_columns = round_up(vd_ceil_div(p->part_columns, across), nr);
    p->tasks_across = vd_ceil_div(p->part_columns, p->task_columns);
}

static void multiply_part(product *p)
{
    choose_tasks(p);
    vd_parallel(vd_ceil_div(p->part_rows, p->task_rows) * p->tasks_across, multiply_task, p);
}

/* Elements of a packed factor at most: the last panel may lack lanes, and the widest
 * panels have VD_PAD * 4. A multiple of VIDYA_ALIGNMENT bytes. */
static int64_t packed_elements(int64_t steps, int64_t lanes)
{
    return round_up(steps, 2) * (round_up(lanes, 4 * VD_PAD) + VD_PAD);
}

/* Whether it has numbers, and both or neither of what normalises. */
static inline int is_input(const vidya_input *x)
{
    return x->data != NULL && (x->rstd != NULL) == (x->gain != NULL);
}

/* In parts that fit the workspace. Where C takes sums as they are, a part of B is some
 * steps of many columns and C is added to; else it is all steps of some columns. */
static void multiply(product *p, void *workspace)
{
    const vidya_output *c = p->c;
    vd_assert(p->rows > 0 && p->columns > 0 && p->inner > 0);
    vd_assert(is_input(p->a->of) && (p->compressed || is_input(p->b->of)));
    vd_assert(c->data && !(c->accumulate && (c->half || c->residual || c->gelu_of)));
    vd_assert(vd_is_aligned(workspace));
    int64_t mr = vd_micro_kernels()->mr, nr = vd_micro_kernels()->nr;
    int scaled = p->compressed && p->compressed->scales;
    int plain = p->plain = !c->half && !c->residual && !c->gelu_of && !scaled;
    int64_t steps = plain ? vd_min(p->inner, MOST_STEPS) : p->inner;
    int64_t columns = vd_max(nr, PACKED / round_up(steps, 2) / nr * nr);
    /* A's rows are read once by each task: where they are steps, or there are more of
     * these than a task keeps, it is packed once for all */
    int share_a = plain && (!p->a->lanes_are_rows || (steps > INNER && p->columns > BLOCK_COLUMNS));
    int64_t rows = share_a ? PACKED / round_up(steps, 2) / mr * mr : p->rows;
    int64_t most_b = packed_elements(steps, vd_min(columns, p->columns));
    p->packed_b = workspace;
    p->packed_a = share_a ? p->packed_b + most_b * (int64_t)sizeof(vd_real) : 0;
    for (p->column0 = 0; p->column0 < p->columns; p->column0 += columns)
        for (p->inner0 = 0; p->inner0 < p->inner; p->inner0 += steps) {
            p->part_columns = vd_min(columns, p->columns - p->column0);
            p->part_inner = vd_min(steps, p->inner - p->inner0);
            p->add = c->accumulate || p->inner0 > 0;
            if (!is_packed(p))
                vd_parallel(vd_ceil_div(p->part_columns, PACK_COLUMNS),
                            p->compressed ? expand_columns : pack_columns, p);
            for (p->row0 = 0; p->row0 < p->rows; p->row0 += rows) {
                p->part_rows = vd_min(rows, p->rows - p->row0);
                if (share_a)
                    vd_parallel(vd_ceil_div(p->part_rows, PACK_ROWS), pack_rows, p);
                multiply_part(p);
            }
        }
}

/* Elements that a product of these sizes packs at most. */
static int64_t workspace_elements(int64_t rows, int64_t columns, int64_t inner)
{
    int64_t least = packed_elements(inner, 1); /* of B, where all steps must be there */
    int64_t b = vd_min(packed_elements(inner, columns), PACKED + PACKED / 8);
    int64_t a = vd_min(packed_elements(vd_min(inner, MOST_STEPS), rows), PACKED + PACKED / 8);
    return vd_max(b, least) + a;
}

int64_t vidya_workspace_bytes(int64_t T, int64_t n, int64_t k)
{
    vd_assert(T > 0 && n > 0 && k > 0);
    int64_t most = workspace_elements(T, n, k);
    most = vd_max(most, workspace_elements(T, k, n));
    most = vd_max(most, workspace_elements(n, k, T));
    return most * (int64_t)sizeof(vd_real);
}

void vidya_linear_forward(const vidya_output *y, const vidya_input *x, const vd_real *w, int64_t T,
                          int64_t n, int64_t k, int half, void *workspace)
{
    vd_assert(w);
    vidya_input weights = {.data = w};
    vd_operand a = {.of = x, .stride = k, .lanes_are_rows = 1};
    vd_operand b = {.of = &weights, .stride = k, .lanes_are_rows = 1};
    product p = {
        .a = &a, .b = &b, .c = y, .rows = T, .columns = n, .inner = k, .ldc = n, .half = half};
    multiply(&p, workspace);
}

void vidya_linear_weights(const vidya_output *y, const vidya_input *x, const vidya_weights *w,
                          int64_t T, void *workspace)
{
    vd_assert(w->data && (w->scales != NULL) == (w->kind == VIDYA_INT8));
    vd_assert(w->kind == VIDYA_ROWS || vd_is_aligned(w->data));
    vd_assert(!w->scales || !y->accumulate);
    if (w->kind == VIDYA_ROWS) {
        vidya_linear_forward(y, x, w->data, T, w->n, w->k, 0, workspace);
        return;
    }
    vd_operand a = {.of = x, .stride = w->k, .lanes_are_rows = 1};
    product p = {
        .a = &a, .compressed = w, .c = y, .rows = T, .columns = w->n, .inner = w->k, .ldc = w->n};
    multiply(&p, workspace);
}

void vidya_linear_backward_input(const vidya_output *dx, const vidya_input *dy, const vd_real *w,
                                 int64_t T, int64_t n, int64_t k, int half, void *workspace)
{
    vd_assert(w);
    vidya_input weights = {.data = w};
    vd_operand a = {.of = dy, .stride = n, .lanes_are_rows = 1};
    vd_operand b = {.of = &weights, .stride = k, .lanes_are_rows = 0};
    product p = {
        .a = &a, .b = &b, .c = dx, .rows = T, .columns = k, .inner = n, .ldc = k, .half = half};
    multiply(&p, workspace);
}

void vidya_linear_backward_weight(vd_real *dw, const vidya_input *dy, const vidya_input *x,
                                  int64_t T, int64_t n, int64_t k, int half, int accumulate,
                                  void *workspace)
{
    vidya_output to = {.data = dw, .accumulate = accumulate};
    vd_operand a = {.of = dy, .stride = n, .lanes_are_rows = 0};
    vd_operand b = {.of = x, .stride = k, .lanes_are_rows = 0};
    product p = {
        .a = &a, .b = &b, .c = &to, .rows = n, .columns = k, .inner = T, .ldc = k, .half = half};
    multiply(&p, workspace);
}
