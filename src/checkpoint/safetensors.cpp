#include "checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "checkpoint/finite.h"
#include "checkpoint/in_quotes.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/safetensors_writer.h"
#include "flux2/error.h"

// Layout of a file: the length of the header as a little-endian 64-bit number, the header (JSON,
// padded with spaces), the elements of all tensors back to back.
static_assert(std::endian::native == std::endian::little, "elements are used as they are stored");

namespace flux2 {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference reader

constexpr std::array kDTypes = {DType::f32,     DType::f16, DType::bf16, DType::f8_e4m3,
                                DType::f8_e5m2, DType::f64, DType::i64,  DType::i32,
                                DType::i16,     DType::i8,  DType::u8,   DType::boolean};

std::optional<DType> dtype_of(std::string_view name) {
  if (name == "F8_E8M0") return DType::u8;  // exponents alone: scales of MXFP8, never numbers
  const auto found = std::find_if(kDTypes.begin(), kDTypes.end(),
                                  [&](DType dtype) { return name_of(dtype) == name; });
  if (found == kDTypes.end()) return std::nullopt;
  return *found;
}

std::string list_of_dtypes() {
  std::string list;
  for (const DType dtype : kDTypes) {
    if (!list.empty()) list += ", ";
    list += name_of(dtype);
  }
  return list;
}

constexpr const char* kDamaged = "the file is damaged: get it again";

[[noreturn]] void refuse(const std::string& file, const std::string& what,
                         const char* hint = kDamaged) {
  throw Error(ErrorCode::bad_file, what, file, hint);
}

[[noreturn]] void refuse_tensor(const std::string& file, const std::string& tensor,
                                const std::string& what, const std::string& hint = kDamaged) {
  throw Error(ErrorCode::bad_file, fmt::format("tensor {} {}", in_quotes(tensor), what), file,
              hint);
}

std::string_view header_of(std::span<const std::byte> bytes, const std::string& file) {
  constexpr std::string_view kLfsPointer = "version https://git-lfs";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kLfsPointer)) {
    refuse(file, "is a Git LFS pointer, not the file itself", "run 'git lfs pull'");
  }
  if (bytes.size() < kLengthBytes) {
    refuse(file, fmt::format("is {} bytes long, too short for a safetensors file", bytes.size()));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    refuse(
        file,
        fmt::format("claims a header of {} bytes, over the limit of {}", length, kMaxHeaderBytes),
        "the file is damaged or not a safetensors file");
  }
  if (length > bytes.size() - kLengthBytes) {
    refuse(
        file,
        fmt::format("ends inside its header: {} bytes of {}", bytes.size() - kLengthBytes, length),
        "the download is incomplete: get it again");
  }
  return text.substr(kLengthBytes, length);
}

// The shape and the bytes it takes, checked for overflow.
std::pair<Shape, std::uint64_t> shape_of(const SafetensorsEntry& entry, DType dtype,
                                         const std::string& file) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = size_of(dtype);
  std::vector<std::int64_t> dims;
  for (const std::uint64_t dim : entry.shape) {
    // Checked without regard to zeros elsewhere, so that no product of dimensions can overflow.
    const std::uint64_t factor = std::max<std::uint64_t>(dim, 1);
    if (factor > kMost / bytes) {
      refuse_tensor(file, entry.name,
                    fmt::format("has an impossible shape: [{}]", fmt::join(entry.shape, ", ")));
    }
    bytes *= factor;
    dims.push_back(static_cast<std::int64_t>(dim));
  }
  const Shape shape{std::span<const std::int64_t>(dims)};
  return {shape, static_cast<std::uint64_t>(shape.elements()) * size_of(dtype)};
}

