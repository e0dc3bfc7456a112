#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/companions/companions.h"
#include "checkpoint/metadata.h"

namespace flux2 {

/// The tensors of a part while companions are taken out of them.
class TensorPool {
 public:
  explicit TensorPool(Tensors& tensors) : tensors_(tensors) {}

  /// nullptr if there is none of that name.
  StoredTensor* find(const std::string& name);
  /// Takes a tensor off the list.
  std::optional<StoredTensor> take(const std::string& name);
  /// Adds a tensor under its name.
  void add(StoredTensor tensor);
  /// What comes before `suffix` in the names that end in it, in order.
  std::vector<std::string> before(std::string_view suffix) const;
  const Tensors& tensors() const { return tensors_; }

 private:
  Tensors& tensors_;
};

/// How one layer is stored, according to the file.
struct LayerMark {
  std::string format;  ///< "float8_e4m3fn", "nvfp4", ...: ComfyUI's words
  std::string file;    ///< for errors
};
using LayerMarks = std::map<std::string, LayerMark>;  // by layer: what stands before ".weight"

/// What ComfyUI's markers say: tensors "scaled_fp8" and "LAYER.comfy_quant", which are taken off
/// the list, and "_quantization_metadata".
LayerMarks take_marks(TensorPool& pool, const Metadata& metadata);

/// @throws Error bad_file: a layout that is known and not read
void refuse_unread_layouts(const TensorPool& pool, const Metadata& metadata);
void fold_bitsandbytes(TensorPool& pool);
void fold_svdquant(TensorPool& pool, std::vector<std::string>& notes);
void fold_scaled(TensorPool& pool, const LayerMarks& marks, std::vector<std::string>& notes);

}  // namespace flux2
