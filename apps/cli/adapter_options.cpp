#include "adapter_options.h"

#include <fmt/format.h>

#include "log.h"
#include "option_binding.h"

namespace flux2::cli {
namespace {

constexpr double kMostWeight = 1e4;

// What stands behind the last colon is a weight if it is a number; a path may have colons too.
Adapter adapter_of(const std::string& text) {
  Adapter adapter;
  adapter.path = text;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return adapter;
  const auto weight = parse_number<double>(std::string_view(text).substr(colon + 1));
  if (!weight) return adapter;
  adapter.path = text.substr(0, colon);
  adapter.weight = *weight;
  return adapter;
}

}  // namespace

void add_adapters(CLI::App& app, AdapterOptions& o) {
  const char* group = "What changes the model";
  add_texts(app, "--lora", o.files, "FILE[:WEIGHT]",
            "LoRA, DoRA, LoKr, LoHa or full differences; weight 1; repeat for several")
      ->group(group);
  add_number<double>(app, "--lora-scale", o.scale, {-kMostWeight, kMostWeight},
                     "multiplies the weight of every adapter; 1")
      ->group(group);
  app.add_flag("--lora-lenient", o.lenient,
               "leave out keys that are not understood and modules that do not fit")
      ->group(group);
  add_choice<AdaLnOrder>(
      app, "--lora-adaln", o.adaln_order,
      {{"correct", AdaLnOrder::correct}, {"reference", AdaLnOrder::reference}},
      "order of the rows of final_layer.adaLN_modulation; reference: as Diffusers takes them")
      ->group(group);
}

void replace_adapters(Request& request, const AdapterOptions& options) {
  if (!options.files.empty()) request.adapters.clear();
  for (const std::string& file : options.files)
    request.adapters.push_back(adapter_of(file));
  if (options.scale) request.adapter_scale = *options.scale;
  const bool asked = options.scale || options.lenient || options.adaln_order;
  if (asked && request.adapters.empty()) {
    throw Error(ErrorCode::invalid_request, "there is no adapter", "--lora", "give one");
  }
  for (Adapter& adapter : request.adapters) {
    if (options.lenient) adapter.lenient = true;
    if (options.adaln_order) adapter.adaln_order = *options.adaln_order;
  }
}

std::string describe_adapter(const AdapterReport& adapter) {
  return fmt::format("adapter {}: {}, weight {}, {} of {} modules", one_line(adapter.name),
                     adapter.kind, adapter.weight, adapter.matched, adapter.modules);
}

}  // namespace flux2::cli
