// A new process with chosen descriptors, from a process that has threads: between fork and execve
// only calls that are safe in a signal handler are made, and no memory is asked for.
#include "CLinux.h"

#include <stdlib.h>

enum { first_number = 3 };

// Writes `number` in decimal digits, which `digits` has room for, and a NUL.
static void write_digits(char *digits, pid_t number) {
  char reversed[16];
  int count = 0;
  do {
    reversed[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  for (int index = 0; index < count; index++) digits[index] = reversed[count - 1 - index];
  digits[count] = 0;
}

static _Noreturn void become(
    const char *path, char *const *arguments, char *const *environment, char *pid_digits, int *numbers,
    int count) {
  write_digits(pid_digits, getpid());
  // Out of the way first: one of them may be where another one is to be.
  for (int index = 0; index < count; index++) {
    numbers[index] = fcntl(numbers[index], F_DUPFD_CLOEXEC, first_number + count);
    if (numbers[index] < 0) _exit(126);
  }
  for (int index = 0; index < count; index++) {
    if (dup2(numbers[index], first_number + index) < 0) _exit(126);
  }
  // Libraries open descriptors that are not closed by execve, listeners among them.
  syscall(SYS_close_range, first_number + count, ~0U, 0);
  execve(path, arguments, environment);
  _exit(127);
}

pid_t sluice_spawn(
    const char *path, char *const *arguments, char *const *environment, char *pid_digits, int *numbers,
    int count) {
  pid_t pid = fork();
  if (pid == 0) become(path, arguments, environment, pid_digits, numbers, count);
  return pid;
}
