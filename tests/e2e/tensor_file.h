#pragma once

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "program.h"

namespace flux2 {

/// A safetensors file that a test damages on purpose.
class TensorFile {
 public:
  explicit TensorFile(std::string path) : path_(std::move(path)), bytes_(read_file(path_)) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), sizeof(length));
    header_ = nlohmann::json::parse(bytes_.substr(sizeof(length), length));
    data_ = sizeof(length) + length;
  }

  /// The bytes of a tensor, to be changed in place.
  char* data(const std::string& tensor) { return bytes_.data() + data_ + offset(tensor, 0); }
  std::size_t size(const std::string& tensor) const {
    return offset(tensor, 1) - offset(tensor, 0);
  }
  std::string content(const std::string& tensor) { return {data(tensor), size(tensor)}; }
  const nlohmann::json& header() const { return header_; }

  /// Gives a tensor another name of the same length.
  void rename(const std::string& from, const std::string& to) {
    bytes_.replace(bytes_.find("\"" + from + "\""), to.size() + 2, "\"" + to + "\"");
  }
  void save() const { write_text(path_, bytes_); }

 private:
  std::size_t offset(const std::string& tensor, std::size_t end) const {
    return header_.at(tensor).at("data_offsets").at(end).get<std::size_t>();
  }

  std::string path_;
  std::string bytes_;
  nlohmann::json header_;
  std::size_t data_ = 0;
};

}  // namespace flux2
