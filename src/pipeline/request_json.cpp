#include "pipeline/request_json.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "pipeline/adapters.h"

namespace flux2 {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNoiseNames[] = {"torch-cpu", "torch-cpu-legacy", "torch-cuda"};
constexpr const char* kNoiseDTypeNames[] = {"f32", "bf16", "f16"};

constexpr const char* kAdaLnOrderNames[] = {"correct", "reference"};

std::uint32_t checksum(const Image& image) {
  return static_cast<std::uint32_t>(
      crc32_z(crc32_z(0, nullptr, 0), image.pixels.data(), image.pixels.size()));
}

template <typename T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

template <typename T>
void put(Json& json, const char* key, const std::vector<T>& values) {
  if (!values.empty()) json[key] = values;
}

void put_array(Json& json, const char* key, const std::optional<FloatArray>& array) {
  if (array) json[key] = array->file;
}

void put_arrays(Json& json, const char* key, const std::vector<FloatArray>& arrays) {
  for (const FloatArray& array : arrays)
    json[key].push_back(array.file);
}

Json recorded(const Image& image) {
  return {{"file", image.file}, {"crc32", checksum(image)}};
}

void put_images(Json& json, const char* key, const std::vector<Image>& images) {
  for (const Image& image : images)
    json[key].push_back(recorded(image));
}

Json recorded(const std::vector<std::vector<Image>>& lists) {
  Json json = Json::array();
  for (const std::vector<Image>& list : lists) {
    Json entry = Json::array();
    for (const Image& image : list)
      entry.push_back(recorded(image));
    json.push_back(std::move(entry));
  }
  return json;
}

Json recorded(const Inpaint& inpaint) {
  Json json = Json::object();
  put_images(json, "image", inpaint.image);
  put_array(json, "image_latents", inpaint.image_latents);
  put_images(json, "mask_image", inpaint.mask_image);
  put(json, "strength", inpaint.strength);
  put(json, "padding_mask_crop", inpaint.padding_mask_crop);
  json["keep_unmasked"] = inpaint.keep_unmasked;
  if (const auto& m = inpaint.outpaint) json["outpaint"] = {m->left, m->top, m->right, m->bottom};
  return json;
}

Json recorded(const Adapter& adapter) {
  Json json = {{"file", adapter.path}, {"weight", adapter.weight}, {"sha256", adapter.sha256}};
  if (adapter.lenient) json["lenient"] = true;
  if (adapter.adaln_order == AdaLnOrder::reference) json["adaln_order"] = "reference";
  return json;
}

void put_adapters(Json& json, const Request& request) {
  for (const Adapter& adapter : request.adapters)
    json["adapters"].push_back(recorded(adapter));
  if (request.adapter_scale != 1) json["adapter_scale"] = request.adapter_scale;
}

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;

// Whether `json` is a T as it stands; the library would convert -1.5 to an unsigned number.
template <typename T>
bool holds(const Json& json) {
  if constexpr (kIsVector<T>) {
    return json.is_array() && std::all_of(json.begin(), json.end(), holds<typename T::value_type>);
  } else if constexpr (std::is_same_v<T, bool>) {
    return json.is_boolean();
  } else if constexpr (std::is_unsigned_v<T>) {
    return json.is_number_unsigned();
  } else if constexpr (std::is_integral_v<T>) {
    return json.is_number_integer() &&
           json.template get<std::int64_t>() >= std::numeric_limits<T>::min() &&
           json.template get<std::int64_t>() <= std::numeric_limits<T>::max();
  } else if constexpr (std::is_floating_point_v<T>) {
    return json.is_number();
  } else {
    return json.is_string();
  }
}

// Reads keys of one object and remembers which, so that a key nobody knows is an error.
class Reader {
 public:
  Reader(const Json& json, const std::string& name) : json_(json), name_(name) {
    if (!json.is_object()) fail("is not a JSON object");
  }

  template <typename T>
  void get(const char* key, T& value) {
    if (const Json* found = find(key)) value = convert<T>(*found, key);
  }

  template <typename T>
  void get(const char* key, std::optional<T>& value) {
    if (const Json* found = find(key)) value = convert<T>(*found, key);
  }

