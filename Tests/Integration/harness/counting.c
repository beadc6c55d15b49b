// Counts what a program asks of its memory while it runs: loaded in front of it with LD_PRELOAD, the
// counts stand in the file $COUNTS, in the order of `Kind`, eight octets each.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum Kind { allocations, opensslAllocations, retains, releases, accesses, kindCount };

static _Atomic uint64_t nowhere[kindCount];
static _Atomic uint64_t *counts = nowhere;

// OpenSSL allocates for records of its own accord: what is called from its libraries is counted apart.
static struct { uintptr_t begin, end; } openssl[2];
static int opensslCount;

static int noteLibrary(struct dl_phdr_info *library, size_t size, void *context) {
  if (!strstr(library->dlpi_name, "libcrypto.") && !strstr(library->dlpi_name, "libssl.")) return 0;
  if (opensslCount == 2) return 0;
  uintptr_t end = 0;
  for (int i = 0; i < library->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &library->dlpi_phdr[i];
    if (part->p_type == PT_LOAD && part->p_vaddr + part->p_memsz > end) {
      end = part->p_vaddr + part->p_memsz;
    }
  }
  openssl[opensslCount].begin = library->dlpi_addr;
  openssl[opensslCount++].end = library->dlpi_addr + end;
  return 0;
}

static void countAllocation(void *caller) {
  for (int i = 0; i < opensslCount; i++) {
    if ((uintptr_t)caller >= openssl[i].begin && (uintptr_t)caller < openssl[i].end) {
      counts[opensslAllocations]++;
      return;
    }
  }
  counts[allocations]++;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  countAllocation(__builtin_return_address(0));
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  countAllocation(__builtin_return_address(0));
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  countAllocation(__builtin_return_address(0));
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  countAllocation(__builtin_return_address(0));
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **place, size_t alignment, size_t size) {
  countAllocation(__builtin_return_address(0));
  *place = __libc_memalign(alignment, size);
  return *place ? 0 : ENOMEM;
}

// Compiled code relies on the runtime to leave all its registers alone, which C cannot promise.
#ifndef __x86_64__
#error "references are counted on x86-64 alone"
#endif
#define COUNTING(function, kind)                                                                   \
  __attribute__((visibility("hidden"))) void *next_##function;                                     \
  __attribute__((naked)) void function(void) {                                                     \
    __asm__("pushq %%rax\n\tmovq %0, %%rax\n\tlock incq %c1(%%rax)\n\tpopq %%rax\n\tjmpq *%2"      \
            :: "m"(counts), "i"(8 * (kind)), "m"(next_##function));                                \
  }

COUNTING(swift_retain, retains)
COUNTING(swift_bridgeObjectRetain, retains)
COUNTING(swift_release, releases)
COUNTING(swift_bridgeObjectRelease, releases)
COUNTING(swift_beginAccess, accesses)

static void findNext(void) {
  next_swift_retain = dlsym(RTLD_NEXT, "swift_retain");
  next_swift_bridgeObjectRetain = dlsym(RTLD_NEXT, "swift_bridgeObjectRetain");
  next_swift_release = dlsym(RTLD_NEXT, "swift_release");
  next_swift_bridgeObjectRelease = dlsym(RTLD_NEXT, "swift_bridgeObjectRelease");
  next_swift_beginAccess = dlsym(RTLD_NEXT, "swift_beginAccess");
}

// It runs before the C library has set up its own view of the environment.
__attribute__((constructor)) static void begin(int count, char **arguments, char **environment) {
  dl_iterate_phdr(noteLibrary, 0);
  findNext();
  const char *path = 0;
  for (char **each = environment; *each; each++) {
    if (!strncmp(*each, "COUNTS=", 7)) path = *each + 7;
  }
  int file = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
  if (file < 0 || ftruncate(file, sizeof nowhere) != 0) return;
  void *place = mmap(0, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (place != MAP_FAILED) counts = place;
}
