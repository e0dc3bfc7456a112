#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "golden.h"
#include "models/language/language_model.h"

namespace flux2::golden {

/// A text encoder of the golden checkpoints, loaded on a backend of its own.
class TextModel {
 public:
  /// @param checkpoint  a folder below tests/goldens/data/checkpoints
  TextModel(std::unique_ptr<Ops> ops, const std::string& checkpoint, const DecoderUse& use);

  Ops& ops() { return *ops_; }
  LanguageModel& model() { return *model_; }
  const Decoder& decoder() const { return model_->decoder(); }

 private:
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<LanguageModel> model_;
};

/// The texts `names` of `file` ("NAME.ids", "NAME.mask"), all of one length.
TokenBatch read_batch(const GoldenFile& file, const std::vector<std::string>& names);

/// ids as the models take them.
std::vector<std::int32_t> to_ids(const std::vector<std::int64_t>& values);

}  // namespace flux2::golden
