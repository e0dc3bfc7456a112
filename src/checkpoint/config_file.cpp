#include "checkpoint/config_file.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/mapped_file.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxBytes = 16'000'000;
constexpr int kMaxDepth = 32;  // a config nests about four deep

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::bad_file, what, name,
              "the file is damaged or belongs to another kind of model");
}

// Watches the parser: its own limits are the size of the stack and of the memory.
class Watch {
 public:
  explicit Watch(const std::string& name) : name_(name) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    if (depth >= kMaxDepth) refuse(name_, fmt::format("nests more than {} deep", kMaxDepth));
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) refuse(name_, fmt::format("{} twice", in_quotes(key)));
    }
    return true;
  }

 private:
  const std::string& name_;
  std::vector<std::set<std::string>> keys_;  // of every open object
};

Json parse_object(std::string_view text, const std::string& name) {
  Watch watch(name);
  try {
    Json root = Json::parse(text, [&](int depth, Json::parse_event_t event, Json& value) {
      return watch(depth, event, value);
    });
    if (!root.is_object()) refuse(name, "is not a JSON object");
    return root;
  } catch (const Json::parse_error& error) {
    refuse(name, fmt::format("is not JSON at its byte {}", error.byte));
  } catch (const Json::exception&) {
    refuse(name, "holds a number that is too large");
  }
}

}  // namespace

struct ConfigFile::Impl {
  std::shared_ptr<const Json> root;
  const Json* object;  // in root
  std::string prefix;  // "text_config." for errors

  // nullptr where the key is absent or null.
  const Json* find(std::string_view key) const {
    const auto found = object->find(key);
    return found == object->end() || found->is_null() ? nullptr : &*found;
  }

  std::string path(std::string_view key) const { return prefix + std::string(key); }
};

namespace {

// The value of `key` in the caller's terms, for errors.
struct Value {
  const std::string& file;
  std::string path;
  const Json& json;

  [[noreturn]] void refuse_type(std::string_view wanted) const {
    constexpr std::size_t kShown = 60;
    std::string shown = json.is_structured()
                            ? std::string(json.is_array() ? "a list" : "an object")
                            : json.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (shown.size() > kShown) shown = shown.substr(0, kShown) + "...";
    refuse(file, fmt::format("{} is {}, not {}", in_quotes(path), shown, wanted));
  }

  std::int64_t integer(std::int64_t least, std::int64_t most) const {
    const std::string wanted = fmt::format("a whole number from {} to {}", least, most);
    // Above the signed range get<int64_t> would wrap around.
    const bool wraps = json.is_number_unsigned() &&
                       json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
    if (!json.is_number_integer() || wraps) refuse_type(wanted);
    const auto value = json.get<std::int64_t>();
    if (value < least || value > most) refuse_type(wanted);
    return value;
  }

  double number(double least, double most) const {
    const std::string wanted = fmt::format("a number from {} to {}", least, most);
    if (!json.is_number()) refuse_type(wanted);
    const auto value = json.get<double>();
    if (!std::isfinite(value) || value < least || value > most) refuse_type(wanted);
    return value;
  }

  bool flag() const {
    if (!json.is_boolean()) refuse_type("true or false");
    return json.get<bool>();
  }

  std::string text() const {
    if (!json.is_string()) refuse_type("a text");
    return json.get<std::string>();
  }

  // Each element of a list, by read(Value).
  template <typename Read>
  auto list(Read read) const {
    if (!json.is_array()) refuse_type("a list");
    std::vector<decltype(read(*this))> values;
    for (const Json& element : json)
      values.push_back(read(Value{file, fmt::format("{}[{}]", path, values.size()), element}));
    return values;
  }
};

// read(value of key), or `fallback` where the key is absent.
template <typename Impl, typename T, typename Read>
T read_or(const Impl& impl, const std::string& file, std::string_view key,
          std::optional<T>&& fallback, Read read) {
  const Json* json = impl.find(key);
  if (json != nullptr) return read(Value{file, impl.path(key), *json});
  if (!fallback) refuse(file, fmt::format("{} is missing", in_quotes(impl.path(key))));
  return *std::move(fallback);
}

}  // namespace

ConfigFile::ConfigFile(std::shared_ptr<const Impl> impl, std::string name)
    : impl_(std::move(impl)), name_(std::move(name)) {}

ConfigFile ConfigFile::read(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  return parse(text, path.string());
}

ConfigFile ConfigFile::parse(std::string_view json, std::string name) {
  if (json.size() > kMaxBytes) {
    refuse(name, fmt::format("is {} bytes long, over the limit of {}", json.size(), kMaxBytes));
  }
  const auto root = std::make_shared<const Json>(parse_object(json, name));
  return {std::make_shared<const Impl>(Impl{root, root.get(), ""}), std::move(name)};
}

std::string ConfigFile::json() const {
  constexpr int kIndent = 2;
  return impl_->object->dump(kIndent) + "\n";
}

bool ConfigFile::has(std::string_view key) const {
  return impl_->find(key) != nullptr;
}

bool ConfigFile::is_list(std::string_view key) const {
  const Json* json = impl_->find(key);
  return json != nullptr && json->is_array();
}

std::vector<std::string> ConfigFile::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : impl_->object->items())
    keys.push_back(key);
  return keys;
}

std::string ConfigFile::to_json() const {
  return impl_->object->dump();
}

std::int64_t ConfigFile::integer(std::string_view key, std::int64_t least, std::int64_t most,
                                 std::optional<std::int64_t> fallback) const {
  return read_or(*impl_, name_, key, std::move(fallback),
                 [&](const Value& value) { return value.integer(least, most); });
}

double ConfigFile::number(std::string_view key, double least, double most,
                          std::optional<double> fallback) const {
  return read_or(*impl_, name_, key, std::move(fallback),
                 [&](const Value& value) { return value.number(least, most); });
}

bool ConfigFile::flag(std::string_view key, std::optional<bool> fallback) const {
  return read_or(*impl_, name_, key, std::move(fallback),
                 [](const Value& value) { return value.flag(); });
}

std::string ConfigFile::text(std::string_view key, std::optional<std::string> fallback) const {
  return read_or(*impl_, name_, key, std::move(fallback),
                 [](const Value& value) { return value.text(); });
}

std::vector<std::int64_t> ConfigFile::integers(
    std::string_view key, std::int64_t least, std::int64_t most,
    std::optional<std::vector<std::int64_t>> fallback) const {
  return read_or(*impl_, name_, key, std::move(fallback), [&](const Value& value) {
    return value.list([&](const Value& element) { return element.integer(least, most); });
  });
}

std::vector<std::string> ConfigFile::texts(std::string_view key,
                                           std::optional<std::vector<std::string>> fallback) const {
  return read_or(*impl_, name_, key, std::move(fallback), [](const Value& value) {
    return value.list([](const Value& element) {
      return element.json.is_null() ? std::string() : element.text();
    });
  });
}

ConfigFile ConfigFile::section(std::string_view key) const {
  static const auto kEmpty = std::make_shared<const Json>(Json::object());
  const std::string prefix = impl_->prefix + std::string(key) + ".";
  const Json* json = impl_->find(key);
  if (json == nullptr) {
    return {std::make_shared<const Impl>(Impl{kEmpty, kEmpty.get(), prefix}), name_};
  }
  if (!json->is_object()) Value{name_, impl_->path(key), *json}.refuse_type("an object");
  return {std::make_shared<const Impl>(Impl{impl_->root, json, prefix}), name_};
}

}  // namespace flux2
