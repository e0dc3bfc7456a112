#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace flux2::mutations {

/// A deliberate fault and the golden that has to notice it.
struct Mutation {
  std::string fault;
  std::string golden;
  /// Relative error of the golden with the fault in place.
  std::function<double()> error;

  friend std::ostream& operator<<(std::ostream& out, const Mutation& mutation) {
    return out << mutation.fault;
  }
};

std::vector<Mutation> transformer_mutations();
std::vector<Mutation> text_mutations();
std::vector<Mutation> vae_mutations();
std::vector<Mutation> diffusion_mutations();

}  // namespace flux2::mutations
