/* vidya.h - the public C API of vidya's kernels.
 *
 * Pure functions over pointers and sizes: no I/O, no allocation after the
 * thread pool has started, no hidden state but the thread count and the
 * instruction set. All arrays are contiguous and row-major, owned by the
 * caller, and do not overlap unless a function says that they may. Arguments
 * are trusted: vidya/kernels checks them for people who call from Python.
 *
 * vd_real is float; the same sources compiled with -DVIDYA_DOUBLE make it
 * double, for gradient checks.
 *
 * The same numbers, however many threads: work is cut into tiles that depend
 * on the shapes alone, and partial sums are added in a fixed order.
 *
 * Subnormal numbers count as 0 (where the processor has that mode, as x86 and ARM).
 *
 * Sizes are at least 1 (n_docs may count empty documents) and rows and columns
 * are below 2^31, which is as far as OpenBLAS counts.
 *
 * T tokens (rows), d width (columns), V vocabulary, H heads, hd = d / H.
 */
#ifndef VIDYA_H
#define VIDYA_H

#include <stdint.h>

#ifdef VIDYA_DOUBLE
typedef double vd_real;
#else
typedef float vd_real;
#endif

/* cffi reads what stands between these two marks (tools/kernel_extensions.py). */
/* BEGIN API */

/* ---- limits, which vidya/kernels takes from here ------------------------ */

enum {
    VIDYA_MAX_THREADS = 256,
    VIDYA_MAX_HEAD_DIM = 256, /* columns of a head: attention keeps blocks of them on the stack */
    VIDYA_CACHE_BLOCK = 64,   /* positions of a block of keys, in attention and in its cache */
    VIDYA_CACHE_PAD = 16,     /* cached values have columns up to a multiple of this */
    VIDYA_ALIGNMENT = 64      /* bytes of a cache line, at which workspaces and panels begin */
};

/* ---- threads, instruction set, BLAS (dispatch.c, pool.c) ---------------- */

/* Threads that the kernels use, 1 to VIDYA_MAX_THREADS, on a process that may use `cores`
 * cores: with more threads than that, one that waits lets go of its core. OpenBLAS itself is
 * always called single-threaded, on tiles, from this one pool. */
void vidya_set_num_threads(int n, int cores);
int vidya_get_num_threads(void);

/* Threads of OpenBLAS's own pool, for scripts that call it directly. */
void vidya_openblas_set_num_threads(int n);
int vidya_openblas_get_num_threads(void);
const char *vidya_openblas_config(void);
/* 0 serial, 1 its own threads, 2 OpenMP: the last would not stay single-threaded */
int vidya_openblas_get_parallel(void);

/* Instruction set of the micro-kernels: "avx512_bf16", "avx512", "avx2", "generic" or
 * "pairs" (generic, bfloat16 laid out as for avx512_bf16: for tests). The fastest
 * that the processor has is chosen at load (on Intel's "avx512" before "avx512_bf16");
 * setting one that it does not have returns -1 and changes nothing, else 0. Not while a
 * kernel runs. */
const char *vidya_get_isa(void);
/* 1 if it multiplies bfloat16 faster than float. */
int vidya_has_bf16(void);
int vidya_set_isa(const char *name);

/* ---- matrix multiplication (matmul.c) ---------------------------------- */
/* w is [n, k], "[out, in]". accumulate != 0 adds to the output, 0 overwrites.
 * m, n, k >= 1. */

/* y [m, n] = x [m, k] * w^T */
void vidya_matmul_forward(vd_real *y, const vd_real *x, const vd_real *w, int64_t m, int64_t n,
                          int64_t k, int accumulate);
/* dx [m, k] = dy [m, n] * w */
void vidya_matmul_backward_input(vd_real *dx, const vd_real *dy, const vd_real *w, int64_t m,
                                 int64_t n, int64_t k, int accumulate);
/* dw [n, k] = dy^T [n, m] * x [m, k] */
void vidya_matmul_backward_weight(vd_real *dw, const vd_real *dy, const vd_real *x, int64_t m,
                                  int64_t n, int64_t k, int accumulate);

