// zlib offers its two initialisers as macros, which Swift does not see: each is here under its own
// name. Beside them stand the allocator's hooks, which count what a stream holds.
#ifndef SLUICE_CZLIB_SHIMS_H
#define SLUICE_CZLIB_SHIMS_H

// Input is read and never written: next_in points to const.
#define ZLIB_CONST
#include <malloc.h>
#include <stdlib.h>
#include <zlib.h>

static inline int sluice_deflateInit2(
    z_stream *stream, int level, int window_bits, int memory_level, int strategy) {
  return deflateInit2(stream, level, Z_DEFLATED, window_bits, memory_level, strategy);
}
static inline int sluice_inflateInit2(z_stream *stream, int window_bits) {
  return inflateInit2(stream, window_bits);
}

// `held` points to a size_t: the octets that zlib has at present, with malloc's rounding.
static inline void *sluice_zalloc(void *held, unsigned items, unsigned size) {
  void *block = malloc((size_t)items * size);
  if (block != NULL) *(size_t *)held += malloc_usable_size(block);
  return block;
}
static inline void sluice_zfree(void *held, void *block) {
  *(size_t *)held -= malloc_usable_size(block);
  free(block);
}

#endif
