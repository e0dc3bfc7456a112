// The built-in model with one part stored in each type that there is: it draws, bit for bit, what
// the numbers draw that the type's writer meant, and these are as near to the parent's as the type
// allows. The decoders themselves are held to the formats' own programs in tests/unit/checkpoint,
// and all of it, with files of those programs, in tools/check_formats.py.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "../checkpoint/gguf_bytes.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "flux2/pipeline.h"
#include "flux2/quantize.h"
#include "matrix_writers.h"

namespace flux2::test {
namespace {

namespace fs = std::filesystem;

const fs::path kNano = fs::path(FLUX2_SOURCE_DIR) / "models/nano";

class StoredTypes : public testing::Test {
 protected:
  StoredTypes() : folder_(fs::temp_directory_path() / ("flux2-types-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~StoredTypes() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  // nano with its transformer from `file`: the latents after a step, from embeddings.
  static std::vector<float> draw(const fs::path& file, Compute compute = Compute::f32) {
    const Pipeline pipeline = Pipeline::load(
        ModelSource{.model = kNano.string(), .transformer = file, .variant = Family::klein_base},
        {.compute = compute, .threads = 1});
    Request request;
    request.width = request.height = 32;
    request.num_inference_steps = 1;
    request.guidance_scale = 1;
    request.seeds = {3};
    request.prompt_embeds = FloatArray{{1, 4, kJoint}, std::vector<float>(4 * kJoint, 0.5F), ""};
    return pipeline.generate(request, {.output = Output::latents}).latents.values;
  }

  static constexpr std::int64_t kJoint = 288;

  fs::path folder_;
};

// What an error of the weights of the first blocks becomes in the latents, at most.
constexpr double kGain = 2;

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double away = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    away += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(away / size);
}

using Tensors = std::map<std::string, Tensor>;

// The transformer of the built-in model as f32, under the names of `naming`.
Tensors parent(const char* naming) {
  const Checkpoint weights = Checkpoint::open(kNano / "transformer", PartKind::transformer);
  Tensors tensors;
  for (const auto& [name, tensor] :
       stored_tensors(naming_of(PartKind::transformer, naming), "", weights.tensors(), {}, "test"))
    tensors.emplace(name, to_host_tensor(tensor));
  return tensors;
}

// Layers of the first blocks: enough to see every shape, and the rest as it was.
bool is_chosen(const std::string& name, const Tensor& tensor) {
  const bool first = name.find("blocks.0.") != std::string::npos;
  return first && tensor.shape().rank() == 2;
}

Matrix matrix_of(const Tensor& tensor) {
  return {tensor.shape()[0], tensor.shape()[1], to_vector(tensor)};
}

// A file of the parent whose chosen layers are stored in a type, and one of what they mean.
struct Written {
  Tensors stored;
  Tensors meant;
};

Written written_as(const TypeWriter& type, const Tensors& whole) {
  Written result = {.stored = {}, .meant = whole};
  for (const auto& [name, tensor] : whole) {
    if (!is_chosen(name, tensor)) {
      result.stored.emplace(name, tensor);
      continue;
    }
    const Matrix matrix = matrix_of(tensor);
    const StoredMatrix written = type.write(matrix);
    EXPECT_LE(distance(written.meaning, matrix.values), type.error) << name;
    const std::string layer = name.substr(0, name.size() - std::string(".weight").size());
    for (const auto& [suffix, part] : written.tensors)
      result.stored.emplace(layer + suffix, part);
    result.meant.insert_or_assign(name, make_host_tensor(tensor.shape(), written.meaning));
  }
  return result;
}

TypeWriter writer_of(const std::string& name) {
  const std::vector<TypeWriter> all = type_writers();
  return *std::find_if(all.begin(), all.end(),
                       [&](const TypeWriter& writer) { return writer.name == name; });
}

TEST_F(StoredTypes, OfSafetensorsDrawWhatTheyMean) {
  const Tensors whole = parent("Diffusers");
  const fs::path file = folder_ / "stored.safetensors";
  write_safetensors(folder_ / "parent.safetensors", whole);
  const std::vector<float> original = draw(folder_ / "parent.safetensors");
  for (const TypeWriter& type : type_writers()) {
    SCOPED_TRACE(type.name);
    const auto [stored, meant] = written_as(type, whole);
    write_safetensors(file, stored);
    write_safetensors(folder_ / "meant.safetensors", meant);
    const std::vector<float> drawn = draw(file);
    EXPECT_EQ(drawn, draw(folder_ / "meant.safetensors"));
    EXPECT_LE(distance(drawn, original), kGain * type.error);
    const std::vector<std::string> types = inspect_file(file).parts[0].dtypes;
    EXPECT_NE(std::find(types.begin(), types.end(), type.name), types.end())
        << testing::PrintToString(types);
  }
}

// Writes `tensors`, in GGUF's order of dimensions; the chosen ones by `writer`, whose meaning is
// put in their place.
std::string gguf_of(Tensors& tensors, const BlockWriter& writer) {
  GgufBytes file;
  std::uint64_t offset = 0;
  for (auto& [name, tensor] : tensors) {
    GgufTensor entry = {.name = name, .dims = {}, .type = 0, .offset = offset, .data = {}};
    for (int axis = tensor.shape().rank() - 1; axis >= 0; --axis)
      entry.dims.push_back(static_cast<std::uint64_t>(tensor.shape()[axis]));
    std::vector<float> values = to_vector(tensor);
    if (is_chosen(name, tensor)) {
      entry.type = writer.type;
      std::vector<float> meaning(values.size());
      for (std::size_t i = 0; i < values.size(); i += writer.elements)
        entry.data += writer.write(values.data() + i, meaning.data() + i);
      EXPECT_LE(distance(meaning, values), writer.error) << name;
      tensor = make_host_tensor(tensor.shape(), meaning);
    } else {
      entry.data.assign(reinterpret_cast<const char*>(values.data()), values.size() * 4);
    }
    offset = (offset + entry.data.size() + 31) / 32 * 32;
    file.tensor(entry);
  }
  return file.text();
}

TEST_F(StoredTypes, OfGgufDrawWhatTheyMean) {
  const Tensors whole = parent("BFL");
  write_safetensors(folder_ / "parent.safetensors", whole);
  const std::vector<float> original = draw(folder_ / "parent.safetensors");
  for (const BlockWriter& type : block_writers()) {
    SCOPED_TRACE(type.name);
    Tensors meant = whole;
    std::ofstream(folder_ / "stored.gguf", std::ios::binary) << gguf_of(meant, type);
    write_safetensors(folder_ / "meant.safetensors", meant);
    const std::vector<float> drawn = draw(folder_ / "stored.gguf");
    EXPECT_EQ(drawn, draw(folder_ / "meant.safetensors"));
    EXPECT_LE(distance(drawn, original), kGain * type.error);
    const std::vector<std::string> types = inspect_file(folder_ / "stored.gguf").parts[0].dtypes;
    EXPECT_NE(std::find(types.begin(), types.end(), type.name), types.end())
        << testing::PrintToString(types);
  }
}

// No reader sees which nibble is meant to be first: docs/formats.md says it, and the other one
// would be another picture.
TEST_F(StoredTypes, NibblesInTheOtherOrderAreAnotherPicture) {
  for (const char* name : {"NVFP4", "bitsandbytes NF4"}) {
    SCOPED_TRACE(name);
    auto [stored, meant] = written_as(writer_of(name), parent("Diffusers"));
    for (auto& [tensor_name, tensor] : stored) {
      if (tensor.dtype() != DType::u8 || !tensor_name.ends_with(".weight")) continue;
      Tensor swapped = make_host_tensor(tensor.shape(), DType::u8);
      const auto* from = tensor.data<std::uint8_t>();
      for (std::int64_t i = 0; i < tensor.shape().elements(); ++i)
        swapped.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(from[i] << 4 | from[i] >> 4);
      tensor = swapped;
    }
    write_safetensors(folder_ / "swapped.safetensors", stored);
    write_safetensors(folder_ / "meant.safetensors", meant);
    const std::vector<float> right = draw(folder_ / "meant.safetensors");
    EXPECT_GT(distance(draw(folder_ / "swapped.safetensors"), right), 0.1);
  }
}

// Others draw noise: the sizes are those of tiles, and only the numbers tell.
TEST_F(StoredTypes, ScalesRowByRowAreRefused) {
  Tensors stored = written_as(writer_of("NVFP4"), parent("Diffusers")).stored;
  for (auto& [name, tensor] : stored) {
    if (!name.ends_with(".weight_scale")) continue;
    const std::int64_t rows = tensor.shape()[0], groups = tensor.shape()[1];
    Tensor in_rows = make_host_tensor(tensor.shape(), tensor.dtype());
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t group = 0; group < groups; ++group) {
        const std::int64_t tile = row / 128 * (groups / 4) + group / 4;
        const std::int64_t at = (tile * 32 + row % 32) * 16 + row % 128 / 32 * 4 + group % 4;
        std::memcpy(in_rows.bytes() + row * groups + group, tensor.bytes() + at, 1);
      }
    }
    tensor = in_rows;
  }
  const fs::path file = folder_ / "rows.safetensors";
  write_safetensors(file, stored);
  try {
    draw(file);
    ADD_FAILURE() << "drawn";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_NE(std::string(error.what()).find("row by row"), std::string::npos) << error.what();
  }
}

// What each stored type is computed in is decided once and told.
TEST_F(StoredTypes, AreComputedAsIsSaid) {
  quantize_model(kNano.string(), folder_ / "int8");
  const fs::path file = folder_ / "int8/transformer/diffusion_pytorch_model.safetensors";
  const auto computed = [&](Compute compute) {
    const Pipeline pipeline = Pipeline::load((folder_ / "int8").string(), {.compute = compute});
    const ModelPart& part = pipeline.info().parts.at(1);
    EXPECT_EQ(part.dtypes.at(0), "I8 with a scale a row");
    EXPECT_EQ(part.dtypes.size(), part.computed_as.size());
    return part.computed_as.at(0);
  };
  EXPECT_EQ(computed(Compute::f32), "f32");
  EXPECT_EQ(computed(Compute::int8), "int8");
  EXPECT_EQ(computed(Compute::automatic), "int8");
  EXPECT_EQ(inspect_file(file).parts.at(0).computed_as.at(0), "int8");
  const std::vector<float> as_int8 = draw(file, Compute::int8);
  EXPECT_EQ(draw(file, Compute::automatic), as_int8);
  EXPECT_NE(draw(file, Compute::f32), as_int8);

  // Scales of less than a row are not kept by integers of a row: computed in what the processor
  // has.
  auto [stored, meant] = written_as(writer_of("F8_E4M3 with a scale"), parent("Diffusers"));
  write_safetensors(folder_ / "fp8.safetensors", stored);
  write_safetensors(folder_ / "meant.safetensors", meant);
  EXPECT_EQ(draw(folder_ / "fp8.safetensors", Compute::automatic),
            draw(folder_ / "meant.safetensors", Compute::automatic));
}

}  // namespace
}  // namespace flux2::test
