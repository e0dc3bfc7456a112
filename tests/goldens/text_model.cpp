#include "text_model.h"

#include <algorithm>

namespace flux2::golden {

TextModel::TextModel(std::unique_ptr<Ops> ops, const std::string& checkpoint, const DecoderUse& use)
    : ops_(std::move(ops)),
      model_(load_language_model(data_path("checkpoints/" + checkpoint + "/text_encoder"), use,
                                 *ops_)) {}

std::vector<std::int32_t> to_ids(const std::vector<std::int64_t>& values) {
  std::vector<std::int32_t> ids;
  for (const std::int64_t value : values)
    ids.push_back(static_cast<std::int32_t>(value));
  return ids;
}

TokenBatch read_batch(const GoldenFile& file, const std::vector<std::string>& names) {
  TokenBatch batch;
  for (const std::string& name : names) {
    const std::vector<std::int32_t> ids = to_ids(file.integers(name + ".ids"));
    batch.length = static_cast<std::int64_t>(ids.size());
    batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());

    const std::vector<std::int64_t> mask = file.integers(name + ".mask");
    const auto begin = std::find(mask.begin(), mask.end(), 1);
    const auto end = std::find(begin, mask.end(), 0);
    batch.real.push_back({begin - mask.begin(), end - mask.begin()});
  }
  return batch;
}

}  // namespace flux2::golden
