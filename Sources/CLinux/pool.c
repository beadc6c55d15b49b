#include <malloc.h>
#include <stdlib.h>

#include "CLinux.h"

// OpenSSL takes one buffer of some 17 KiB for each record that it reads or writes and gives it back
// behind it. The C library makes them out of larger pieces and joins them again each time; here each
// thread keeps a few, the last one on top, which is the one that is still in the cache.
enum { byteCountMin = 16 * 1024, byteCountMax = 20 * 1024, keptCountMax = 4 };

static _Thread_local struct {
  void *places[keptCountMax];
  int count;
} kept;

void *sluice_pool_allocate(size_t count, const char *file, int line) {
  (void)file, (void)line;
  if (count < byteCountMin || count > byteCountMax) return malloc(count);
  if (kept.count > 0) return kept.places[--kept.count];
  return malloc(byteCountMax);
}

void *sluice_pool_reallocate(void *place, size_t count, const char *file, int line) {
  (void)file, (void)line;
  return realloc(place, count);
}

void sluice_pool_free(void *place, const char *file, int line) {
  (void)file, (void)line;
  if (!place) return;
  // What is kept was allocated with all of byteCountMax, and is not much larger.
  size_t count = malloc_usable_size(place);
  if (count < byteCountMax || count > byteCountMax + 64 || kept.count == keptCountMax) {
    free(place);
    return;
  }
  kept.places[kept.count++] = place;
}