/* ---- linear layers with what surrounds them (linear.c) ------------------- */
/* The products of a layer, through vidya's own packed micro-kernels: what comes
 * before a product is done while its input is packed, what comes after it while
 * the result is in the cache. w is [n, k], "[out, in]"; T, n, k >= 1.
 *
 * half != 0 in a product: the factors are rounded to bfloat16 (to nearest even)
 * and summed in float. half != 0 in a matrix: it is stored as bfloat16.
 *
 * workspace holds vidya_workspace_bytes(T, n, k) bytes and begins at a multiple of
 * VIDYA_ALIGNMENT; what is enough for some T is enough for fewer. */

/* A matrix that a product reads, [rows, columns]: x, or x * rstd * gain, or gelu(x). */
typedef struct {
    const void *data;
    const vd_real *rstd; /* [rows], NULL: not normalised */
    const vd_real *gain; /* [columns] */
    int half;
    int gelu;
} vidya_input;

/* Where a product goes, [rows, columns]: as it is; added to what is there; residual +
 * dropout(product), with the mask of vidya_dropout_add; or product * gelu'(gelu_of). */
typedef struct {
    void *data;
    const vd_real *residual; /* not NULL: dropout with p, seed and stream, then added */
    void *gelu_of;           /* stored as data is; becomes gelu(gelu_of) on the way */
    double p;
    uint64_t seed, stream;
    int half;
    int accumulate; /* not with half, residual or gelu_of */
} vidya_output;

int64_t vidya_workspace_bytes(int64_t T, int64_t n, int64_t k);
/* y [T, n] = x [T, k] * w^T */
void vidya_linear_forward(const vidya_output *y, const vidya_input *x, const vd_real *w, int64_t T,
                          int64_t n, int64_t k, int half, void *workspace);
/* dx [T, k] = dy [T, n] * w */
void vidya_linear_backward_input(const vidya_output *dx, const vidya_input *dy, const vd_real *w,
                                 int64_t T, int64_t n, int64_t k, int half, void *workspace);
/* dw [n, k] = dy^T [n, T] * x [T, k], added if accumulate */
void vidya_linear_backward_weight(vd_real *dw, const vidya_input *dy, const vidya_input *x,
                                  int64_t T, int64_t n, int64_t k, int half, int accumulate,
                                  void *workspace);

/* ---- token embedding (embedding.c) ------------------------------------- */

/* y [T, d] = rows tokens[T] of wte [V, d] */
void vidya_embedding_forward(vd_real *y, const vd_real *wte, const int32_t *tokens, int64_t T,
                             int64_t d);
/* dwte[tokens[t]] += dy[t], in the order of t */
void vidya_embedding_backward(vd_real *dwte, const vd_real *dy, const int32_t *tokens, int64_t T,
                              int64_t d);

/* ---- RMSNorm (rmsnorm.c) ----------------------------------------------- */

/* y = x * rstd * gain, rstd [T] = 1 / sqrt(mean(x^2) + eps); y may be x. */
void vidya_rmsnorm_forward(vd_real *y, vd_real *rstd, const vd_real *x, const vd_real *gain,
                           int64_t T, int64_t d, vd_real eps);
/* rstd alone. */
void vidya_rmsnorm_statistics(vd_real *rstd, const vd_real *x, int64_t T, int64_t d, vd_real eps);
/* dx [T, d] (added if accumulate_dx) and dgain [d] (added if accumulate_dgain).
 * dx may be dy when it is not accumulated. */
void vidya_rmsnorm_backward(vd_real *dx, vd_real *dgain, const vd_real *dy, const vd_real *x,
                            const vd_real *rstd, const vd_real *gain, int64_t T, int64_t d,
                            int accumulate_dx, int accumulate_dgain);

/* ---- rotary positions (rope.c) ----------------------------------------- */

/* cos, sin [context, hd/2] for RoPE with this base. */
void vidya_rope_table(vd_real *cos_table, vd_real *sin_table, int64_t context, int64_t hd,
                      double base);
/* Rotates in place the first n_rotated heads (hd columns each) of every row of
 * x [T, row_stride] by its position; inverse != 0 rotates back, which is the
 * backward pass. positions [T] < context. halves, if not NULL, [T, row_stride] in
 * bfloat16: the whole rows, rotated, are put there too. */
void vidya_rope(vd_real *x, uint16_t *halves, const int32_t *positions, const vd_real *cos_table,
                const vd_real *sin_table, int64_t T, int64_t row_stride, int64_t n_rotated,
                int64_t hd, int inverse);

