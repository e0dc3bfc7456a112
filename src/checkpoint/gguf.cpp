#include "checkpoint/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>
#include <vector>

#include "checkpoint/element_count.h"
#include "checkpoint/encodings/block_decoder.h"
#include "checkpoint/encodings/gguf_blocks.h"
#include "checkpoint/gguf_cursor.h"
#include "checkpoint/in_quotes.h"
#include "checkpoint/safetensors_header.h"
#include "flux2/error.h"

// Layout of a file: "GGUF", version, number of tensors, number of metadata pairs, the pairs, the
// tensors' names, shapes, types and offsets, padding, the tensors' blocks.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
namespace flux2 {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1 << 20;
constexpr std::size_t kMaxPairs = 65'536;
constexpr const char* kDamaged = "the file is damaged: get it again";

struct TensorInfo {
  std::string name;
  std::vector<std::int64_t> dims;  // PyTorch's order
  std::uint32_t type = 0;
  std::uint64_t offset = 0;  // from the start of the blocks
};

[[noreturn]] void refuse(const std::string& file, const std::string& what,
                         const std::string& hint = kDamaged) {
  throw Error(ErrorCode::bad_file, what, file, hint);
}

[[noreturn]] void refuse_tensor(const std::string& file, const std::string& tensor,
                                const std::string& what, const std::string& hint = kDamaged) {
  refuse(file, fmt::format("tensor {} {}", in_quotes(tensor), what), hint);
}

void require_version(GgufCursor& cursor) {
  if (cursor.number<std::uint32_t>("the header") != kMagic) {
    cursor.refuse("does not begin with \"GGUF\"", "this is not a GGUF file");
  }
  const auto version = cursor.number<std::uint32_t>("the header");
  if (version == 2 || version == 3) return;
  if ((version & 0xFFFFu) == 0 && version != 0) {
    cursor.refuse("is a big-endian GGUF file", "get the little-endian one");
  }
  cursor.refuse(fmt::format("is GGUF version {}; versions 2 and 3 are read", version),
                "convert the model again with a current program");
}

Metadata read_metadata(GgufCursor& cursor, std::uint64_t pairs) {
  std::map<std::string, Metadata::Value, std::less<>> values;
  std::map<std::string, int> left_out;  // keys of lists of lists: still known once only
  for (std::uint64_t i = 0; i < pairs; ++i) {
    std::string key = cursor.text("a metadata key");
    if (values.contains(key) || left_out.contains(key)) {
      cursor.refuse(fmt::format("metadata {} is there twice", in_quotes(key)), kDamaged);
    }
    std::optional<Metadata::Value> value = cursor.value(key);
    if (value) {
      values.emplace(std::move(key), *std::move(value));
    } else {
      left_out.emplace(std::move(key), 0);
    }
  }
  return Metadata(std::move(values));
}

TensorInfo read_info(GgufCursor& cursor) {
  TensorInfo info;
  info.name = cursor.text("the name of a tensor");
  const auto rank = cursor.number<std::uint32_t>("the shape of a tensor");
  if (rank > Shape::kMaxRank) {
    cursor.refuse(fmt::format("tensor {} has {} dimensions; at most {} are read",
                              in_quotes(info.name), rank, Shape::kMaxRank),
                  kDamaged);
  }
  for (std::uint32_t axis = 0; axis < rank; ++axis) {
    const auto size = cursor.number<std::uint64_t>("the shape of a tensor");
    const auto kept = std::in_range<std::int64_t>(size) ? static_cast<std::int64_t>(size) : -1;
    info.dims.insert(info.dims.begin(), kept);
    if (kept >= 0 && element_count(info.dims)) continue;
    cursor.refuse(
        fmt::format("tensor {} has an impossible dimension of {}", in_quotes(info.name), size),
        kDamaged);
  }
  info.type = cursor.number<std::uint32_t>("the type of a tensor");
  info.offset = cursor.number<std::uint64_t>("the offset of a tensor");
  return info;
}

const GgufType& type_of(const TensorInfo& info, const std::string& file) {
  if (const GgufType* type = find_gguf_type(info.type)) return *type;
  const std::string_view known = name_of_unread_gguf_type(info.type);
  if (known.empty()) {
    refuse_tensor(file, info.name, fmt::format("has the unknown type number {}", info.type),
                  "the file is damaged or newer than this program");
  }
  refuse_tensor(file, info.name, fmt::format("is stored as {}, which is not supported", known),
                "get a file of Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, Q2_K, IQ4_NL or IQ4_XS");
}

// The shape before a tensor was reshaped to fit its blocks (city96's converter).
Shape shape_of(const TensorInfo& info, const Metadata& metadata, const std::string& file) {
  const Shape stored{std::span<const std::int64_t>(info.dims)};
  const auto* original = metadata.integers("comfy.gguf.orig_shape." + info.name);
  if (original == nullptr) return stored;
  const bool fits =
      original->size() <= Shape::kMaxRank &&
      std::all_of(original->begin(), original->end(), [](auto size) { return size >= 0; }) &&
      element_count(*original) == stored.elements();
  if (!fits) {
    refuse_tensor(file, info.name,
                  "has an original shape in the metadata that does not hold as many numbers");
  }
  return Shape(std::span<const std::int64_t>(*original));
}

// Bytes of the blocks of `info`.
std::uint64_t size_of(const TensorInfo& info, const GgufType& type, const std::string& file) {
  const std::int64_t row = info.dims.empty() ? 1 : info.dims.back();
  if (row % type.elements != 0) {
    refuse_tensor(file, info.name,
                  fmt::format("has rows of {} numbers, which are not whole {} blocks of {}", row,
                              type.name, type.elements));
  }
  const std::int64_t blocks =
      Shape(std::span<const std::int64_t>(info.dims)).elements() / type.elements;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(blocks, type.bytes, &bytes)) {
    refuse_tensor(file, info.name, "is impossibly large");
  }
  return static_cast<std::uint64_t>(bytes);
}

