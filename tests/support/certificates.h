// Certificates that are made while a test runs: good ones, and each kind that must be refused.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tools/play/net_stream.h"

struct evp_pkey_st;
struct x509_st;

namespace standpipe::test {

using tools::play::TlsIdentity;

struct LeafOptions {
  std::vector<std::string> names = {"localhost"};
  std::vector<std::string> addresses = {"127.0.0.1", "::1"};
  std::chrono::seconds valid_after = -std::chrono::hours(1);  // from now
  std::chrono::seconds valid_until = std::chrono::hours(24);  // from now
};

// An authority with a key of its own (P-256); nobody trusts it who was not given its certificate.
// One thread at a time. Whatever OpenSSL refuses ends the process: the test could say nothing.
class CertificateAuthority {
 public:
  CertificateAuthority();

  const std::string& certificate_pem() const { return certificate_pem_; }
  void write_certificate(const std::filesystem::path& path) const;

  TlsIdentity issue(const LeafOptions& options) const;
  TlsIdentity for_loopback() const { return issue({}); }
  TlsIdentity expired() const;     // for loopback, until an hour ago
  TlsIdentity wrong_name() const;  // for other.example alone

 private:
  std::shared_ptr<evp_pkey_st> key_;
  std::shared_ptr<x509_st> certificate_;
  std::string certificate_pem_;
};

// For loopback, and signed by nobody but itself.
TlsIdentity self_signed_identity();

}  // namespace standpipe::test