/* ---- causal attention over documents laid end to end (attention.c) ------ */
/* qkv [T, 3*H*hd]: queries, keys, values, each H heads of hd columns, hd even and at
 * most VIDYA_MAX_HEAD_DIM. offsets [n_docs + 1] starts at 0, ends at T, and does not
 * decrease; a token sees itself and what stands before it in its document.
 * Scale 1/sqrt(hd). lse [T, H] is the log-sum-exp of each row of scores. With half,
 * qkv and out are bfloat16; the arithmetic is in vd_real either way. */
void vidya_attention_forward(void *out, vd_real *lse, const void *qkv, const int64_t *offsets,
                             int64_t n_docs, int64_t H, int64_t hd, int half);
/* dqkv [T, 3*H*hd] is overwritten; delta [T, H] is scratch. */
void vidya_attention_backward(vd_real *dqkv, vd_real *delta, const vd_real *dout, const void *out,
                              const vd_real *lse, const void *qkv, const int64_t *offsets,
                              int64_t n_docs, int64_t H, int64_t hd, int half);
/* One new query against a cache: q, out [H*hd]; keys, values [n, H*hd], n >= 1. */
void vidya_attention_decode(vd_real *out, const vd_real *q, const vd_real *keys,
                            const vd_real *values, int64_t n, int64_t H, int64_t hd);

/* ---- generation (decode.c, weight_panels.c) ------------------------------------ */

/* How the weights of a product are kept. Rows: [n, k] of vd_real, as a model has them,
 * read in place. All others: panels as wide as the micro-kernel's tile, made by
 * vidya_compress for the instruction set in use and read by that one alone. Panels of
 * vd_real hold the same numbers as the rows: a core reads them twice as fast. A product is
 * scale * sum(x * weight), the sum in vd_real, so int8 rounds the weights and nothing
 * else. */
enum { VIDYA_ROWS = 0, VIDYA_BF16 = 1, VIDYA_INT8 = 2, VIDYA_PANELS = 3 };

typedef struct {
    const void *data;
    const vd_real *scales; /* [n] with int8, else NULL */
    int64_t n, k;
    int kind;
} vidya_weights;

/* Bytes of n by k weights in panels, which begin at a multiple of VIDYA_ALIGNMENT. */
int64_t vidya_compressed_bytes(int64_t n, int64_t k, int kind);
/* w [n, k] into panels: as they are; bfloat16, to nearest even; or int8 times a scale a row,
 * max|w| / 127, where scales [n] is written. A NaN or an infinity makes its row NaN. */
void vidya_compress(void *panels, vd_real *scales, const vd_real *w, int64_t n, int64_t k,
                    int kind);
/* vidya_linear_forward with weights of any kind: y [T, n] = x [T, k] * w^T. With int8
 * not into a result that accumulates. */
void vidya_linear_weights(const vidya_output *y, const vidya_input *x, const vidya_weights *w,
                          int64_t T, void *workspace);

/* A layer of a decoder: parameters, and the cache of keys and values.
 * keys [slots, H, capacity / VIDYA_CACHE_BLOCK, hd, VIDYA_CACHE_BLOCK]: transposed blocks.
 * values [slots, H, capacity, width]: hd columns, and zeros up to a multiple of
 * VIDYA_CACHE_PAD.
 * Both vd_real, or bfloat16 where cache_half; finite everywhere from the beginning. */
typedef struct {
    const vd_real *attn_norm, *ffn_norm;
    vidya_weights attn_qkv, attn_out, ffn_up, ffn_down;
    void *keys, *values;
} vidya_decoder_layer;

/* A model that decodes, with room for the tokens of one call. */
typedef struct {
    int64_t n_layer, d, H, F, V; /* F: columns of the FFN */
    int64_t capacity;            /* positions of a slot, a multiple of VIDYA_CACHE_BLOCK */
    int cache_half;
    vd_real eps;
    const vd_real *wte, *embed_norm, *final_norm;
    const vd_real *cos_table, *sin_table; /* [capacity or less, hd / 2] */
    vidya_weights head;                   /* [V, d] */
    const vidya_decoder_layer *layers;
    vd_real *x, *normed, *qkv, *attended, *hidden, *rstd; /* [T] rows of d, d, 3d, d, F, 1 */
    void *workspace; /* vidya_workspace_bytes of every product's sizes */
} vidya_decoder;

