#include "checkpoint/shapes.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {

std::int64_t dimension_of(const Checkpoint& checkpoint, const std::string& name, int axis) {
  const StoredTensor* tensor = checkpoint.find(name);
  if (tensor != nullptr && axis < tensor->shape.rank()) return tensor->shape[axis];
  throw Error(ErrorCode::bad_file,
              tensor == nullptr
                  ? fmt::format("tensor {} is missing", in_quotes(checkpoint.stored_name(name)))
                  : fmt::format("tensor {} has the shape {}", in_quotes(tensor->name),
                                tensor->shape.to_string()),
              checkpoint.path().string(), "the file is incomplete or of another model");
}

std::int64_t count_layers(const Checkpoint& checkpoint, std::string_view prefix) {
  const std::string pattern = std::string(prefix) + "{i}.*";
  std::set<std::int64_t> layers;
  const TensorMap& tensors = checkpoint.tensors();
  for (auto it = tensors.lower_bound(std::string(prefix));
       it != tensors.end() && it->first.starts_with(prefix); ++it) {
    const std::optional<NameParts> parts = match_name(pattern, it->first);
    if (parts) layers.insert(parts->i.value());
  }
  std::int64_t next = 0;
  for (const std::int64_t layer : layers) {
    if (layer == next++) continue;
    throw Error(ErrorCode::bad_file,
                fmt::format("holds layer {} and up of {} but no layer {}", layer,
                            in_quotes(checkpoint.stored_name(std::string(prefix) + "*")), next - 1),
                checkpoint.path().string(), "the file is incomplete: get it again");
  }
  return next;
}

}  // namespace flux2
