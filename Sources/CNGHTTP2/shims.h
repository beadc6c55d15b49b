// The header of nghttp2, and nothing more.
#ifndef SLUICE_CNGHTTP2_SHIMS_H
#define SLUICE_CNGHTTP2_SHIMS_H

#include <nghttp2/nghttp2.h>

#endif
