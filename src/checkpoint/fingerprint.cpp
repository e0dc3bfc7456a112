#include <fmt/format.h>

#include <set>

#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"

namespace flux2 {
namespace {

// Of a tensor, read from its middle: were the identity of a file ever to lie (some file systems on
// the network make times and inodes up), nearly every change of a weight would still be seen.
constexpr std::size_t kSampleBytes = 64;

std::string sample_of(const StoredTensor& tensor) {
  std::string text;
  const std::size_t count = std::min(kSampleBytes, tensor.bytes.size());
  for (const std::byte byte : tensor.bytes.subspan((tensor.bytes.size() - count) / 2, count))
    text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

}  // namespace

std::string fingerprint(const Checkpoint& checkpoint) {
  std::string text;
  std::set<const MappedFile*> files;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    require_complete(tensor);
    text += fmt::format("{} {} {} {}\n", name, encoding_of(tensor), tensor.shape.to_string(),
                        sample_of(tensor));
    const auto* file = static_cast<const MappedFile*>(tensor.owner.get());
    if (file == nullptr || !files.insert(file).second) continue;
    const FileIdentity& id = file->identity();
    text += fmt::format("{} {} {} {} {}\n", id.device, id.inode, id.size, id.modified, id.changed);
  }
  return text;
}

}  // namespace flux2
