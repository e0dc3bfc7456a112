#include "checkpoint/namings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "checkpoint/in_quotes.h"
#include "checkpoint/naming_tables.h"
#include "checkpoint/row_views.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::array<std::string_view, 3> kAside = {"tekken_model", "spiece_model", "logit_scale"};

[[noreturn]] void refuse(const std::string& file, const std::string& what,
                         const std::string& hint) {
  throw Error(ErrorCode::bad_file, what, file, hint);
}

std::string_view last_word(std::string_view name) {
  return name.substr(name.rfind('.') + 1);  // npos + 1 is 0
}

bool is_aside(std::string_view name) {
  return std::find(kAside.begin(), kAside.end(), last_word(name)) != kAside.end();
}

bool has_sign(const Naming& naming, std::string_view prefix, const TensorMap& tensors) {
  // Names with one prefix lie side by side.
  for (auto it = tensors.lower_bound(std::string(prefix));
       it != tensors.end() && it->first.starts_with(prefix); ++it) {
    const std::string_view name = std::string_view(it->first).substr(prefix.size());
    for (const std::string_view sign : naming.signs) {
      if (!sign.empty() && match_name(sign, name)) return true;
    }
  }
  return false;
}

// Whether a tensor belongs to `part` rather than to another one of `found`: the longest prefix of
// its name decides.
bool owns(const FoundPart& part, std::span<const FoundPart> found, std::string_view name) {
  if (!name.starts_with(part.prefix)) return false;
  return std::none_of(found.begin(), found.end(), [&](const FoundPart& other) {
    return other.prefix.size() > part.prefix.size() && name.starts_with(other.prefix);
  });
}

RowOrder order_of(Rearrangement change, const HeadDims& heads, RowOrder::Kind rotary) {
  if (change == Rearrangement::swap_halves) return {RowOrder::Kind::swapped_halves, 0};
  return {rotary, change == Rearrangement::split_text_rotary ? heads.text : heads.vision};
}

// `tensor` with its rows or its shape changed; `rotary` is the direction of the change.
StoredTensor rearranged(const StoredTensor& tensor, Rearrangement change, const HeadDims& heads,
                        RowOrder::Kind rotary, std::string name) {
  StoredTensor result = tensor;
  result.name = name;
  if (change == Rearrangement::none) return result;
  const Shape& shape = tensor.shape;
  if (change == Rearrangement::drop_ones) {
    const bool to_canonical = rotary == RowOrder::Kind::pairs_to_halves;
    if (to_canonical && shape.rank() == 4 && shape[2] == 1 && shape[3] == 1) {
      result.shape = {shape[0], shape[1]};
    } else if (!to_canonical && shape.rank() == 2) {
      result.shape = {shape[0], shape[1], 1, 1};
    }
    return result;
  }
  const RowOrder order = order_of(change, heads, rotary);
  const std::int64_t unit = order.kind == RowOrder::Kind::swapped_halves ? 2 : order.head_dim;
  if (shape.rank() == 0 || unit < 2 || unit % 2 != 0 || shape[0] % unit != 0) {
    refuse(tensor.file,
           fmt::format("tensor {} {} cannot be taken apart into {} rows each",
                       in_quotes(tensor.name), shape.to_string(), unit),
           "the file belongs to another model or is damaged");
  }
  return reordered_rows(tensor, order, std::move(name));
}

StoredTensor part_of(const StoredTensor& tensor, const RowPart& part) {
  if (part.count == 1) return tensor;
  if (tensor.shape.rank() == 0 || tensor.shape[0] % part.count != 0) {
    refuse(tensor.file,
           fmt::format("tensor {} {} cannot be cut into {} equal blocks of rows",
                       in_quotes(tensor.name), tensor.shape.to_string(), part.count),
           "the file belongs to another model or is damaged");
  }
  const std::int64_t rows = tensor.shape[0] / part.count;
  return row_range(tensor, rows * part.index, rows, tensor.name);
}

// The rules that apply to a stored name: the first that matches, and others of the same pattern.
std::span<const NameRule> rules_for(const Naming& naming, std::string_view name, NameParts& parts) {
  for (std::size_t i = 0; i < naming.rules.size(); ++i) {
    const std::optional<NameParts> match = match_name(naming.rules[i].stored, name);
    if (!match) continue;
    parts = *match;
    return naming.rules.subspan(i, static_cast<std::size_t>(naming.rules[i].part.count));
  }
  return {};
}

const NameRule* rule_to_store(const Naming& naming, std::string_view canonical, NameParts& parts) {
  for (const NameRule& rule : naming.rules) {
    const std::optional<NameParts> match = match_name(rule.canonical, canonical);
    if (!match) continue;
    parts = *match;
    return &rule;
  }
  return nullptr;
}

void add(TensorMap& tensors, std::string name, StoredTensor tensor) {
  const std::string stored_name = tensor.name;
  const auto [place, fresh] = tensors.try_emplace(std::move(name), std::move(tensor));
  if (fresh) return;
  refuse(place->second.file,
         fmt::format("tensors {} and {} are the same one in two spellings",
                     in_quotes(place->second.name), in_quotes(stored_name)),
         "the file is a mixture of two: get it again");
}

}  // namespace