/* T tokens through all layers. Token t goes to positions[t] of the sequence in slots[t],
 * of which all earlier positions are in the cache or come before it in this call; tokens
 * of one slot stand together and their positions rise by one. logits [n_wanted, V] are
 * those after the tokens wanted[0], wanted[1], ...
 *
 * The numbers of a token depend on what its own sequence holds, and on nothing else that
 * is in the call; with weights and a cache in vd_real they are bit for bit those
 * of the training forward pass. */
void vidya_decode(const vidya_decoder *m, vd_real *logits, const int32_t *tokens,
                  const int32_t *slots, const int32_t *positions, int64_t T, const int32_t *wanted,
                  int64_t n_wanted);

/* ---- choosing tokens (logits.c) ------------------------------------------- */

/* lse [rows]: log(sum(exp(row))) of logits [rows, V]; not finite where a row holds NaN or
 * +infinity, or nothing but -infinity. */
void vidya_log_sum_exp(double *lse, const vd_real *logits, int64_t rows, int64_t V);
/* ids [k] of the k largest of x [n], rising; of equal numbers the lowest ids. NaN is
 * smaller than everything. 1 <= k <= n. */
void vidya_top_k(int32_t *ids, const vd_real *x, int64_t n, int64_t k);

/* ---- GELU, tanh form (gelu.c) ------------------------------------------ */

/* y may be x. */
void vidya_gelu_forward(vd_real *y, const vd_real *x, int64_t n);
/* dx = dy * gelu'(x), and y = gelu(x) again unless y is NULL. dx may be dy. y may be x. */
void vidya_gelu_backward(vd_real *dx, vd_real *y, const vd_real *dy, const vd_real *x, int64_t n);

/* ---- dropout (dropout.c) ----------------------------------------------- */
/* Element i is kept when Philox4x32-10(key = seed, counter = (i / 4, stream))
 * word i % 4 is at least p * 2^32; kept elements are scaled by 1 / (1 - p).
 * The mask is a function of seed, stream and i alone: backward computes it again. */

/* y [n] = residual + dropout(x); residual may be NULL (then plain dropout), and y
 * may be x or residual. Backward is the same function applied to dy with a NULL
 * residual. */
void vidya_dropout_add(vd_real *y, const vd_real *residual, const vd_real *x, int64_t n, double p,
                       uint64_t seed, uint64_t stream);

/* ---- final projection + cross-entropy (cross_entropy.c) ----------------- */
/* logits = x [T, d] * w^T [V, d], never whole in memory: they pass through
 * scratch [chunk, V], chunk >= 1. losses [T] is -log softmax(logits)[target], 0
 * where targets[t] is negative ("not counted"). half and workspace as in the linear
 * layers. */

void vidya_linear_cross_entropy_forward(vd_real *losses, vd_real *scratch, const vd_real *x,
                                        const vd_real *w, const int32_t *targets, int64_t T,
                                        int64_t d, int64_t V, int64_t chunk, int half,
                                        void *workspace);
/* Forward, dx [T, d] and dw [V, d] of sum(losses) * scale in one go. dw is added
 * to if accumulate, else overwritten. */
void vidya_linear_cross_entropy_backward(vd_real *losses, vd_real *dx, vd_real *dw,
                                         vd_real *scratch, const vd_real *x, const vd_real *w,
                                         const int32_t *targets, int64_t T, int64_t d, int64_t V,
                                         int64_t chunk, double scale, int accumulate, int half,
                                         void *workspace);

/* ---- over the flat parameter buffer (optimizer.c) ----------------------- */

/* Sum of x, added in double in a fixed order. */
double vidya_sum(const vd_real *x, int64_t n);
/* Euclidean norm, added in double in a fixed order. NaN and infinity show. */
double vidya_norm(const vd_real *x, int64_t n);
/* Adam (Kingma and Ba 2015, algorithm 1) on the gradient grad * grad_scale:
 * m, v and param are updated in place; step counts from 1. */
void vidya_adam(vd_real *param, vd_real *m, vd_real *v, const vd_real *grad, int64_t n, double lr,
                double beta1, double beta2, double eps, int64_t step, double grad_scale);

/* END API */

#endif