StoredTensor tensor_of(const SafetensorsEntry& entry, std::span<const std::byte> data,
                       const std::string& file) {
  const std::optional<DType> dtype = dtype_of(entry.dtype);
  if (!dtype) {
    refuse_tensor(file, entry.name, fmt::format("has the unknown type {}", in_quotes(entry.dtype)),
                  fmt::format("known are {}", list_of_dtypes()));
  }
  const auto [shape, size] = shape_of(entry, *dtype, file);
  if (entry.offsets.size() != 2) refuse_tensor(file, entry.name, "has not exactly two offsets");
  const std::uint64_t begin = entry.offsets[0];
  const std::uint64_t end = entry.offsets[1];
  if (begin > end) {
    refuse_tensor(file, entry.name, fmt::format("ends ({}) before it begins ({})", end, begin));
  }
  if (end > data.size()) {
    refuse_tensor(file, entry.name,
                  fmt::format("ends at byte {} of the data, which has only {}", end, data.size()),
                  "the download is incomplete: get it again");
  }
  if (end - begin != size) {
    refuse_tensor(file, entry.name,
                  fmt::format("has {} bytes, but {} {} takes {}", end - begin, name_of(*dtype),
                              shape.to_string(), size));
  }
  return {.name = entry.name,
          .file = file,
          .dtype = *dtype,
          .shape = shape,
          .bytes = data.subspan(begin, size),
          .owner = nullptr};
}

// The data must be covered once and completely, in whatever order the tensors come.
void require_cover(std::vector<SafetensorsEntry>& entries, std::uint64_t size,
                   const std::string& file) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.offsets < b.offsets; });
  std::uint64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::uint64_t begin = entry.offsets[0];
    if (begin < covered) {
      refuse_tensor(file, entry.name,
                    fmt::format("begins at byte {}, inside the tensor before it", begin));
    }
    if (begin > covered) {
      refuse_tensor(file, entry.name,
                    fmt::format("begins at byte {}, {} bytes after the tensor before it", begin,
                                begin - covered));
    }
    covered = entry.offsets[1];
  }
  if (covered != size) {
    refuse(file, fmt::format("holds {} bytes after its last tensor", size - covered));
  }
}

std::string list_of_names(const SafetensorsFile& file) {
  constexpr std::size_t kListed = 8;
  std::string list;
  std::size_t listed = 0;
  for (const auto& [name, tensor] : file.tensors) {
    if (listed++ == kListed) return fmt::format("{}, ... ({} in all)", list, file.tensors.size());
    list += (list.empty() ? "" : ", ") + in_quotes(name);
  }
  return list.empty() ? "nothing" : list;
}

}  // namespace

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes,
                                  const std::shared_ptr<const MappedFile>& owner,
                                  const std::string& file) {
  const std::string_view text = header_of(bytes, file);
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + text.size());
  SafetensorsHeader header = parse_safetensors_header(text, file);
  SafetensorsFile result;
  result.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.entries) {
    StoredTensor tensor = tensor_of(entry, data, file);
    tensor.owner = owner;
    result.tensors.emplace(entry.name, std::move(tensor));
  }
  require_cover(header.entries, data.size(), file);
  return result;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  const auto mapped = std::make_shared<const MappedFile>(path);
  return parse_safetensors(mapped->bytes(), mapped, path.string());
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<PlannedTensor> planned;
  for (const auto& [name, tensor] : tensors) {
    assert(tensor.is_dense());
    planned.push_back({name, tensor.dtype(), tensor.shape()});
  }
  SafetensorsWriter file(path, planned, metadata);
  for (const auto& [name, tensor] : tensors)
    file.write({tensor.bytes(), bytes_for(tensor.shape(), tensor.dtype())});
  file.commit();
}

Tensor to_host_tensor(const StoredTensor& tensor) {
  Tensor host = make_host_tensor(tensor.shape);
  read_rows(tensor, 0, tensor.shape.rank() == 0 ? 1 : tensor.shape[0], host.f32());
  return host;
}

Tensor read_host_tensor(const std::filesystem::path& path, const std::string& name) {
  const SafetensorsFile file = read_safetensors(path);
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    throw Error(ErrorCode::bad_file, fmt::format("has no tensor {}", in_quotes(name)),
                path.string(), fmt::format("it holds {}", list_of_names(file)));
  }
  const StoredTensor& tensor = found->second;
  if (!is_floating(tensor.dtype)) {
    refuse_tensor(path.string(), name,
                  fmt::format("is of type {}, not of real numbers", name_of(tensor.dtype)),
                  "store it as F32, F16 or BF16");
  }
  require_finite(tensor);
  return to_host_tensor(tensor);
}

}  // namespace flux2