  template <typename Enum, std::size_t N>
  void get(const char* key, Enum& value, const char* const (&names)[N]) {
    const Json* found = find(key);
    if (found == nullptr) return;
    const auto text = convert<std::string>(*found, key);
    for (std::size_t i = 0; i < N; ++i) {
      if (text == names[i]) return void(value = static_cast<Enum>(i));
    }
    fail(fmt::format("\"{}\" cannot be \"{}\"", key, text));
  }

  void get_array(const char* key, const char* tensor, std::optional<FloatArray>& array) {
    const Json* found = find(key);
    if (found != nullptr) array = load_array(file_of(*found, key), tensor);
  }

  void get_arrays(const char* key, const char* tensor, std::vector<FloatArray>& arrays) {
    const Json* found = find(key);
    if (found == nullptr) return;
    for (const Json& entry : list(*found, key))
      arrays.push_back(load_array(file_of(entry, key), tensor));
  }

  void get_images(const char* key, std::vector<Image>& images) {
    if (const Json* found = find(key)) images = images_of(*found, key);
  }

  void get_image_lists(const char* key, std::vector<std::vector<Image>>& lists) {
    const Json* found = find(key);
    if (found == nullptr) return;
    for (const Json& entry : list(*found, key))
      lists.push_back(images_of(entry, key));
  }

  // What had no file and cannot come back.
  void refuse_if_recorded(const char* key) {
    if (find(key) != nullptr) {
      fail(fmt::format("has a \"{}\", a function of the program that made it", key));
    }
  }

  void get_margins(const char* key, std::optional<Margins>& margins) {
    const Json* found = find(key);
    if (found == nullptr) return;
    const auto sides = convert<std::vector<int>>(*found, key);
    if (sides.size() != 4) fail(fmt::format("\"{}\" must list four sides", key));
    margins = {.left = sides[0], .top = sides[1], .right = sides[2], .bottom = sides[3]};
  }

  void get_inpaint(const char* key, std::optional<Inpaint>& inpaint) {
    const Json* found = find(key);
    if (found == nullptr) return;
    Reader reader(*found, name_);
    inpaint.emplace();
    reader.get_images("image", inpaint->image);
    reader.get_array("image_latents", "image_latents", inpaint->image_latents);
    reader.get_images("mask_image", inpaint->mask_image);
    reader.get("strength", inpaint->strength);
    reader.get("padding_mask_crop", inpaint->padding_mask_crop);
    reader.get("keep_unmasked", inpaint->keep_unmasked);
    reader.get_margins("outpaint", inpaint->outpaint);
    reader.check_all_known();
  }

  void get_adapters(const char* key, std::vector<Adapter>& adapters) {
    const Json* found = find(key);
    if (found == nullptr) return;
    for (const Json& entry : list(*found, key))
      adapters.push_back(adapter_of(entry, key));
  }

  void check_all_known() const {
    for (const auto& [key, value] : json_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        fail(fmt::format("unknown key \"{}\"", key));
      }
    }
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorCode::bad_file, "the recorded request " + message, name_);
  }

  const Json* find(const char* key) {
    known_.emplace_back(key);
    const auto found = json_.find(key);
    return found == json_.end() ? nullptr : &*found;
  }

  template <typename T>
  T convert(const Json& value, const char* key) const {
    if (!holds<T>(value)) fail(fmt::format("has a \"{}\" of the wrong type", key));
    return value.get<T>();
  }

  const Json& list(const Json& value, const char* key) const {
    if (!value.is_array()) fail(fmt::format("has a \"{}\" of the wrong type", key));
    return value;
  }

  std::vector<Image> images_of(const Json& entries, const char* key) const {
    std::vector<Image> images;
    for (const Json& entry : list(entries, key))
      images.push_back(image_of(entry, key));
    return images;
  }

  // A picture from its file, as it was when the request was recorded.
  Image image_of(const Json& entry, const char* key) const {
    if (!entry.is_object()) fail(fmt::format("\"{}\" must list objects", key));
    Image image = load_image(file_of(entry.value("file", Json()), key));
    if (entry.value("crc32", Json()) != Json(checksum(image))) {
      throw Error(ErrorCode::bad_file, "this picture has changed since", image.file,
                  "restore it, or give the picture by hand");
    }
    return image;
  }

  // An adapter whose file is what it was when the request was recorded.
  Adapter adapter_of(const Json& entry, const char* key) const {
    if (!entry.is_object()) fail(fmt::format("\"{}\" must list objects", key));
    Adapter adapter;
    adapter.path = file_of(entry.value("file", Json()), key);
    Reader reader(entry, name_);
    reader.find("file");
    reader.get("weight", adapter.weight);
    reader.get("sha256", adapter.sha256);
    reader.get("lenient", adapter.lenient);
    reader.get("adaln_order", adapter.adaln_order, kAdaLnOrderNames);
    reader.check_all_known();
    verified_digest(adapter, find_adapter(adapter.path), {});
    return adapter;
  }

  std::string file_of(const Json& value, const char* key) const {
    if (!value.is_string() || value.get<std::string>().empty()) {
      fail(fmt::format("has a \"{}\" that was given in memory and is not in any file", key));
    }
    return value.get<std::string>();
  }

  const Json& json_;
  const std::string& name_;
  std::vector<std::string> known_;
};

}  // namespace

