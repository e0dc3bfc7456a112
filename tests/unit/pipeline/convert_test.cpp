// Converting and verifying through the library: stopping, progress, what is refused.
#include "flux2/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "base/disk_space.h"
#include "flux2/error.h"
#include "flux2/quantize.h"
#include "flux2/verify.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const std::string kTiny =
    (fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-klein").string();

// A folder of its own that goes away with it.
class ConvertCall : public testing::Test {
 protected:
  ConvertCall()
      : folder_(fs::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ConvertCall() override { fs::remove_all(folder_); }

  fs::path folder_;
};

ErrorCode code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

TEST_F(ConvertCall, StoppingLeavesNothingBehind) {
  for (const ConvertTarget target :
       {ConvertTarget::diffusers, ConvertTarget::bfl, ConvertTarget::gguf, ConvertTarget::int8}) {
    std::stop_source source;
    ConvertOptions options = {.to = target, .stop = source.get_token()};
    int calls = 0;
    options.progress = [&](const ConvertProgress& progress) {
      EXPECT_LE(progress.done, progress.total);
      if (++calls == 3) source.request_stop();
    };
    EXPECT_EQ(code_of([&] { convert_model({.model = kTiny}, folder_ / "out", options); }),
              ErrorCode::cancelled);
    EXPECT_TRUE(fs::is_empty(folder_));
  }
}

TEST_F(ConvertCall, SaysWhatItMade) {
  std::int64_t done = 0, total = 1;
  ConvertOptions options = {.to = ConvertTarget::gguf, .type = StoredAs::q8_0};
  options.progress = [&](const ConvertProgress& progress) {
    EXPECT_EQ(progress.part, "transformer");
    done = progress.done;
    total = progress.total;
  };
  const ConvertResult result = convert_model({.model = kTiny}, folder_ / "tiny.gguf", options);
  EXPECT_EQ(done, total);
  EXPECT_EQ(result.bytes_after, total);
  EXPECT_EQ(result.parts, std::vector<std::string>{"transformer"});
  EXPECT_LT(result.bytes_after, result.bytes_before);
  EXPECT_GT(result.quantized, 0);
  const VerifyReport report = verify_files({(folder_ / "tiny.gguf").string()}, {.against = kTiny});
  EXPECT_TRUE(report.problems.empty()) << report.problems.front().what;
}

TEST_F(ConvertCall, WantsAPlaceThatIsFree) {
  const ConvertOptions options = {.to = ConvertTarget::bfl};
  EXPECT_EQ(code_of([&] { convert_model({.model = kTiny}, folder_, options); }),
            ErrorCode::bad_file);
  EXPECT_EQ(code_of([&] { convert_model({.model = kTiny}, folder_ / "no/such/file", options); }),
            ErrorCode::bad_file);
  EXPECT_EQ(code_of([&] { convert_model({.model = kTiny}, folder_ / "a", {.threads = -1}); }),
            ErrorCode::invalid_request);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ConvertCall, KnowsHowMuchRoomThereIs) {
  ASSERT_TRUE(free_disk_space(folder_ / "not/there/yet").has_value());
  require_disk_space(folder_ / "file", 1);
  EXPECT_EQ(code_of([&] { require_disk_space(folder_ / "file", INT64_MAX); }), ErrorCode::bad_file);
}

TEST(VerifyCall, StopsAndRefuses) {
  std::stop_source source;
  int calls = 0;
  const VerifyOptions options = {.stop = source.get_token(),
                                 .progress = [&](const VerifyProgress& progress) {
                                   EXPECT_LE(progress.done, progress.total);
                                   if (++calls == 2) source.request_stop();
                                 }};
  EXPECT_EQ(code_of([&] { verify_files({kTiny}, options); }), ErrorCode::cancelled);
  EXPECT_EQ(code_of([] { verify_files({}); }), ErrorCode::invalid_request);
  EXPECT_EQ(code_of([] { verify_files({kTiny}, {.against = "/nowhere"}); }), ErrorCode::bad_file);
}

}  // namespace
}  // namespace flux2
