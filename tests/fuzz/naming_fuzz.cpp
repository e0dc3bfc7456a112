// Any bytes as a file of weights whose names are then understood: an Error at worst, and every
// canonical tensor can be read.
#include <cstddef>
#include <cstdint>
#include <span>

#include "checkpoint/namings.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/strangers.h"
#include "checkpoint/weights_file.h"
#include "flux2/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file =
        flux2::parse_weights_file(std::as_bytes(std::span(data, size)), nullptr, "fuzz");
    flux2::find_stranger(file.tensors);
    const std::vector<flux2::FoundPart> found = flux2::find_parts(file.tensors);
    const flux2::HeadDims heads = {.text = 4, .vision = 2};
    for (const flux2::FoundPart& part : found) {
      const flux2::TensorMap tensors =
          flux2::canonical_tensors(part, found, file.tensors, heads, "fuzz").tensors;
      for (const auto& [name, tensor] : tensors) {
        if (flux2::holds_numbers(tensor)) flux2::to_host_tensor(tensor);
      }
      flux2::stored_tensors(*part.naming, part.prefix, tensors, heads, "fuzz");
    }
  } catch (const flux2::Error&) {
    // The expected end of a damaged file.
  }
  return 0;
}
