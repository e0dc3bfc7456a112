// Names, addresses, the environment, digests: what needs no server.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "flux2/error.h"
#include "hub/digest.h"
#include "hub/listing.h"
#include "hub/patience.h"
#include "hub/repo_name.h"
#include "hub/settings.h"
#include "hub/url.h"
#include "program.h"

namespace flux2 {
namespace {

TEST(RepoName, ReadsWhatTheHubAllows) {
  const auto name = parse_repo_name("black-forest-labs/FLUX.2-klein-4B");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->id, "black-forest-labs/FLUX.2-klein-4B");
  EXPECT_EQ(name->revision, "main");
  EXPECT_EQ(parse_repo_name("org/name@refs/pr/7")->revision, "refs/pr/7");
  EXPECT_EQ(parse_repo_name("org/name@v1.0")->id, "org/name");
  for (const char* wrong : {"",
                            "name",
                            "/name",
                            "org/",
                            "org/name/more",
                            "./name",
                            "../name",
                            "org/..",
                            "org/a--b",
                            "org/a..b",
                            "org/name.git",
                            "-org/name",
                            "org/name-",
                            "~/name",
                            "org/na me",
                            "org/name@",
                            "org/name@../x",
                            "org/name@a b",
                            "org/name@/x",
                            "org/n\nme",
                            "org/name@a\\b"}) {
    EXPECT_FALSE(parse_repo_name(wrong)) << wrong;
  }
  EXPECT_TRUE(parse_repo_name("o/" + std::string(96, 'n')));
  EXPECT_FALSE(parse_repo_name("o/" + std::string(97, 'n')));
}

TEST(RepoName, PathsStayInside) {
  EXPECT_TRUE(is_inner_path("transformer/config.json"));
  for (const std::string wrong : {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b"})
    EXPECT_FALSE(is_inner_path(wrong)) << wrong;
  EXPECT_FALSE(is_inner_path(std::string("a\0b", 3)));
  EXPECT_TRUE(is_plain_name("d41d8cd98f00b204-2"));
  for (const char* wrong : {"", ".hidden", "a/b", "..", "a b", "\"a\""})
    EXPECT_FALSE(is_plain_name(wrong)) << wrong;
}

TEST(Url, QuotesJoinsAndCompares) {
  EXPECT_EQ(quote_path("a b/c#d%.json"), "a%20b/c%23d%25.json");
  EXPECT_EQ(quote_step("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(join_url("https://a.com/x/y", "/z?q=1"), "https://a.com/z?q=1");
  EXPECT_EQ(join_url("https://a.com/x", "http://b.com/y"), "http://b.com/y");
  EXPECT_EQ(origin_of("https://Hub.com/x"), "https://hub.com:443");
  EXPECT_EQ(origin_of("http://hub.com:8080"), "http://hub.com:8080");
  EXPECT_NE(origin_of("https://hub.com.evil.org/"), origin_of("https://hub.com/"));
  EXPECT_NE(origin_of("https://hub.com@evil.org/"), origin_of("https://hub.com/"));
}

HubSettings settings_with(std::map<std::string, std::string> values) {
  values.try_emplace("HOME", "/home/u");
  return read_hub_settings([values](const char* name) -> const char* {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  });
}

TEST(HubSettings, FollowTheVariablesOfHuggingfaceHub) {
  EXPECT_EQ(settings_with({}).endpoint, "https://huggingface.co");
  EXPECT_EQ(settings_with({}).cache, "/home/u/.cache/huggingface/hub");
  EXPECT_EQ(settings_with({{"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(settings_with({{"HF_HOME", "~/hf"}}).cache, "/home/u/hf/hub");
  EXPECT_EQ(settings_with({{"HF_HOME", "${D}/hf$NO"}, {"D", "/d"}}).cache, "/d/hf$NO/hub");
  EXPECT_EQ(settings_with({{"HF_HOME", "/h"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(settings_with({{"HF_HUB_CACHE", "/new"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache,
            "/new");
  EXPECT_EQ(settings_with({{"HF_ENDPOINT", "http://mirror:81//"}}).endpoint, "http://mirror:81");
  EXPECT_EQ(settings_with({{"HF_TOKEN", " hf_a\n"}}).token, "hf_a");
  EXPECT_EQ(settings_with({{"HUGGING_FACE_HUB_TOKEN", "hf_b"}}).token, "hf_b");
  EXPECT_EQ(settings_with({{"HF_TOKEN", "hf_a"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token,
            std::nullopt);
  EXPECT_EQ(settings_with({}).token, std::nullopt);
  using Network = HubSettings::Network;
  EXPECT_EQ(settings_with({{"HF_HUB_OFFLINE", "1"}}).network, Network::forbidden);
  EXPECT_EQ(settings_with({{"TRANSFORMERS_OFFLINE", "yes"}}).network, Network::forbidden);
  EXPECT_EQ(settings_with({{"HF_HUB_OFFLINE", "0"}}).network, Network::allowed);
}

TEST(HubSettings, ATokenMayLieInAFile) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "token") << "hf_file\n";
  EXPECT_EQ(settings_with({{"HF_HOME", folder.path().string()}}).token, "hf_file");
  EXPECT_EQ(settings_with({{"HF_TOKEN_PATH", (folder.path() / "token").string()}}).token,
            "hf_file");
}

TEST(HubSettings, RefuseWhatWouldBreakAHeader) {
  EXPECT_THROW(settings_with({{"HF_TOKEN", "a\r\nX: y"}}), Error);
  EXPECT_THROW(settings_with({{"HF_ENDPOINT", "ftp://x"}}), Error);
  EXPECT_THROW(settings_with({{"HF_ENDPOINT", "file:///etc/passwd"}}), Error);
}

TEST(Digest, IsTheHubsOwn) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "hello";
  std::ofstream(file) << "hello\n";
  // sha256sum, and `git hash-object`.
  EXPECT_EQ(digest_of(file, DigestKind::sha256, {}),
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(digest_of(file, DigestKind::git_object, {}),
            "ce013625030ba8dba906f756967f9e9ca394464a");
}

HttpResponse answer_of(std::string body) {
  HttpResponse response;
  response.status = 200;
  response.url = "https://hub.example/api";
  response.body = std::move(body);
  return response;
}

TEST(Listing, RefusesWhatNoHubAnswers) {
  const Asked asked = {.repo = "org/name", .revision = "main", .file = {}};
  const std::string oid(40, 'a');
  const auto file = [&](const std::string& path, const std::string& size) {
    return R"([{"type":"file","oid":")" + oid + R"(","path":")" + path + R"(","size":)" + size +
           "}]";
  };
  EXPECT_EQ(parse_files(answer_of(file("a/b.json", "3")), asked).front().size, 3);
  for (const std::string& wrong :
       {std::string("<html>log in</html>"), std::string("{}"), std::string("[1]"), std::string(),
        file("../../etc/passwd", "3"), file("/etc/passwd", "3"), file("a", "-1"), file("a", "1e99"),
        file("a", "18446744073709551615"), file("a", "9223372036854775807"), file("a", "\"3\""),
        std::string(R"([{"type":"file","path":"a","size":3}])"), std::string(1000, '[')}) {
    EXPECT_THROW(parse_files(answer_of(wrong), asked), Error) << wrong;
  }
  EXPECT_EQ(parse_commit(answer_of(R"({"sha":")" + oid + "\"}"), asked), oid);
  for (const char* wrong : {"[]", "{}", R"({"sha":"main"})", R"({"sha":"../../../../x"})"})
    EXPECT_THROW(parse_commit(answer_of(wrong), asked), Error) << wrong;
}

TEST(Listing, FollowsTheLinkToTheNextPage) {
  HttpResponse response = answer_of("[]");
  EXPECT_EQ(next_page(response), "");
  response.headers["link"] = "<https://hub.example/tree?cursor=x>; rel=\"next\"";
  EXPECT_EQ(next_page(response), "https://hub.example/tree?cursor=x");
  response.headers["link"] = "</a>; rel=\"prev\", </b?c=2>; rel=\"next\"";
  EXPECT_EQ(next_page(response), "https://hub.example/b?c=2");
  response.headers["link"] = "<https://hub.example/first";
  EXPECT_EQ(next_page(response), "");
}

TEST(Patience, WaitsAsLongAsTheServerAsks) {
  HttpResponse response;
  response.status = 429;
  EXPECT_EQ(wished_wait(response), std::nullopt);
  response.headers["retry-after"] = "7";
  EXPECT_EQ(wished_wait(response), std::chrono::seconds(7));
  response.headers["ratelimit"] = "\"api\";r=0;t=55";
  EXPECT_EQ(wished_wait(response), std::chrono::seconds(55));
  for (const char* wrong : {"-1", "soon", "99999999999999999999", ""}) {
    HttpResponse other;
    other.status = 503;
    other.headers["retry-after"] = wrong;
    EXPECT_EQ(wished_wait(other), std::nullopt) << wrong;
  }
}

TEST(Patience, EndsAndIsBounded) {
  HubSettings settings;
  settings.retries = 2;
  settings.first_wait = std::chrono::milliseconds(1);
  Patience patience(settings, {});
  HttpResponse busy;
  busy.status = 503;
  EXPECT_TRUE(patience.try_again(busy));
  EXPECT_TRUE(patience.try_again(busy));
  EXPECT_FALSE(patience.try_again(busy));
  patience.reset();
  busy.headers["retry-after"] = "301";
  EXPECT_FALSE(patience.try_again(busy));
  HttpResponse gone;
  gone.status = 404;
  EXPECT_FALSE(patience.try_again(gone));
}

}  // namespace
}  // namespace flux2
