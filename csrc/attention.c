/* attention.c - fused causal attention over documents laid end to end.
 *
 * A task is one head of one document, so no two tasks write the same number and
 * no sum depends on who computed it. The arithmetic is in micro.inc.h. */
#include "internal.h"

typedef struct {
    void *out;              /* [T, H * hd] */
    vd_real *lse, *delta;   /* [T, H] */
    vd_real *dqkv;          /* [T, 3, H, hd] */
    const void *qkv;        /* [T, 3, H, hd] */
    const vd_real *dout;    /* [T, H * hd] */
    const int64_t *offsets; /* [n_docs + 1] */
    int64_t H, hd;
    int half;
} attention;

static vd_attention_head head_of(const attention *p, int64_t task)
{
    int64_t document = task / p->H, h = task % p->H;
    int64_t first = p->offsets[document], d = p->H * p->hd, stride = 3 * d;
    int64_t size = p->half ? 2 : (int64_t)sizeof(vd_real);
    const char *q = (const char *)p->qkv + (first * stride + h * p->hd) * size;
    vd_real *dq = p->dqkv ? p->dqkv + first * stride + h * p->hd : 0;
    int64_t at = first * d + h * p->hd;
    return (vd_attention_head){
        .n = p->offsets[document + 1] - first,
        .hd = p->hd,
        .stride = stride,
        .out_stride = d,
        .lse_stride = p->H,
        .half = p->half,
        .q = q,
        .k = q + d * size,
        .v = q + 2 * d * size,
        .out = (char *)p->out + at * size,
        .lse = p->lse + first * p->H + h,
        .dout = p->dout ? p->dout + at : 0,
        .delta = p->delta ? p->delta + first * p->H + h : 0,
        .dq = dq,
        .dk = dq ? dq + d : 0,
        .dv = dq ? dq + 2 * d : 0,
    };
}

static void forward_head(int64_t i, void *context)
{
    vd_attention_head head = head_of(context, i);
    vd_micro_kernels()->attention_forward(&head);
}

void vidya_attention_forward(void *out, vd_real *lse, const void *qkv, const int64_t *offsets,
                             int64_t n_docs, int64_t H, int64_t hd, int half)
{
    vd_assert(out && lse && qkv);
    vd_assert(H > 0 && vd_is_head(hd));
    vd_assert(vd_are_offsets(offsets, n_docs));
    attention p = {
        .out = out, .lse = lse, .qkv = qkv, .offsets = offsets, .H = H, .hd = hd, .half = half};
    vd_parallel(n_docs * H, forward_head, &p);
}

static void backward_head(int64_t i, void *context)
{
    vd_attention_head head = head_of(context, i);
    vd_micro_kernels()->attention_backward(&head);
}

void vidya_attention_backward(vd_real *dqkv, vd_real *delta, const vd_real *dout, const void *out,
                              const vd_real *lse, const void *qkv, const int64_t *offsets,
                              int64_t n_docs, int64_t H, int64_t hd, int half)
{
    vd_assert(dqkv && delta && dout && out && lse && qkv);
    vd_assert(H > 0 && vd_is_head(hd));
    vd_assert(vd_are_offsets(offsets, n_docs));
    /* out and lse are only read in the backward pass */
    attention p = {.out = (void *)out,
                   .lse = (vd_real *)lse,
                   .delta = delta,
                   .dqkv = dqkv,
                   .qkv = qkv,
                   .dout = dout,
                   .offsets = offsets,
                   .H = H,
                   .hd = hd,
                   .half = half};
    vd_parallel(n_docs * H, backward_head, &p);
}

typedef struct {
    vd_real *out;                 /* [H * hd] */
    const vd_real *q;             /* [H * hd] */
    const vd_real *keys, *values; /* [n, H * hd] */
    int64_t n, H, hd;
} decoding;

static void decode_head(int64_t h, void *context)
{
    const decoding *p = context;
    int64_t at = h * p->hd;
    vd_micro_kernels()->attention_decode(p->out + at, p->q + at, p->keys + at, p->values + at, p->n,
                                         p->H * p->hd, p->hd);
}

void vidya_attention_decode(vd_real *out, const vd_real *q, const vd_real *keys,
                            const vd_real *values, int64_t n, int64_t H, int64_t hd)
{
    vd_assert(out && q && keys && values);
    vd_assert(n > 0 && H > 0 && vd_is_head(hd));
    decoding p = {out, q, keys, values, n, H, hd};
    vd_parallel(H, decode_head, &p);
}
