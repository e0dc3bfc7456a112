#include "hub/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Digest {
 public:
  explicit Digest(const EVP_MD* algorithm) : context_(EVP_MD_CTX_new()) {
    if (!context_) throw std::bad_alloc();
    check(EVP_DigestInit_ex(context_.get(), algorithm, nullptr));
  }

  void update(const void* bytes, std::size_t size) {
    check(EVP_DigestUpdate(context_.get(), bytes, size));
  }

  std::string hex() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    check(EVP_DigestFinal_ex(context_.get(), bytes, &size));
    std::string text;
    for (unsigned int i = 0; i < size; ++i)
      text += fmt::format("{:02x}", bytes[i]);
    return text;
  }

 private:
  static void check(int result) {
    if (result != 1) throw Error(ErrorCode::internal, "libcrypto cannot compute a digest");
  }

  std::unique_ptr<EVP_MD_CTX, FreeContext> context_;
};

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail();
  }
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::size_t read(std::span<std::byte> into) const {
    while (true) {
      const ssize_t got = ::read(descriptor_, into.data(), into.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) fail();
    }
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(ErrorCode::bad_file, fmt::format("cannot read: {}", std::strerror(errno)),
                path_.string());
  }

  std::filesystem::path path_;
  int descriptor_;
};

}  // namespace

std::string sha256_of(std::span<const std::byte> bytes) {
  Digest digest(EVP_sha256());
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

std::string digest_of(const std::filesystem::path& file, DigestKind kind,
                      const std::stop_token& stop) {
  constexpr std::size_t kBuffer = std::size_t{1} << 20;
  const OpenFile source(file);
  Digest digest(kind == DigestKind::sha256 ? EVP_sha256() : EVP_sha1());
  if (kind == DigestKind::git_object) {
    const std::string header = fmt::format("blob {}", std::filesystem::file_size(file));
    digest.update(header.c_str(), header.size() + 1);
  }
  std::vector<std::byte> buffer(kBuffer);
  while (const std::size_t got = source.read(buffer)) {
    if (stop.stop_requested()) return {};
    digest.update(buffer.data(), got);
  }
  return digest.hex();
}

}  // namespace flux2
