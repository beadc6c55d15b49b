// A file of its own, as cpu_set_t needs _GNU_SOURCE.
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

int sluice_cpu_count(void);

int sluice_cpu_count(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return (int)sysconf(_SC_NPROCESSORS_ONLN);
  return CPU_COUNT(&set);
}
