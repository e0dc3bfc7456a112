// Any bytes as a GGUF file: an Error at worst, and every accepted tensor can be read.
#include "checkpoint/gguf.h"

#include <cstddef>
#include <cstdint>
#include <span>

#include "checkpoint/finite.h"
#include "checkpoint/safetensors.h"
#include "flux2/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file = flux2::parse_gguf(std::as_bytes(std::span(data, size)), nullptr, "fuzz.gguf");
    for (const auto& [name, tensor] : file.tensors) {
      if (!flux2::holds_numbers(tensor)) continue;
      flux2::first_non_finite(tensor);
      flux2::to_host_tensor(tensor);
      if (tensor.decoder != nullptr) tensor.decoder->scales(tensor);
    }
  } catch (const flux2::Error&) {
    // The expected end of a damaged file.
  }
  return 0;
}
