// Any bytes as a config.json, each of its keys read as every type: an Error at worst.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "checkpoint/config_file.h"
#include "flux2/error.h"

namespace {

template <typename Read>
void attempt(Read read) {
  try {
    read();
  } catch (const flux2::Error&) {
    // The value is of another type.
  }
}

void read_everything(const flux2::ConfigFile& config) {
  for (const std::string& key : config.keys()) {
    attempt([&] { config.integer(key, -1000, 1000); });
    attempt([&] { config.number(key, -1e6, 1e6); });
    attempt([&] { config.flag(key); });
    attempt([&] { config.text(key); });
    attempt([&] { config.integers(key, 0, 1 << 20); });
    attempt([&] { config.texts(key); });
    attempt([&] { read_everything(config.section(key)); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  attempt([&] { read_everything(flux2::ConfigFile::parse(bytes, "fuzz.json")); });
  return 0;
}
