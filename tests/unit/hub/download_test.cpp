// Downloads from a local server that behaves like the hub, and from one that does not.
#include <gtest/gtest.h>

#include <thread>

#include "flux2/error.h"
#include "hub/download.h"
#include "hub/file_lock.h"
#include "hub_server.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPiece = 10'000;
constexpr std::size_t kLarge = 55'555;
const RepoName kRepo = {"org/model", "main"};

class Downloads : public testing::Test {
 protected:
  Downloads() {
    server_.add("config.json", "{\"a\": 1}");
    server_.add("w.safetensors", patterned(kLarge), HubServer::Kind::large);
    settings_.endpoint = server_.endpoint();
    settings_.cache = folder_.path();
    settings_.piece_bytes = kPiece;
    settings_.connections = 4;
    settings_.retries = 3;
    settings_.first_wait = std::chrono::milliseconds(1);
    settings_.longest_backoff = std::chrono::milliseconds(1);
  }

  DownloadProgress run() {
    HubClient client(settings_, stop_.get_token());
    const std::string commit = client.commit_of(kRepo);
    return download({.settings = settings_,
                     .repo = kRepo,
                     .commit = commit,
                     .files = client.files_of(kRepo, commit),
                     .progress = progress_,
                     .stop = stop_.get_token()});
  }

  // Runs, and expects an error whose line holds `part`.
  Error expect_error(const std::string& part) {
    try {
      run();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::internal, "none");
  }

  fs::path path_of(const std::string& name) const {
    return RepoCache(folder_.path(), kRepo.id).snapshot(server_.commit()) / name;
  }
  fs::path blobs() const { return folder_.path() / "models--org--model/blobs"; }
  bool is_there() const { return fs::exists(path_of("w.safetensors")); }
  void expect_right() const {
    EXPECT_EQ(read_file(path_of("w.safetensors")), patterned(kLarge));
    EXPECT_EQ(read_file(path_of("config.json")), "{\"a\": 1}");
    EXPECT_EQ(std::distance(fs::directory_iterator(blobs()), fs::directory_iterator()), 2)
        << "something is left beside the blobs";
  }

  // Changes the first `times` answers of storage.
  void spoil_storage(int times, std::function<void(ServedAnswer&)> change) {
    server_.set_fault([times, change = std::move(change), count = 0](const SeenRequest& request,
                                                                     ServedAnswer& answer) mutable {
      if (request.has("/storage/") && count++ < times) change(answer);
    });
  }

  TemporaryFolder folder_;
  HubServer server_;
  HubSettings settings_;
  std::stop_source stop_;
  std::function<void(const DownloadProgress&)> progress_;
};

TEST_F(Downloads, PiecesComeInParallelAndBlobsAreNamedByTheirEtag) {
  const DownloadProgress all = run();
  expect_right();
  EXPECT_EQ(all.files, 2);
  EXPECT_EQ(all.files_done, 2);
  EXPECT_EQ(all.received, static_cast<std::int64_t>(kLarge + 8));
  EXPECT_EQ(all.done, all.total);
  EXPECT_EQ(server_.count("GET", "/storage/"), 6);
  EXPECT_TRUE(fs::exists(blobs() / server_.etag("w.safetensors")));
  EXPECT_TRUE(fs::exists(blobs() / server_.etag("config.json")));
}

TEST_F(Downloads, WhatIsThereIsNotAskedForAgain) {
  run();
  const std::size_t before = server_.seen().size();
  EXPECT_EQ(run().files, 0);
  EXPECT_EQ(server_.seen().size(), before + 2);  // the commit and the listing
}

TEST_F(Downloads, TheSameBlobInAnotherCommitIsOnlyLinked) {
  run();
  server_.set_commit(std::string(40, 'b'));
  const DownloadProgress again = run();
  EXPECT_EQ(again.files_done, 2);
  EXPECT_EQ(again.received, 0);
  expect_right();
}

TEST_F(Downloads, TheTokenGoesToTheHubAlone) {
  server_.require_token("hf_secret");
  settings_.token = "hf_secret";
  run();
  expect_right();
  for (const SeenRequest& request : server_.seen()) {
    EXPECT_EQ(request.headers.contains("authorization"), !request.has("/storage/")) << request.path;
  }
}

