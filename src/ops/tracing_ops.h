#pragma once

#include <map>
#include <string>

#include "ops/observed_ops.h"

namespace flux2 {

/// Keeps a host copy of every tensor that a model marks, by name.
///
/// A name that is marked again, in a later step say, is kept beside the first as "name#2",
/// "name#3" and so on.
class TracingOps final : public ObservedOps {
 public:
  using Filter = std::function<bool(std::string_view name)>;

  /// @param inner   must outlive this
  /// @param wanted  which names to keep; empty: all
  explicit TracingOps(Ops& inner, Filter wanted = {});

  void mark(std::string_view name, const Tensor& value) override;

  /// f32, dense, in host memory.
  const std::map<std::string, Tensor>& traces() const { return traces_; }
  /// The tensor marked `name`.
  /// @throws Error internal, naming what was marked, if there is none
  const Tensor& trace(const std::string& name) const;
  void clear();

 private:
  void observe(const OpCall&, const std::function<void()>& run) override { run(); }

  Filter wanted_;
  std::map<std::string, Tensor> traces_;
  std::map<std::string, int, std::less<>> counts_;
};

}  // namespace flux2
