#include "hub/file_download.h"

#include <fmt/format.h>

#include <algorithm>

#include "flux2/error.h"
#include "hub/digest.h"
#include "hub/url.h"

namespace flux2 {

// Bytes `at` to `end` are still to come.
struct FileDownload::Range {
  std::int64_t at;
  std::int64_t end;
  bool ignored = false;  // the server sent the file from its beginning instead
  std::string wrong;     // what else was not as asked
};

namespace {

using Kind = HttpFailure::Kind;

constexpr const char* kInBetween =
    "something between here and the hub changes what it sends: check proxies and HF_ENDPOINT";

bool is_web_page(const HttpResponse& response, const std::string& path) {
  const std::string* type = response.header("content-type");
  return type != nullptr && type->starts_with("text/html") && !path.ends_with(".html");
}

// Content-Range: bytes FIRST-LAST/SIZE
bool is_range(const HttpResponse& response, std::int64_t first, std::int64_t size) {
  const std::string* range = response.header("content-range");
  return range != nullptr && range->starts_with(fmt::format("bytes {}-", first)) &&
         range->ends_with(fmt::format("/{}", size));
}

// What a signed address answers when its time is over.
bool is_expired(const HttpResponse& response) {
  constexpr long kExpired[] = {400, 401, 403, 404, 410};
  return !response.failure &&
         std::find(std::begin(kExpired), std::end(kExpired), response.status) != std::end(kExpired);
}

}  // namespace

FileDownload::FileDownload(const Download& job, const RepoCache& cache, HubFile file)
    : job_(job), cache_(cache), file_(std::move(file)) {}

FileDownload::Opened FileDownload::open(HubClient& client) {
  const FileLocation location = client.locate(job_.repo, job_.commit, file_);
  etag_ = location.etag;
  source_ = {.url = location.url, .version = 0};
  cache_.make_folders(job_.commit, file_.path);
  lock_ = std::make_unique<FileLock>(cache_.lock(etag_), job_.stop);
  if (std::filesystem::exists(cache_.blob(etag_))) {
    cache_.link(job_.commit, file_.path, etag_);
    bytes_ = file_.size;
    lock_.reset();
    return Opened::linked;
  }
  partial_ =
      std::make_unique<PartialFile>(cache_.blob(etag_), file_.size, job_.settings.piece_bytes);
  bytes_ = partial_->bytes_done();
  return partial_->is_complete() ? Opened::complete : Opened::incomplete;
}

FileDownload::Source FileDownload::source() const {
  const std::lock_guard lock(source_mutex_);
  return source_;
}

// Asks again where the file is, unless another thread did since `used`.
bool FileDownload::renew(HubClient& client, const HttpResponse& response, const Source& used) {
  constexpr int kMostRenewals = 1000;
  const bool signed_address = origin_of(used.url) != origin_of(job_.settings.endpoint);
  if (!signed_address || !is_expired(response)) return false;
  const std::lock_guard lock(source_mutex_);
  if (source_.version >= kMostRenewals) return false;
  if (source_.version == used.version) {
    source_.url = client.locate(job_.repo, job_.commit, file_).url;
    ++source_.version;
  }
  return true;
}

void FileDownload::count(std::int64_t bytes, std::atomic<std::int64_t>& received) {
  bytes_ += bytes;
  received += bytes;
}

HttpResponse FileDownload::fetch(HubClient& client, Range& range,
                                 std::atomic<std::int64_t>& received) {
  const std::int64_t begin = range.at;
  const BodySink sink = [&](const HttpResponse& head, std::span<const std::byte> bytes) {
    if (head.status == 200 && is_web_page(head, file_.path)) {
      range.wrong = "a web page comes instead of the file";
    } else if (head.status == 200) {
      range.ignored = begin != 0 || range.end != file_.size;
    } else if (head.status != 206 || !is_range(head, begin, file_.size)) {
      range.wrong = "other bytes come than those that were asked for";
    }
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (size > range.end - range.at && !range.ignored) range.wrong = "too many bytes come";
    if (range.ignored || !range.wrong.empty()) return false;
    partial_->write(range.at, bytes);
    range.at += size;
    count(size, received);
    return true;
  };
  HttpResponse response = client.fetch(source().url, range.at, range.end - 1, sink);
  const bool short_of_bytes = response.ok() && range.at < range.end && !range.ignored;
  if (short_of_bytes && range.wrong.empty()) range.wrong = "the answer ends too early";
  if (!range.wrong.empty()) {
    response.failure = HttpFailure{Kind::interrupted, range.wrong, kInBetween};
    range.wrong.clear();
  }
  return response;
}

void FileDownload::receive_range(HubClient& client, Range& range,
                                 std::atomic<std::int64_t>& received) {
  constexpr int kRenewalsInARow = 2;
  Patience patience(job_.settings, job_.stop);
  int renewals = 0;
  while (range.at < range.end) {
    const std::int64_t before = range.at;
    const Source used = source();
    const HttpResponse response = fetch(client, range, received);
    if (range.ignored || range.at == range.end) return;
    if (range.at > before) {
      patience.reset();
      renewals = 0;
    }
    if (renewals < kRenewalsInARow && renew(client, response, used)) {
      ++renewals;
      continue;
    }
    if (!patience.try_again(response)) refuse(response, client.asked(job_.repo, file_.path));
    // From a server without ranges the whole file comes anew.
    if (range.end == file_.size && before == 0 && response.status == 200) {
      count(-range.at, received);
      range.at = 0;
    }
  }
}

FileDownload::PieceResult FileDownload::receive(HubClient& client, std::size_t piece,
                                                std::atomic<std::int64_t>& received) {
  Range range = {.at = partial_->begin_of(piece), .end = partial_->end_of(piece), .wrong = {}};
  receive_range(client, range, received);
  return range.ignored ? PieceResult::ranges_ignored : PieceResult::done;
}

void FileDownload::receive_whole(HubClient& client, std::atomic<std::int64_t>& received) {
  bytes_ = 0;
  Range range = {.at = 0, .end = file_.size, .wrong = {}};
  receive_range(client, range, received);
  if (range.at == range.end) return;
  throw Error(ErrorCode::bad_file, "the server knows ranges at one time and not at another",
              job_.repo.id + "/" + file_.path, kInBetween);
}

FileDownload::Verdict FileDownload::finish() {
  const bool large = !file_.sha256.empty();
  const std::string digest =
      digest_of(partial_->path(), large ? DigestKind::sha256 : DigestKind::git_object, job_.stop);
  if (job_.stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
  const std::string& wanted = large ? file_.sha256 : file_.git_oid;
  if (digest == wanted) {
    partial_->commit();
    cache_.link(job_.commit, file_.path, etag_);
    partial_.reset();
    lock_.reset();
    return Verdict::right;
  }
  partial_->start_over();
  bytes_ = 0;
  if (!started_over_) {
    started_over_ = true;
    return Verdict::start_over;
  }
  throw Error(ErrorCode::bad_file,
              fmt::format("what came is damaged, twice: its {} is {} and should be {}",
                          large ? "SHA-256" : "SHA-1", digest, wanted),
              job_.repo.id + "/" + file_.path, kInBetween);
}

}  // namespace flux2
