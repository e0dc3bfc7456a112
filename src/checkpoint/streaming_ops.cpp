#include "checkpoint/streaming_ops.h"

#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace flux2 {

/// A linear layer that is not prepared yet.
struct StreamingOps::Streamed final : PreparedWeight,
                                      std::enable_shared_from_this<StreamingOps::Streamed> {
  std::vector<StoredTensor> sources;
  Tensor bias;
  /// What was used behind it the last time; before the first time, what was declared behind it.
  mutable std::weak_ptr<const Streamed> next;
};

StreamingOps::StreamingOps(std::unique_ptr<Ops> inner)
    : ObservedOps(*inner), owned_(std::move(inner)) {}

void StreamingOps::stream(double share) {
  share_ = share;
  seen_ = streamed_ = 0;
  last_.reset();
}

bool StreamingOps::stays(double elements) {
  seen_ += elements;
  if (streamed_ + elements > share_ * seen_ + elements / 2) return true;
  streamed_ += elements;
  return false;
}

Weight StreamingOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                                    Sensitivity sensitivity) {
  std::int64_t rows = 0;
  for (const StoredTensor& block : row_blocks)
    rows += block.shape[0];
  const Shape shape = {rows, row_elements(row_blocks.front())};
  const bool may_stream = share_ > 0 && sensitivity == Sensitivity::tolerant;
  if (!may_stream || stays(static_cast<double>(shape.elements()))) {
    return inner().prepare_linear(row_blocks, bias, sensitivity);
  }
  const auto streamed = std::make_shared<Streamed>();
  streamed->sources.assign(row_blocks.begin(), row_blocks.end());
  streamed->bias = bias;
  follow(streamed);
  return {shape, streamed};
}

// Links are learned while weights are declared and whenever they are used.
void StreamingOps::follow(const std::shared_ptr<const Streamed>& streamed) {
  if (const auto before = last_.lock()) before->next = streamed;
  last_ = streamed;
}

Weight StreamingOps::ready(const Weight& weight) {
  const auto* wanted = weight.prepared_as<Streamed>();
  if (wanted == nullptr) return weight;
  if (current_.streamed.get() == wanted) return current_.weight;
  release();  // its memory becomes the next one's
  const std::shared_ptr<const Streamed> streamed = wanted->shared_from_this();
  for (const StoredTensor& tensor : streamed->sources)
    require_complete(tensor);
  current_ = {streamed,
              inner().prepare_linear(streamed->sources, streamed->bias, Sensitivity::tolerant)};
  for (const StoredTensor& tensor : streamed->sources)
    drop_pages(tensor);
  follow(streamed);
  if (const auto next = streamed->next.lock()) {
    if (!disk_) disk_.emplace();
    for (const StoredTensor& tensor : next->sources)
      disk_->ask(tensor);
  }
  return current_.weight;
}

void StreamingOps::linear(const Tensor& x, const Weight& weight, const Tensor& out) {
  inner().linear(x, ready(weight), out);
}

void StreamingOps::linear_add_gated(const Tensor& x, const Weight& weight, const Tensor& gate,
                                    const Tensor& residual) {
  inner().linear_add_gated(x, ready(weight), gate, residual);
}

}  // namespace flux2