TEST_F(Downloads, ADroppedConnectionGoesOnWhereItBroke) {
  spoil_storage(3, [](ServedAnswer& answer) { answer.cut_after = 1234; });
  const DownloadProgress all = run();
  expect_right();
  EXPECT_EQ(all.received, static_cast<std::int64_t>(kLarge + 8)) << "bytes came twice";
}

TEST_F(Downloads, AnAnswerThatClaimsMoreOrLessThanItHoldsIsNotTrusted) {
  spoil_storage(1, [](ServedAnswer& answer) { answer.claimed_length = answer.body.size() + 500; });
  run();
  expect_right();
}

TEST_F(Downloads, AShortAnswerIsAskedForAgain) {
  spoil_storage(2, [](ServedAnswer& answer) { answer.body.resize(answer.body.size() / 2); });
  run();
  expect_right();
}

TEST_F(Downloads, TooManyBytesAreRefused) {
  spoil_storage(1, [](ServedAnswer& answer) { answer.body += "more"; });
  run();
  expect_right();
  TemporaryFolder other;
  settings_.cache = other.path();
  spoil_storage(1000, [](ServedAnswer& answer) { answer.body += "more"; });
  expect_error("too many bytes come");
}

TEST_F(Downloads, OtherBytesThanAskedForAreRefused) {
  spoil_storage(1000, [](ServedAnswer& answer) {
    answer.headers = {{"Content-Range", "bytes 0-1/999"}};
  });
  expect_error("other bytes come");
  EXPECT_FALSE(is_there());
}

TEST_F(Downloads, AServerWithoutRangesSendsTheWholeFile) {
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    if (request.method != "GET" || !request.has("/storage/")) return;
    answer = {.status = 200, .body = patterned(kLarge)};
  });
  run();
  expect_right();
}

TEST_F(Downloads, AServerWithoutRangesMayBreakOffToo) {
  server_.set_fault([count = 0](const SeenRequest& request, ServedAnswer& answer) mutable {
    if (request.method != "GET" || !request.has("/storage/")) return;
    answer = {.status = 200, .body = patterned(kLarge)};
    // The parallel tries come first.
    if (count++ < 6) answer.cut_after = 30'000;
  });
  run();
  expect_right();
}

TEST_F(Downloads, DamagedBytesAreNoticedAndComeAgain) {
  spoil_storage(1, [](ServedAnswer& answer) { answer.body[17] ^= 1; });
  run();
  expect_right();
}

TEST_F(Downloads, DamagedTwiceIsAnError) {
  spoil_storage(1000, [](ServedAnswer& answer) { answer.body[17] ^= 1; });
  const Error error = expect_error("SHA-256");
  EXPECT_EQ(error.code(), ErrorCode::bad_file);
  EXPECT_FALSE(is_there());
  EXPECT_FALSE(fs::exists(blobs() / server_.etag("w.safetensors")));
}

TEST_F(Downloads, ADamagedSmallFileIsNoticedToo) {
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    if (request.method == "GET" && request.has("/resolve/") && answer.body.size() == 8) {
      answer.body[0] = '[';
    }
  });
  expect_error("SHA-1");
  EXPECT_FALSE(fs::exists(path_of("config.json")));
}

TEST_F(Downloads, AWebPageIsNoFile) {
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    if (request.method == "GET" && request.has("config.json")) {
      answer = {.status = 200, .headers = {{"Content-Type", "text/html"}}, .body = "<html>lo"};
    }
  });
  expect_error("a web page comes instead of the file");
}

TEST_F(Downloads, TooManyRequestsAreWaitedOut) {
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    if (request.number % 3 == 0) answer = {.status = 429, .headers = {{"Retry-After", "0"}}};
  });
  run();
  expect_right();
}

TEST_F(Downloads, ALongWaitIsAnErrorThatSaysHowLong) {
  server_.set_fault([](const SeenRequest&, ServedAnswer& answer) {
    answer = {.status = 429, .headers = {{"Retry-After", "3600"}}};
  });
  expect_error("try again in 3600 s");
}

