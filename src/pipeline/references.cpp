#include "pipeline/references.h"

#include <fmt/format.h>

#include "images/reference.h"
#include "pipeline/check.h"

namespace flux2 {
namespace {

std::string name_of(const Image& image, const std::string& otherwise) {
  return image.file.empty() ? otherwise : image.file;
}

std::int64_t tokens_of(const Image& image) {
  return std::int64_t{image.width / kSideMultiple} * (image.height / kSideMultiple);
}

void check_latents(const FloatArray& latents, std::int64_t batch, std::int64_t channels) {
  check_array(latents, "image_latents", 4);
  const std::int64_t most = kMostPixels / kSideMultiple;
  const std::vector<std::int64_t>& s = latents.shape;
  if ((s[0] != 1 && s[0] != batch) || s[1] != channels || s[2] > most || s[3] > most) {
    refuse("image_latents",
           fmt::format("shape {} does not fit [1 or {}, {}, height / 16, width / 16]",
                       shape_text(latents), batch, channels));
  }
}

// The lists of `given`, each for as many samples as it stands for.
std::vector<std::vector<Image>> per_sample(const std::vector<std::vector<Image>>& given,
                                           std::int64_t prompts, std::int64_t batch) {
  const auto count = static_cast<std::int64_t>(given.size());
  if (count != batch && count != prompts) {
    refuse(
        "image_per_sample",
        fmt::format("{} lists of references for {} pictures of {} prompts", count, batch, prompts),
        "give one a picture, or one a prompt");
  }
  std::vector<std::vector<Image>> lists;
  for (std::size_t i = 0; i < given.size(); ++i) {
    std::vector<Image> list;
    for (std::size_t k = 0; k < given[i].size(); ++k) {
      const std::string name = fmt::format("image {} of sample {}", k + 1, i + 1);
      list.push_back(prepare_reference(given[i][k], name_of(given[i][k], name)));
    }
    lists.insert(lists.end(), static_cast<std::size_t>(batch / count), list);
  }
  return lists;
}

void check_alike(const std::vector<std::vector<Image>>& lists) {
  const std::vector<Image>& first = lists.front();
  for (const std::vector<Image>& list : lists) {
    if (list.size() != first.size()) {
      refuse("image_per_sample",
             fmt::format("one sample has {} references and another {}", first.size(), list.size()));
    }
    for (std::size_t k = 0; k < list.size(); ++k) {
      if (list[k].width == first[k].width && list[k].height == first[k].height) continue;
      refuse("image_per_sample",
             fmt::format("reference {} has {}x{} pixels for one sample and {}x{} for another",
                         k + 1, first[k].width, first[k].height, list[k].width, list[k].height),
             "samples of one call are equally long: scale them, or make a call for each");
    }
  }
}

}  // namespace

std::optional<Size> References::first_size(const Request& request) const {
  if (!shared.empty()) return Size{shared.front().width, shared.front().height};
  if (!request.image_latents.empty()) {
    const std::vector<std::int64_t>& s = request.image_latents.front().shape;
    return Size{static_cast<int>(s[3]) * kSideMultiple, static_cast<int>(s[2]) * kSideMultiple};
  }
  if (per_sample.empty() || per_sample.front().empty()) return {};
  const Image& first = per_sample.front().front();
  return Size{first.width, first.height};
}

std::int64_t References::tokens(const Request& request) const {
  std::int64_t sum = 0;
  for (const Image& image : shared)
    sum += tokens_of(image);
  for (const FloatArray& latents : request.image_latents)
    sum += latents.shape[2] * latents.shape[3];
  if (per_sample.empty()) return sum;
  for (const Image& image : per_sample.front())
    sum += tokens_of(image);
  return sum;
}

References prepare_references(const Request& request, std::int64_t prompts, std::int64_t batch,
                              std::int64_t latent_channels) {
  References references;
  for (std::size_t i = 0; i < request.image.size(); ++i) {
    const Image& image = request.image[i];
    references.shared.push_back(
        prepare_reference(image, name_of(image, fmt::format("image {}", i + 1))));
  }
  for (const FloatArray& latents : request.image_latents)
    check_latents(latents, batch, latent_channels);
  if (request.image_per_sample.empty()) return references;
  references.per_sample = per_sample(request.image_per_sample, prompts, batch);
  check_alike(references.per_sample);
  return references;
}

}  // namespace flux2
