#include "tokenizers/vocabulary.h"

#include <fmt/format.h>

#include "flux2/error.h"

namespace flux2 {

void Vocabulary::add(std::string_view spelling, std::int32_t id, const std::string& where) {
  if (id < 0 || id >= kIdLimit) {
    throw Error(ErrorCode::bad_file,
                fmt::format("token '{}' has the id {}; ids lie between 0 and {}", spelling, id,
                            kIdLimit - 1),
                where);
  }
  const auto index = static_cast<std::size_t>(id);
  if (index >= spellings_.size()) spellings_.resize(index + 1, nullptr);
  if (const std::string* other = spellings_[index]; other != nullptr && *other != spelling) {
    throw Error(ErrorCode::bad_file,
                fmt::format("tokens '{}' and '{}' share the id {}", *other, spelling, id), where);
  }
  const auto [entry, inserted] = ids_.try_emplace(std::string(spelling), id);
  if (entry->second != id) {
    throw Error(ErrorCode::bad_file,
                fmt::format("token '{}' has two ids, {} and {}", spelling, entry->second, id),
                where);
  }
  spellings_[index] = &entry->first;
}

std::optional<std::int32_t> Vocabulary::find(std::string_view spelling) const {
  const auto found = ids_.find(std::string(spelling));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Vocabulary::spelling(std::int32_t id) const {
  const auto index = static_cast<std::size_t>(id);
  return id >= 0 && index < spellings_.size() ? spellings_[index] : nullptr;
}

}  // namespace flux2
