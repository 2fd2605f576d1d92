#include "storage/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace standpipe::storage {
namespace {

std::string holder_of(int fd) {
  std::array<char, 64> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
  std::string holder(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  // A writer that was killed leaves its number behind; then it is readers that hold the lock.
  const int pid = std::atoi(holder.c_str());
  if (pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) holder.clear();
  return holder;
}

}  // namespace

Result<DirectoryLock> DirectoryLock::acquire(const std::filesystem::path& dir, Access access) {
  const std::filesystem::path path = dir / "archive.lock";
  const bool writes = access == Access::write;
  // A reader may have no right to write here: it needs the file to be there already.
  int fd = ::open(path.c_str(), (writes ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0644);
  if (fd < 0) {
    const Errc code = errno == ENOENT ? Errc::not_found : Errc::io;
    return Error{code, "cannot open " + path.string() + ": " + std::strerror(errno)};
  }
  if (::flock(fd, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    const int error = errno;
    const std::string holder = holder_of(fd);
    ::close(fd);  // before there is a DirectoryLock: its end would wipe out the holder's name
    if (error != EWOULDBLOCK) {
      return Error{Errc::io, "cannot lock " + path.string() + ": " + std::strerror(error)};
    }
    const bool is_written = !holder.empty();
    std::string detail = dir.string() + " is held ";
    detail += is_written ? "for writing by process " + holder : "by a process that reads it";
    detail += writes ? "; an archive has one writer: stop that process first"
                     : "; it can be read once that process has ended, or through it";
    return Error{Errc::busy, detail};
  }
  DirectoryLock lock(fd);
  if (writes) {
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd, 0) != 0 ||
        ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      // Only the words of somebody else's refusal depend on it; a full disk must not stop an open.
      return lock;
    }
  }
  return lock;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ < 0) return;
  // Emptied by a writer's clean end, so that nobody is told of a process that is gone. A reader has
  // no right to, and fails harmlessly.
  [[maybe_unused]] const int ignored = ::ftruncate(fd_, 0);
  ::close(fd_);
}

}  // namespace standpipe::storage