std::string_view name_of(PartKind part) {
  switch (part) {
    case PartKind::transformer:
      return "transformer";
    case PartKind::text_encoder:
      return "text_encoder";
    case PartKind::vae:
      return "vae";
  }
  return "";
}

std::span<const Naming> namings() {
  static const std::vector<Naming> all = [] {
    std::vector<Naming> rows;
    for (const auto table : {transformer_namings(), text_encoder_namings(), vae_namings()})
      rows.insert(rows.end(), table.begin(), table.end());
    return rows;
  }();
  return all;
}

const Naming& naming_of(PartKind part, std::string_view name) {
  const auto found = std::find_if(namings().begin(), namings().end(), [&](const Naming& naming) {
    return naming.part == part && naming.name == name;
  });
  assert(found != namings().end());
  return *found;
}

std::vector<FoundPart> find_parts(const TensorMap& tensors) {
  std::vector<FoundPart> found;
  for (const Naming& naming : namings()) {
    const bool known = std::any_of(found.begin(), found.end(), [&](const FoundPart& part) {
      return part.naming->part == naming.part;
    });
    if (known) continue;
    const auto prefix =
        std::find_if(naming.prefixes.begin(), naming.prefixes.end(),
                     [&](std::string_view text) { return has_sign(naming, text, tensors); });
    if (prefix != naming.prefixes.end()) found.push_back({&naming, std::string(*prefix)});
  }
  return found;
}

CanonicalTensors canonical_tensors(const FoundPart& part, std::span<const FoundPart> found,
                                   const TensorMap& tensors, const HeadDims& heads,
                                   const std::string& file) {
  CanonicalTensors result;
  const bool alone = found.size() < 2;
  for (const auto& [name, tensor] : tensors) {
    const bool text_aside = part.naming->part == PartKind::text_encoder && is_aside(name);
    if (text_aside) {
      result.aside.try_emplace(std::string(last_word(name)), tensor);
      continue;
    }
    if (!owns(part, found, name)) {
      // What belongs to no part at all is left for the model's table to refuse by name.
      const std::string& stored = name;  // clang 14 captures no structured binding
      const bool another = std::any_of(found.begin(), found.end(), [&](const FoundPart& other) {
        return other.naming != part.naming && owns(other, found, stored);
      });
      if (!another && (alone || !is_aside(name))) add(result.tensors, name, tensor);
      continue;
    }
    const std::string_view bare = std::string_view(name).substr(part.prefix.size());
    NameParts parts;
    const std::span<const NameRule> rules = rules_for(*part.naming, bare, parts);
    if (rules.empty()) add(result.tensors, std::string(bare), tensor);
    for (const NameRule& rule : rules) {
      add(result.tensors, expand_name(rule.canonical, parts),
          rearranged(part_of(tensor, rule.part), rule.change, heads,
                     RowOrder::Kind::pairs_to_halves, tensor.name));
    }
  }
  if (result.tensors.empty()) refuse(file, "holds no tensors", "the file is damaged");
  return result;
}

std::string stored_name(const FoundPart& part, const std::string& canonical) {
  if (part.naming == nullptr) return canonical;
  NameParts parts;
  const NameRule* rule = rule_to_store(*part.naming, canonical, parts);
  return part.prefix + (rule == nullptr ? canonical : expand_name(rule->stored, parts));
}

TensorMap stored_tensors(const Naming& naming, std::string_view prefix, const TensorMap& canonical,
                         const HeadDims& heads, const std::string& file) {
  TensorMap result;
  std::map<std::string, std::map<int, StoredTensor>> pieces;  // of tensors that are joined
  std::map<std::string, int> counts;
  for (const auto& [name, tensor] : canonical) {
    NameParts parts;
    const NameRule* rule = rule_to_store(naming, name, parts);
    std::string stored(prefix);
    stored += rule == nullptr ? name : expand_name(rule->stored, parts);
    const Rearrangement change = rule == nullptr ? Rearrangement::none : rule->change;
    StoredTensor piece = rearranged(tensor, change, heads, RowOrder::Kind::halves_to_pairs, stored);
    if (rule == nullptr || rule->part.count == 1) {
      add(result, stored, std::move(piece));
    } else {
      counts[stored] = rule->part.count;
      pieces[stored].emplace(rule->part.index, std::move(piece));
    }
  }
  for (auto& [name, joined] : pieces) {
    if (static_cast<int>(joined.size()) != counts[name]) {
      refuse(file,
             fmt::format("only {} of the {} parts of {} are there", joined.size(), counts[name],
                         in_quotes(name)),
             "the checkpoint is incomplete");
    }
    std::vector<StoredTensor> rows;
    for (auto& [index, piece] : joined)
      rows.push_back(std::move(piece));
    result.emplace(name, joined_rows(std::move(rows), name));
  }
  return result;
}

}  // namespace flux2
