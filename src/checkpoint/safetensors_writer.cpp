#include "checkpoint/safetensors_writer.h"

#include <cassert>
#include <nlohmann/json.hpp>

#include "tensor/tensor.h"

namespace flux2 {
namespace {

std::string header_for(std::span<const PlannedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const PlannedTensor& tensor : tensors) {
    const std::size_t end = offset + bytes_for(tensor.shape, tensor.dtype);
    auto shape = nlohmann::ordered_json::array();
    for (int axis = 0; axis < tensor.shape.rank(); ++axis)
      shape.push_back(tensor.shape[axis]);
    header[tensor.name] = {{"dtype", name_of(tensor.dtype)},
                           {"shape", std::move(shape)},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the elements are aligned
  return text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     std::span<const PlannedTensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path) {
  for (const PlannedTensor& tensor : tensors)
    total_ += bytes_for(tensor.shape, tensor.dtype);
  const std::string header = header_for(tensors, metadata);
  const std::uint64_t length = header.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(std::as_bytes(std::span(header)));
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  assert(written_ <= total_);
  file_.write(bytes);
}

void SafetensorsWriter::commit() {
  assert(written_ == total_);
  file_.commit();
}

}  // namespace flux2
