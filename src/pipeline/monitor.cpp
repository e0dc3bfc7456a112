#include "pipeline/monitor.h"

namespace flux2 {

double seconds_since(Monitor::Clock::time_point begin) {
  return std::chrono::duration<double>(Monitor::Clock::now() - begin).count();
}

void Monitor::begin(Stage stage, std::int64_t total) {
  end();
  running_ = true;
  begun_ = Clock::now();
  progress_ = {.stage = stage, .total = total};
  advance(0);
}

void Monitor::advance(std::int64_t done, std::int64_t total) {
  progress_.total = total;
  advance(done);
}

void Monitor::advance(std::int64_t done) {
  check_stop();
  progress_.done = done;
  progress_.seconds = seconds_since(begun_);
  if (options_.progress) options_.progress(progress_);
}

void Monitor::end() {
  if (running_) times_.push_back({progress_.stage, seconds_since(begun_)});
  running_ = false;
}

void Monitor::check_stop() const {
  if (options_.stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
}

std::string to_string(Stage stage) {
  switch (stage) {
    case Stage::load_text:
      return "load text encoder";
    case Stage::upsample:
      return "rewrite prompt";
    case Stage::encode_text:
      return "encode text";
    case Stage::load_transformer:
      return "load transformer";
    case Stage::load_vae:
      return "load VAE";
    case Stage::encode_images:
      return "encode references";
    case Stage::denoise:
      return "denoise";
    case Stage::decode:
      return "decode";
  }
  return "?";
}

}  // namespace flux2
