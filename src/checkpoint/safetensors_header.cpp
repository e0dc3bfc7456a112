#include "checkpoint/safetensors_header.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "checkpoint/in_quotes.h"
#include "flux2/error.h"
#include "tensor/shape.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

// Follows the JSON event by event; any event that the form has no place for is an error at once,
// so nothing can nest deeper than entry and list.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (place_ == Place::outside) return go(Place::root);
    if (place_ == Place::root && key_ == "__metadata__") return go(Place::metadata);
    if (place_ != Place::root) refuse("an object where none belongs");
    if (header_.entries.size() >= kMaxSafetensorsEntries) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("the header lists more than {} tensors", kMaxSafetensorsEntries),
                  file_, "this is not a FLUX.2 file");
    }
    header_.entries.push_back({.name = key_, .dtype = {}, .shape = {}, .offsets = {}});
    seen_.clear();
    return go(Place::entry);
  }

  bool key(string_t& key) override {
    switch (place_) {
      case Place::root:
        if (!names_.insert(key).second) {
          throw Error(ErrorCode::bad_file,
                      fmt::format("tensor {} is listed twice in the header", in_quotes(key)),
                      file_);
        }
        key_ = key;
        return true;
      case Place::metadata:
        metadata_key_ = key;
        if (header_.metadata.contains(key)) refuse(fmt::format("{} twice", in_quotes(key)));
        if (header_.metadata.size() >= kMaxSafetensorsEntries) refuse("too many texts");
        return true;
      default:
        field_ = field_of(key);
        if (!seen_.insert(field_).second) refuse(fmt::format("{} twice", in_quotes(key)));
        return true;
    }
  }

  bool end_object() override {
    if (place_ == Place::root) return go(Place::outside);
    if (place_ == Place::entry && seen_.size() != 3) {
      refuse("needs \"dtype\", \"shape\" and \"data_offsets\"");
    }
    return go(Place::root);
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::entry || field_ == Field::dtype) refuse("a list where none belongs");
    return go(Place::list);
  }

  bool end_array() override { return go(Place::entry); }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      header_.metadata.emplace(std::move(metadata_key_), std::move(text));
    } else if (place_ == Place::entry && field_ == Field::dtype) {
      header_.entries.back().dtype = std::move(text);
    } else {
      refuse("a text where none belongs");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::list) refuse("a number where none belongs");
    SafetensorsEntry& entry = header_.entries.back();
    const bool is_shape = field_ == Field::shape;
    std::vector<std::uint64_t>& list = is_shape ? entry.shape : entry.offsets;
    if (list.size() >= (is_shape ? std::size_t{Shape::kMaxRank} : 2)) {
      refuse(is_shape ? fmt::format("more than {} dimensions", Shape::kMaxRank)
                      : "more than two \"data_offsets\"");
    }
    list.push_back(value);
    return true;
  }

  bool number_integer(number_integer_t value) override {
    return refuse(fmt::format("the number {} is negative", value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return refuse(fmt::format("the number {} is not a whole one or too large", in_quotes(text)));
  }
  bool boolean(bool) override { return refuse("true or false where none belongs"); }
  bool null() override { return refuse("null where none belongs"); }
  bool binary(binary_t&) override { return refuse("bytes where none belong"); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    throw Error(ErrorCode::bad_file, fmt::format("the header is not JSON at its byte {}", position),
                file_, "the file is damaged or not a safetensors file");
  }

 private:
  enum class Place { outside, root, metadata, entry, list };
  enum class Field { dtype, shape, offsets };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  Field field_of(std::string_view key) const {
    if (key == "dtype") return Field::dtype;
    if (key == "shape") return Field::shape;
    if (key == "data_offsets") return Field::offsets;
    return refuse(fmt::format("unknown key {}", in_quotes(key))), Field::dtype;
  }

  [[noreturn]] bool refuse(const std::string& what) const {
    const std::string about =
        place_ == Place::outside ? std::string("the header") : "header entry " + in_quotes(key_);
    throw Error(ErrorCode::bad_file, fmt::format("{} has the wrong form: {}", about, what), file_,
                "the file is damaged or not a safetensors file");
  }

  const std::string& file_;
  SafetensorsHeader header_;
  std::set<std::string> names_;
  std::set<Field> seen_;
  std::string key_;
  std::string metadata_key_;
  Field field_ = Field::dtype;
  Place place_ = Place::outside;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& file) {
  HeaderReader reader(file);
  Json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

}  // namespace flux2