TEST_F(Downloads, AServerInTroubleIsAskedAFewTimes) {
  server_.set_fault([](const SeenRequest&, ServedAnswer& answer) { answer = {.status = 503}; });
  expect_error("status 503");
  EXPECT_EQ(server_.seen().size(), 4U);
}

TEST_F(Downloads, ASignatureThatRanOutIsRenewed) {
  server_.set_fault([count = 0](const SeenRequest& request, ServedAnswer& answer) mutable {
    if (request.has("signature=1") && ++count > 2) answer = {.status = 403};
    if (request.method == "HEAD" && count > 2) {
      for (auto& [name, value] : answer.headers) {
        if (name == "Location") value.back() = '2';
      }
    }
  });
  run();
  expect_right();
  EXPECT_GT(server_.count("GET", "signature=2"), 0);
}

TEST_F(Downloads, AnInterruptedRunIsContinued) {
  // Storage gives three pieces and then nothing.
  server_.set_fault([count = 0](const SeenRequest& request, ServedAnswer& answer) mutable {
    if (request.has("/storage/") && ++count > 3) answer = {.status = 404};
  });
  settings_.connections = 1;
  expect_error("w.safetensors");
  EXPECT_FALSE(is_there());
  EXPECT_FALSE(fs::exists(blobs() / server_.etag("w.safetensors")));
  server_.set_fault({});
  const DownloadProgress all = run();
  expect_right();
  EXPECT_EQ(all.received, static_cast<std::int64_t>(kLarge) - 3 * kPiece);
}

TEST_F(Downloads, WhatAnInterruptedRunLeftIsCheckedAndReplaced) {
  server_.set_fault([count = 0](const SeenRequest& request, ServedAnswer& answer) mutable {
    if (!request.has("/storage/")) return;
    answer.body[5] ^= 1;
    if (++count > 3) answer = {.status = 404};
  });
  settings_.connections = 1;
  expect_error("w.safetensors");
  server_.set_fault({});
  run();
  expect_right();
}

TEST_F(Downloads, AStopEndsItAndLeavesTheRest) {
  progress_ = [this](const DownloadProgress&) { stop_.request_stop(); };
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    // Never comes to its end.
    if (request.has("/storage/")) answer.claimed_length = answer.body.size() + 1;
    if (request.has("/storage/")) answer.cut_after = 10;
  });
  settings_.retries = 1'000'000;
  const Error error = expect_error("cancelled");
  EXPECT_EQ(error.code(), ErrorCode::cancelled);
  EXPECT_FALSE(is_there());
}

TEST_F(Downloads, ADamagedListingStartsNothing) {
  server_.add("huge.safetensors", "tiny", HubServer::Kind::large);
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    const std::size_t at = answer.body.find("\"size\":4");
    if (request.has("/tree/") && at != std::string::npos) {
      answer.body.replace(at, 8, "\"size\":1099511627776");
      const std::size_t other = answer.body.find("\"size\":4");
      answer.body.replace(other, 8, "\"size\":1099511627776");
    }
  });
  const Error error = expect_error("free");
  EXPECT_NE(error.message().find("1099.5 GB"), std::string::npos) << error.what();
  EXPECT_EQ(server_.count("HEAD", ""), 0);
}

TEST_F(Downloads, HeadersThatContradictTheListingAreRefused) {
  const auto with_header = [this](const std::string& name, const std::string& value) {
    server_.set_fault([=](const SeenRequest& request, ServedAnswer& answer) {
      if (request.method != "HEAD") return;
      std::erase_if(answer.headers, [&](const auto& header) { return header.first == name; });
      if (!value.empty()) answer.headers.emplace_back(name, value);
    });
  };
  with_header("X-Repo-Commit", "");
  expect_error("X-Repo-Commit is missing");
  with_header("X-Repo-Commit", std::string(40, 'e'));
  expect_error("is of commit");
  with_header("X-Linked-Size", "12");
  expect_error("12 bytes long by its headers");
  with_header("X-Linked-ETag", "\"../../../../../tmp/evil\"");
  expect_error("no usable ETag");
}

