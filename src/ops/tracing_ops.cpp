#include "ops/tracing_ops.h"

#include <utility>

#include "flux2/error.h"

namespace flux2 {

TracingOps::TracingOps(Ops& inner, Filter wanted)
    : ObservedOps(inner), wanted_(std::move(wanted)) {}

void TracingOps::mark(std::string_view name, const Tensor& value) {
  inner().mark(name, value);
  if (wanted_ && !wanted_(name)) return;
  std::string key(name);
  const int count = ++counts_[key];
  if (count > 1) key.append(1, '#').append(std::to_string(count));
  traces_.insert_or_assign(std::move(key), inner().download(value));
}

const Tensor& TracingOps::trace(const std::string& name) const {
  const auto found = traces_.find(name);
  if (found != traces_.end()) return found->second;
  std::string known;
  for (const auto& [key, tensor] : traces_)
    known += (known.empty() ? "" : ", ") + key;
  throw Error(ErrorCode::internal, "no tensor was marked \"" + name + "\"", "",
              known.empty() ? "nothing was marked" : "marked: " + known);
}

void TracingOps::clear() {
  traces_.clear();
  counts_.clear();
}

}  // namespace flux2
