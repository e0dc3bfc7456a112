// The one line that an error is.
#include "flux2/error.h"

#include <gtest/gtest.h>

namespace flux2 {
namespace {

TEST(Error, SaysWhereWhatAndWhatToDo) {
  const Error error(ErrorCode::bad_file, "is damaged", "a.png", "copy it again");
  EXPECT_STREQ(error.what(), "a.png: is damaged (copy it again)");
  EXPECT_STREQ(Error(ErrorCode::internal, "is damaged").what(), "is damaged");
}

TEST(Error, IsOneLineThatNoTerminalObeys) {
  const Error error(ErrorCode::bad_file, "is\tdamaged\r", "a\nb\x1b[31m\x7f.png", "ünïcode stays");
  EXPECT_STREQ(error.what(), "a\\x0ab\\x1b[31m\\x7f.png: is\\x09damaged\\x0d (ünïcode stays)");
  EXPECT_EQ(error.where(), "a\nb\x1b[31m\x7f.png");  // the parts are what they were
}

}  // namespace
}  // namespace flux2