TEST_F(Downloads, RefusalsSayWhatToDo) {
  const auto refuse_with = [this](int status, const std::string& code) {
    server_.set_fault([=](const SeenRequest& request, ServedAnswer& answer) {
      if (!request.has("/resolve/")) return;
      answer = {.status = status};
      if (!code.empty()) answer.headers = {{"X-Error-Code", code}};
    });
  };
  refuse_with(401, "GatedRepo");
  EXPECT_NE(expect_error("licence").hint().find("HF_TOKEN"), std::string::npos);
  refuse_with(401, "RepoNotFound");
  expect_error("no such repository, or it is private");
  settings_.token = "hf_x";
  refuse_with(403, "GatedRepo");
  expect_error("is not accepted by the owner of the token");
  refuse_with(401, "");
  expect_error("does not accept the token");
  refuse_with(403, "");
  expect_error("refuses access (403)");
  refuse_with(404, "EntryNotFound");
  expect_error("no such file");
  refuse_with(407, "");
  expect_error("proxy");
  for (const SeenRequest& request : server_.seen())
    EXPECT_FALSE(request.has("hf_x"));
}

TEST_F(Downloads, CirclesOfRedirectsEnd) {
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    answer = {.status = 307, .headers = {{"Location", request.path}}};
  });
  expect_error("in circles");
}

TEST_F(Downloads, ARenamedRepositoryIsFollowed) {
  HubServer renamed("org/old");
  server_.set_fault([](const SeenRequest& request, ServedAnswer& answer) {
    const std::size_t old = request.path.find("/org/old/");
    if (old == std::string::npos) return;
    std::string target = request.path;
    answer = {.status = 307, .headers = {{"Location", target.replace(old, 9, "/org/model/")}}};
  });
  HubClient client(settings_, {});
  const RepoName name = {"org/old", "main"};
  const std::string commit = client.commit_of(name);
  download({.settings = settings_,
            .repo = name,
            .commit = commit,
            .files = client.files_of(name, commit),
            .progress = {},
            .stop = {}});
  EXPECT_EQ(read_file(RepoCache(folder_.path(), "org/old").snapshot(commit) / "w.safetensors"),
            patterned(kLarge));
}

TEST_F(Downloads, WhoeverWasFasterIsWaitedForAndUsed) {
  // Another process holds the lock of the large file, and finishes it.
  const RepoCache cache(folder_.path(), kRepo.id);
  cache.make_folders(server_.commit(), "w.safetensors");
  auto lock =
      std::make_unique<FileLock>(cache.lock(server_.etag("w.safetensors")), std::stop_token());
  progress_ = [&](const DownloadProgress& now) {
    if (!lock || now.files_done < 1) return;
    write_text(cache.blob(server_.etag("w.safetensors")), patterned(kLarge));
    lock.reset();
  };
  run();
  expect_right();
  EXPECT_EQ(server_.count("GET", "/storage/"), 0);
}

TEST_F(Downloads, TwoAtTheSameTimeLeaveOneRightResult) {
  std::thread other([this] { run(); });
  run();
  other.join();
  expect_right();
}

TEST_F(Downloads, NoServerIsAnErrorAtOnce) {
  settings_.endpoint = "http://127.0.0.1:1";
  expect_error("cannot connect to 127.0.0.1");
  settings_.endpoint = "http://no-such-host.invalid";
  expect_error("there is no host no-such-host.invalid");
}

TEST_F(Downloads, ABrokenProxyIsNamed) {
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  settings_.endpoint = "http://hub.example";
  const Error error = expect_error("cannot connect");
  ::unsetenv("http_proxy");
  EXPECT_NE(error.hint().find("http_proxy names a proxy"), std::string::npos) << error.what();
}

TEST_F(Downloads, TlsThatFailsIsNotTriedAgain) {
  settings_.endpoint.replace(0, 4, "https");  // to a server that knows no TLS
  expect_error("no safe connection");
}

}  // namespace
}  // namespace flux2
