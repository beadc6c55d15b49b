// OpenSSL offers part of its interface as macros, which Swift does not see. Each function here is
// one such macro under its own name, and nothing more.
#ifndef SLUICE_COPENSSL_SHIMS_H
#define SLUICE_COPENSSL_SHIMS_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static inline long sluice_SSL_CTX_set_min_proto_version(SSL_CTX *context, int version) {
  return SSL_CTX_set_min_proto_version(context, version);
}
static inline long sluice_SSL_CTX_set_mode(SSL_CTX *context, long mode) {
  return SSL_CTX_set_mode(context, mode);
}
static inline long sluice_SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode) {
  return SSL_CTX_set_session_cache_mode(context, mode);
}
static inline long sluice_SSL_CTX_set1_groups_list(SSL_CTX *context, const char *groups) {
  return SSL_CTX_set1_groups_list(context, groups);
}
static inline long sluice_SSL_CTX_set_tlsext_servername_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *)) {
  return SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline long sluice_SSL_CTX_set_tlsext_servername_arg(SSL_CTX *context, void *argument) {
  return SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline long sluice_SSL_set_tlsext_host_name(SSL *ssl, const char *name) {
  return SSL_set_tlsext_host_name(ssl, name);
}
static inline EVP_PKEY *sluice_EVP_EC_gen(const char *curve) { return EVP_EC_gen(curve); }
static inline void sluice_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void sluice_BIO_set_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline void sluice_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline int sluice_sk_GENERAL_NAME_num(const GENERAL_NAMES *names) {
  return sk_GENERAL_NAME_num(names);
}
static inline GENERAL_NAME *sluice_sk_GENERAL_NAME_value(const GENERAL_NAMES *names, int index) {
  return sk_GENERAL_NAME_value(names, index);
}
static inline ASN1_IA5STRING *sluice_GENERAL_NAME_dns(const GENERAL_NAME *name) {
  return name->type == GEN_DNS ? name->d.dNSName : NULL;
}
static inline uint64_t sluice_SSL_OP_NO_RENEGOTIATION(void) { return SSL_OP_NO_RENEGOTIATION; }
static inline uint64_t sluice_SSL_OP_NO_COMPRESSION(void) { return SSL_OP_NO_COMPRESSION; }
static inline uint64_t sluice_SSL_OP_CIPHER_SERVER_PREFERENCE(void) { return SSL_OP_CIPHER_SERVER_PREFERENCE; }
static inline uint64_t sluice_SSL_OP_PRIORITIZE_CHACHA(void) { return SSL_OP_PRIORITIZE_CHACHA; }
static inline long sluice_SSL_MODE_ENABLE_PARTIAL_WRITE(void) { return (long)SSL_MODE_ENABLE_PARTIAL_WRITE; }
static inline long sluice_SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER(void) { return (long)SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER; }
static inline long sluice_SSL_MODE_RELEASE_BUFFERS(void) { return (long)SSL_MODE_RELEASE_BUFFERS; }

#endif