StoredTensor tensor_of(const TensorInfo& info, std::span<const std::byte> data,
                       const Metadata& metadata, const std::string& file) {
  const GgufType& type = type_of(info, file);
  const std::uint64_t size = size_of(info, type, file);
  if (info.offset > data.size() || size > data.size() - info.offset) {
    refuse_tensor(file, info.name,
                  fmt::format("takes {} bytes from byte {} of the data on, which has only {}", size,
                              info.offset, data.size()),
                  "the download is incomplete: get it again");
  }
  return {.name = info.name,
          .file = file,
          .dtype = type.plain,
          .shape = shape_of(info, metadata, file),
          .bytes = data.subspan(info.offset, size),
          .owner = nullptr,
          .decoder = type.decode == nullptr ? nullptr : std::make_shared<BlockDecoder>(type)};
}

void require_apart(const std::map<std::string, StoredTensor>& tensors, const std::string& file) {
  std::vector<const StoredTensor*> order;
  for (const auto& [name, tensor] : tensors)
    if (!tensor.bytes.empty()) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->bytes.data() < b->bytes.data(); });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const auto& before = order[i - 1]->bytes;
    if (before.data() + before.size() <= order[i]->bytes.data()) continue;
    refuse_tensor(file, order[i]->name,
                  fmt::format("lies inside tensor {}", in_quotes(order[i - 1]->name)));
  }
}

std::uint64_t alignment_of(const Metadata& metadata, const GgufCursor& cursor) {
  if (!metadata.has("general.alignment")) return kDefaultAlignment;
  const auto value = metadata.integer("general.alignment").value_or(0);
  const auto alignment = static_cast<std::uint64_t>(value);
  if (value <= 0 || alignment > kMaxAlignment || !std::has_single_bit(alignment)) {
    cursor.refuse(fmt::format("\"general.alignment\" is {}, not a power of two", value), kDamaged);
  }
  return alignment;
}

}  // namespace

GgufFile parse_gguf(std::span<const std::byte> bytes,
                    const std::shared_ptr<const MappedFile>& owner, const std::string& file) {
  constexpr std::uint64_t kLeastInfo = 8 + 4 + 4 + 8;
  constexpr std::uint64_t kLeastPair = 8 + 4 + 1;
  GgufCursor cursor(bytes, file);
  require_version(cursor);
  const std::uint64_t tensors = cursor.count(kLeastInfo, "tensors");
  const std::uint64_t pairs = cursor.count(kLeastPair, "metadata pairs");
  if (tensors > kMaxSafetensorsEntries || pairs > kMaxPairs) {
    refuse(file, fmt::format("lists {} tensors and {} metadata pairs", tensors, pairs),
           "this is not a FLUX.2 file");
  }
  GgufFile result;
  result.metadata = read_metadata(cursor, pairs);
  std::vector<TensorInfo> infos;
  for (std::uint64_t i = 0; i < tensors; ++i)
    infos.push_back(read_info(cursor));
  const std::uint64_t alignment = alignment_of(result.metadata, cursor);
  const std::uint64_t start = (cursor.position() + alignment - 1) / alignment * alignment;
  const auto data = bytes.subspan(std::min<std::uint64_t>(start, bytes.size()));
  for (const TensorInfo& info : infos) {
    if (info.offset % alignment != 0) {
      refuse_tensor(file, info.name,
                    fmt::format("begins at byte {} of the data, which is not a multiple of {}",
                                info.offset, alignment));
    }
    StoredTensor tensor = tensor_of(info, data, result.metadata, file);
    tensor.owner = owner;
    if (!result.tensors.emplace(info.name, std::move(tensor)).second) {
      refuse_tensor(file, info.name, "is there twice");
    }
  }
  require_apart(result.tensors, file);
  return result;
}

GgufFile read_gguf(const std::filesystem::path& path) {
  const auto mapped = std::make_shared<const MappedFile>(path);
  return parse_gguf(mapped->bytes(), mapped, path.string());
}

}  // namespace flux2
