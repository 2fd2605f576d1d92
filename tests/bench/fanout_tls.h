// What the fan-out over TLS is made with, and held against.
#pragma once

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/bench_process.h"
#include "tests/support/bench_wire.h"
#include "tests/support/certificates.h"
#include "tests/support/net_stream.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

// For loopback, as files, and somebody who trusts it.
class BenchCertificate {
 public:
  BenchCertificate() {
    const TlsIdentity identity = authority_.for_loopback();
    std::ofstream(certificate()) << identity.certificate_pem;
    std::ofstream(key()) << identity.key_pem;
  }
  void add_to(std::vector<std::string>& arguments) const {
    arguments.insert(arguments.end(), {"--listen-tls", "127.0.0.1:0", "--tls-cert", certificate(),
                                       "--tls-key", key()});
  }
  TlsContext trusting() const { return make_client_tls(authority_.certificate_pem()); }

 private:
  std::string certificate() const { return (dir_ / "certificate.pem").string(); }
  std::string key() const { return (dir_ / "key.pem").string(); }

  const CertificateAuthority authority_;
  const TempDir dir_;
};

// The bytes of the feed, encrypted as records are, with nothing else: CPU per frame.
inline double encryption_us(const BenchWire& feed) {
  constexpr std::size_t kRecordBytes = 16 << 10;
  const std::shared_ptr<EVP_CIPHER_CTX> cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const std::array<unsigned char, 32> key{1};
  std::array<unsigned char, 12> nonce{};
  std::array<unsigned char, kRecordBytes + 16> out{};
  const double before = process_cpu_seconds(::getpid());
  const auto* at = reinterpret_cast<const unsigned char*>(feed.bytes.data());
  for (std::size_t left = feed.bytes.size(); left > 0;) {
    const std::size_t size = std::min(left, kRecordBytes);
    int written = 0;
    ++nonce[0];
    if (EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) !=
            1 ||
        EVP_EncryptUpdate(cipher.get(), out.data(), &written, at, static_cast<int>(size)) != 1 ||
        EVP_EncryptFinal_ex(cipher.get(), out.data() + written, &written) != 1) {
      throw std::runtime_error("no AES-256-GCM");
    }
    at += size;
    left -= size;
  }
  return (process_cpu_seconds(::getpid()) - before) * 1e6 / static_cast<double>(feed.size());
}

}  // namespace standpipe::test
