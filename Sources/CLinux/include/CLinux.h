// What the kernel and the C library offer as macros, variadic functions or unusual types, under
// plain names for Swift. Each function is one call or one constant, and nothing more.
#ifndef SLUICE_CLINUX_H
#define SLUICE_CLINUX_H

// No _GNU_SOURCE here: it changes types of the C library (struct fd_set, enum __rusage_who), and
// Swift refuses a module whose types differ from those of its own Glibc module.
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// accept4(2) and pthread_setname_np(3) are declared only under _GNU_SOURCE.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int pthread_setname_np(pthread_t, const char *);

static inline uint64_t sluice_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline int sluice_socket_stream(int family) {
  return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}
static inline int sluice_accept(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
// Octets that the peer has not taken (tcp(7), unix(7): SIOCOUTQ); -1 where the kernel cannot tell.
static inline int sluice_untaken_count(int number) {
  int count = 0;
  return ioctl(number, TIOCOUTQ, &count) == 0 ? count : -1;
}

// The calls that every message makes go past the C library, whose functions are points at which a
// thread may be cancelled and pay for it twice each; no thread is ever cancelled here.
static inline ssize_t sluice_receive(int number, void *octets, size_t count) {
  return syscall(SYS_recvfrom, number, octets, count, 0, 0, 0);
}
// What would be received, without taking it.
static inline ssize_t sluice_peek(int number, void *octets, size_t count) {
  return syscall(SYS_recvfrom, number, octets, count, MSG_PEEK, 0, 0);
}
// MSG_NOSIGNAL: a reset is a value, not SIGPIPE.
static inline ssize_t sluice_send(int number, const void *octets, size_t count, bool has_more) {
  int flags = MSG_NOSIGNAL | (has_more ? MSG_MORE : 0);
  return syscall(SYS_sendto, number, octets, count, flags, 0, 0);
}
static inline int sluice_epoll_wait(
    int number, struct epoll_event *events, int count, int milliseconds) {
  return (int)syscall(SYS_epoll_pwait, number, events, count, milliseconds, 0, 0);
}

// pipe2(2) and F_SETPIPE_SZ are declared only under _GNU_SOURCE.
extern int pipe2(int[2], int);
static inline int sluice_pipe(int *numbers) { return pipe2(numbers, O_CLOEXEC | O_NONBLOCK); }
static inline int sluice_set_pipe_capacity(int number, int capacity) {
  return fcntl(number, 1031 /* F_SETPIPE_SZ */, capacity);
}
// SPLICE_F_MOVE | SPLICE_F_NONBLOCK
static inline ssize_t sluice_splice(int from, int to, size_t count) {
  return syscall(SYS_splice, from, 0, to, 0, count, 3);
}
static inline int sluice_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int sluice_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

static inline int sluice_setrlimit_nofile(rlim_t soft, rlim_t hard) {
  struct rlimit limit = {soft, hard};
  return setrlimit(RLIMIT_NOFILE, &limit);
}
static inline int sluice_getrlimit_nofile(struct rlimit *limit) {
  return getrlimit(RLIMIT_NOFILE, limit);
}
// Memory for OpenSSL (CRYPTO_set_mem_functions(3)). Buffers of the size of a record are kept by the
// thread that gives them back, a few at most; a thread that ends loses them.
void *sluice_pool_allocate(size_t count, const char *file, int line);
void *sluice_pool_reallocate(void *place, size_t count, const char *file, int line);
void sluice_pool_free(void *place, const char *file, int line);

// Starts `path` with `numbers` as descriptors 3, 4 … and no other beyond 2; its process id is written to
// `pid_digits`, a place inside of `environment` with room for 11 octets. -1 where there is no process.
pid_t sluice_spawn(
    const char *path, char *const *arguments, char *const *environment, char *pid_digits, int *numbers,
    int count);

// Processors that this process may run on (sched_getaffinity(2)).
int sluice_cpu_count(void);

// The lifetime of a DNS answer's first records of `type` (RFC 1035 §3.2.1), in seconds; -1 where
// the name servers gave none, e.g. for a name out of /etc/hosts.
long sluice_dns_lifetime(const char *name, int type);

#endif
