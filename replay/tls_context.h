// What a TLS listener shows: its certificate and its key, read again when the files change.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "schema/base/result.h"

struct ssl_ctx_st;

namespace standpipe::replay {

using TlsContextPtr = std::shared_ptr<ssl_ctx_st>;

struct TlsFiles {
  std::string certificate;  // PEM: ours first, then those that lead up to one that is trusted
  std::string key;          // PEM, without a passphrase
};

// TLS 1.2 and 1.3, no renegotiation, HTTP/1.1 by ALPN. Any thread.
class TlsCertificate {
 public:
  // io: a file cannot be read; invalid: it is not what it should be, or the key is another's.
  static Result<std::unique_ptr<TlsCertificate>> load(TlsFiles files);

  // For connections that begin now; those that have begun keep theirs.
  TlsContextPtr context() const;

  // Reads the files again if either has changed since it was last read: whether it was. Of a pair
  // that does not load, as it may be while it is being replaced, the error is told once, what was
  // loaded before stays, and the next change is tried.
  Result<bool> reload_if_changed();

 private:
  // What tells one state of a file from another.
  struct Stamp {
    std::uint64_t inode = 0, bytes = 0;
    std::int64_t changed_s = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Stamps {
    Stamp certificate, key;
    bool operator==(const Stamps&) const = default;
  };

  explicit TlsCertificate(TlsFiles files) : files_(std::move(files)) {}
  static Stamp stamp_of(const std::string& path);
  Stamps stamps() const { return {stamp_of(files_.certificate), stamp_of(files_.key)}; }

  const TlsFiles files_;
  mutable std::mutex mutex_;  // guards what follows
  TlsContextPtr context_;
  Stamps tried_;
};

}  // namespace standpipe::replay
