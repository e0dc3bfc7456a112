// How fast stored weights become floats, on one thread: rows of 4096 numbers into a buffer that
// stays in the cache, as a backend packs them. "stored" is bytes of the file a second.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/encodings/bitsandbytes_decoder.h"
#include "checkpoint/encodings/block_decoder.h"
#include "checkpoint/encodings/microscaled_decoder.h"
#include "checkpoint/encodings/scaled_decoder.h"
#include "tensor/weight.h"

namespace {

using namespace flux2;

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kWidth = 4096;
constexpr std::int64_t kChunk = 16;  // rows at a time

// A tensor of random bytes, which it owns.
StoredTensor random_tensor(DType dtype, const Shape& shape, std::int64_t bytes) {
  auto storage = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(bytes));
  std::mt19937 random(1);
  for (std::byte& byte : *storage)
    byte = static_cast<std::byte>(random() % 120);
  return {.name = "x",
          .file = "x",
          .dtype = dtype,
          .shape = shape,
          .bytes = *storage,
          .owner = storage};
}

void run(benchmark::State& state, const StoredTensor& tensor) {
  std::vector<float> rows(kChunk * kWidth);
  for (auto _ : state) {
    for (std::int64_t row = 0; row < kRows; row += kChunk)
      read_rows(tensor, row, kChunk, rows.data());
    benchmark::DoNotOptimize(rows.data());
  }
  const auto passes = static_cast<double>(state.iterations());
  using benchmark::Counter;
  state.counters["stored"] =
      Counter(passes * static_cast<double>(tensor.bytes.size()), Counter::kIsRate);
  state.counters["numbers"] = Counter(passes * kRows * kWidth, Counter::kIsRate);
}

StoredTensor gguf(std::uint32_t id) {
  const GgufType& type = *find_gguf_type(id);
  StoredTensor tensor =
      random_tensor(type.plain, {kRows, kWidth}, kRows * kWidth / type.elements * type.bytes);
  if (type.decode != nullptr) tensor.decoder = std::make_shared<BlockDecoder>(type);
  return tensor;
}

StoredTensor fp8_rows() {
  StoredTensor tensor = random_tensor(DType::f8_e4m3, {kRows, kWidth}, kRows * kWidth);
  ScaleGrid grid{std::vector<float>(kRows, 0.5f), 1, kWidth};
  tensor.decoder = std::make_shared<ScaledDecoder>(tensor, std::move(grid), "a scale a row");
  return tensor;
}

StoredTensor nvfp4() {
  StoredTensor tensor = random_tensor(DType::u8, {kRows, kWidth}, kRows * kWidth / 2);
  StoredTensor scales = random_tensor(DType::f8_e4m3, {kRows, kWidth / 16}, kRows * kWidth / 16);
  tensor.decoder = std::make_shared<Nvfp4Decoder>(scales, 0.5f, std::vector<float>());
  return tensor;
}

StoredTensor nf4() {
  StoredTensor tensor = random_tensor(DType::u8, {kRows, kWidth}, kRows * kWidth / 2);
  BitsandbytesDecoder::State state{.kind = "NF4", .table = {}, .absmax = {}};
  state.absmax.assign(kRows * kWidth / 64, 0.5f);
  tensor.decoder = std::make_shared<BitsandbytesDecoder>(std::move(state));
  return tensor;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::pair<std::string, StoredTensor>> tensors;
  for (const std::uint32_t id : {30u, 1u, 8u, 2u, 3u, 6u, 7u, 10u, 11u, 12u, 13u, 14u, 20u, 23u})
    tensors.emplace_back(find_gguf_type(id)->name, gguf(id));
  StoredTensor plain = random_tensor(DType::f8_e4m3, {kRows, kWidth}, kRows * kWidth);
  tensors.emplace_back("F8_E4M3", plain);
  tensors.emplace_back("F8_E4M3 with scales", fp8_rows());
  tensors.emplace_back("NVFP4", nvfp4());
  tensors.emplace_back("NF4", nf4());
  for (const auto& [name, tensor] : tensors)
    benchmark::RegisterBenchmark(name.c_str(),
                                 [&](benchmark::State& state) { run(state, tensor); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
