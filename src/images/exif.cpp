#include "images/exif.h"

#include <algorithm>
#include <array>

#include "images/text_encoding.h"

namespace flux2 {
namespace {

constexpr std::string_view kExifPrefix{"Exif\0\0", 6};
constexpr std::string_view kUnicodeComment{"UNICODE\0", 8};
constexpr std::string_view kAsciiComment{"ASCII\0\0\0", 8};
constexpr std::string_view kUndefinedComment{"\0\0\0\0\0\0\0\0", 8};

constexpr unsigned kOrientationTag = 0x0112;
constexpr unsigned kExifFolderTag = 0x8769;
constexpr unsigned kUserCommentTag = 0x9286;

constexpr unsigned kTypeByte = 1;
constexpr unsigned kTypeAscii = 2;
constexpr unsigned kTypeShort = 3;
constexpr unsigned kTypeLong = 4;
constexpr unsigned kTypeUndefined = 7;

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One 12-byte entry of a TIFF folder; `value` is its last four bytes.
struct Entry {
  unsigned type = 0;
  std::size_t count = 0;
  std::span<const std::uint8_t> value;
};

class TiffReader {
 public:
  explicit TiffReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    const std::string_view order = as_text(bytes.first(std::min<std::size_t>(2, bytes.size())));
    little_endian_ = order == "II";
    valid_ = bytes.size() >= 8 && (little_endian_ || order == "MM");
  }

  std::size_t first_folder() const { return valid_ ? u32(bytes_.subspan(4)) : bytes_.size(); }

  std::optional<Entry> find(std::size_t folder, unsigned tag) const {
    if (!valid_ || folder > bytes_.size() || bytes_.size() - folder < 2) return std::nullopt;
    const std::size_t declared = u16(bytes_.subspan(folder));
    const std::size_t present = std::min(declared, (bytes_.size() - folder - 2) / 12);
    for (std::size_t i = 0; i < present; ++i) {
      const auto entry = bytes_.subspan(folder + 2 + 12 * i, 12);
      if (u16(entry) != tag) continue;
      return Entry{u16(entry.subspan(2)), u32(entry.subspan(4)), entry.subspan(8)};
    }
    return std::nullopt;
  }

  std::optional<std::uint32_t> integer(const Entry& entry) const {
    if (entry.count == 0) return std::nullopt;
    if (entry.type == kTypeByte) return entry.value[0];
    if (entry.type == kTypeShort) return u16(entry.value);
    if (entry.type == kTypeLong) return u32(entry.value);
    return std::nullopt;
  }

  // Bytes of an entry of one-byte elements; empty if they lie outside the structure.
  std::span<const std::uint8_t> data(const Entry& entry) const {
    if (entry.type != kTypeUndefined && entry.type != kTypeAscii && entry.type != kTypeByte) {
      return {};
    }
    if (entry.count <= 4) return entry.value.first(entry.count);
    const std::size_t offset = u32(entry.value);
    if (offset > bytes_.size() || bytes_.size() - offset < entry.count) return {};
    return bytes_.subspan(offset, entry.count);
  }

  std::string comment(std::span<const std::uint8_t> data) const {
    if (data.size() < 8) return {};
    const std::string_view encoding = as_text(data.first(8));
    const auto body = data.subspan(8);
    if (encoding == kUnicodeComment) {
      std::u16string wide;
      for (std::size_t i = 0; i + 1 < body.size(); i += 2) {
        wide.push_back(static_cast<char16_t>(u16(body.subspan(i))));
      }
      return utf8_from_utf16(wide);
    }
    const bool plain = encoding == kAsciiComment || encoding == kUndefinedComment;
    return plain && is_utf8(as_text(body)) ? std::string(as_text(body)) : std::string();
  }

 private:
  std::uint32_t u16(std::span<const std::uint8_t> at) const {
    const std::uint32_t first = at[0];
    const std::uint32_t second = at[1];
    return little_endian_ ? first | second << 8U : second | first << 8U;
  }
  std::uint32_t u32(std::span<const std::uint8_t> at) const {
    const std::uint32_t first = u16(at);
    const std::uint32_t second = u16(at.subspan(2));
    return little_endian_ ? first | second << 16U : second | first << 16U;
  }

  std::span<const std::uint8_t> bytes_;
  bool little_endian_ = false;
  bool valid_ = false;
};

class TiffWriter {
 public:
  void u16(std::size_t value) {
    bytes_.push_back(static_cast<std::uint8_t>(value >> 8U));
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }
  void u32(std::size_t value) {
    u16(value >> 16U & 0xFFFFU);
    u16(value & 0xFFFFU);
  }
  void text(std::string_view text) { bytes_.insert(bytes_.end(), text.begin(), text.end()); }
  // A folder with a single entry and no successor: 18 bytes.
  void folder(const std::array<std::size_t, 4>& tag_type_count_value) {
    const auto [tag, type, count, value] = tag_type_count_value;
    u16(1);
    u16(tag);
    u16(type);
    u32(count);
    u32(value);
    u32(0);
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

ExifFields parse_exif(std::span<const std::uint8_t> bytes) {
  while (as_text(bytes).starts_with(kExifPrefix))
    bytes = bytes.subspan(kExifPrefix.size());
  const TiffReader tiff(bytes);
  const std::size_t folder = tiff.first_folder();

  ExifFields fields;
  if (const auto entry = tiff.find(folder, kOrientationTag)) {
    if (const auto value = tiff.integer(*entry)) fields.orientation = static_cast<int>(*value);
  }
  const auto exif_folder = tiff.find(folder, kExifFolderTag);
  const auto offset = exif_folder ? tiff.integer(*exif_folder) : std::nullopt;
  if (const auto entry = offset ? tiff.find(*offset, kUserCommentTag) : std::nullopt) {
    if (auto comment = tiff.comment(tiff.data(*entry)); !comment.empty()) {
      fields.user_comment = std::move(comment);
    }
  }
  return fields;
}

std::optional<int> xmp_orientation(std::string_view xmp) {
  // The pattern of Pillow's Image.getexif: tiff:Orientation(="|>)([0-9])
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = xmp.find(kName); at != xmp.npos; at = xmp.find(kName, at + 1)) {
    std::string_view rest = xmp.substr(at + kName.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

std::vector<std::uint8_t> exif_from_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {  // an empty line, "exif", the length
    const std::size_t end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  std::vector<std::uint8_t> bytes;
  int high = -1;
  for (const char c : text) {
    if (c == '\n') continue;
    const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
    if (digit == std::string_view::npos) return {};
    const int value = static_cast<int>(digit < 16 ? digit : digit - 6);
    if (high >= 0) bytes.push_back(static_cast<std::uint8_t>(high << 4 | value));
    high = high >= 0 ? -1 : value;
  }
  return bytes;
}

std::vector<std::uint8_t> exif_with_comment(std::string_view comment) {
  const std::u16string wide = utf16_from_utf8(comment);
  const std::size_t size = kUnicodeComment.size() + 2 * wide.size();
  TiffWriter tiff;
  tiff.text(std::string_view("MM\0*", 4));
  tiff.u32(8);
  tiff.folder({kExifFolderTag, kTypeLong, 1, 26});
  tiff.folder({kUserCommentTag, kTypeUndefined, size, 44});
  tiff.text(kUnicodeComment);
  for (const char16_t unit : wide)
    tiff.u16(unit);
  return tiff.take();
}

}  // namespace flux2
