#include "CLinux.h"

#include <string.h>

long sluice_dns_lifetime(const char *name, int type) {
  struct __res_state state;
  memset(&state, 0, sizeof state);
  if (res_ninit(&state) != 0) return -1;
  unsigned char answer[4096];
  int length = res_nsearch(&state, name, ns_c_in, type, answer, sizeof answer);
  res_nclose(&state);
  ns_msg message;
  if (length <= 0 || length > (int)sizeof answer || ns_initparse(answer, length, &message) != 0)
    return -1;
  // Every record of the chain counts: an alias that lives shorter than its target ends both.
  long lifetime = -1;
  for (int index = 0; index < ns_msg_count(message, ns_s_an); index++) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, index, &record) != 0) return -1;
    long seconds = (long)ns_rr_ttl(record);
    if (lifetime < 0 || seconds < lifetime) lifetime = seconds;
  }
  return lifetime;
}