std::string request_to_json(const Request& r) {
  Json json;
  put(json, "prompt", r.prompt);
  put_images(json, "image", r.image);
  put_arrays(json, "image_latents", r.image_latents);
  if (!r.image_per_sample.empty()) json["image_per_sample"] = recorded(r.image_per_sample);
  if (r.inpaint) json["inpaint"] = recorded(*r.inpaint);
  put(json, "height", r.height);
  put(json, "width", r.width);
  put(json, "num_inference_steps", r.num_inference_steps);
  put(json, "sigmas", r.sigmas);
  put(json, "guidance_scale", r.guidance_scale);
  json["num_images_per_prompt"] = r.num_images_per_prompt;
  put(json, "seeds", r.seeds);
  json["noise"] = kNoiseNames[static_cast<std::size_t>(r.noise)];
  json["noise_dtype"] = kNoiseDTypeNames[static_cast<std::size_t>(r.noise_dtype)];
  if (r.noise == Noise::torch_cuda) json["cuda_card"] = r.cuda_card;
  if (r.noise_source) json["noise_source"] = true;
  put_array(json, "latents", r.latents);
  put_array(json, "prompt_embeds", r.prompt_embeds);
  put(json, "negative_prompt", r.negative_prompt);
  put_array(json, "negative_prompt_embeds", r.negative_prompt_embeds);
  put(json, "max_sequence_length", r.max_sequence_length);
  put(json, "text_encoder_out_layers", r.text_encoder_out_layers);
  put_array(json, "attention_mask", r.attention_mask);
  put(json, "caption_upsample_temperature", r.caption_upsample_temperature);
  put_adapters(json, r);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Request request_from_json(const std::string& text, const std::string& name) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    throw Error(ErrorCode::bad_file, "the recorded request is not JSON", name);
  }
  Request r;
  Reader reader(json, name);
  reader.get("prompt", r.prompt);
  reader.get_images("image", r.image);
  reader.get_arrays("image_latents", "image_latents", r.image_latents);
  reader.get_image_lists("image_per_sample", r.image_per_sample);
  reader.get_inpaint("inpaint", r.inpaint);
  reader.get("height", r.height);
  reader.get("width", r.width);
  reader.get("num_inference_steps", r.num_inference_steps);
  reader.get("sigmas", r.sigmas);
  reader.get("guidance_scale", r.guidance_scale);
  reader.get("num_images_per_prompt", r.num_images_per_prompt);
  reader.get("seeds", r.seeds);
  reader.get("noise", r.noise, kNoiseNames);
  reader.get("noise_dtype", r.noise_dtype, kNoiseDTypeNames);
  reader.get("cuda_card", r.cuda_card);
  reader.refuse_if_recorded("noise_source");
  reader.get_array("latents", "latents", r.latents);
  reader.get_array("prompt_embeds", "prompt_embeds", r.prompt_embeds);
  reader.get("negative_prompt", r.negative_prompt);
  reader.get_array("negative_prompt_embeds", "negative_prompt_embeds", r.negative_prompt_embeds);
  reader.get("max_sequence_length", r.max_sequence_length);
  reader.get("text_encoder_out_layers", r.text_encoder_out_layers);
  reader.get_array("attention_mask", "attention_mask", r.attention_mask);
  reader.get("caption_upsample_temperature", r.caption_upsample_temperature);
  reader.get_adapters("adapters", r.adapters);
  reader.get("adapter_scale", r.adapter_scale);
  reader.check_all_known();
  return r;
}

}  // namespace flux2
