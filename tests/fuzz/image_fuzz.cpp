// libFuzzer: any bytes end in a picture or in one Error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "flux2/error.h"
#include "flux2/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    flux2::decode_image({data, size}, "input");
  } catch (const flux2::Error&) {
    // refused, as it should be
  }
  return 0;
}
