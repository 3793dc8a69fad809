/* Embeddings of words from how often they stand together. */
#ifndef EXAMPLES_TEXT_EMBED_H
#define EXAMPLES_TEXT_EMBED_H

#include <stdbool.h>

/* together[n, n], symmetric counts -> embedding[n, d]. false when there is no memory. */
bool embed(const float *together, int n, int d, float *embedding);

#endif
