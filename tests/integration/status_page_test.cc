// The page at `/`, as a browser shows it: of a real mirror, in Debian's Chromium.
#include <gmock/gmock.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/browser.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/other_program.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class StatusPage : public MirrorFixture {
 protected:
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()) + "/"; }
  HttpReply get(const std::string& accept) const {
    HttpCall call;
    call.headers = {{"Accept", accept}};
    return http_get(port(), "/", call);
  }
  static std::string is_text(const std::string& selector, const std::string& text) {
    return "document.querySelector(" + nlohmann::json(selector).dump() +
           ")?.textContent.includes(" + nlohmann::json(text).dump() + ") === true";
  }
  // For people who want to see it: STANDPIPE_SCREENSHOTS names a folder.
  static void show(Browser& browser, const std::string& name) {
    const char* const folder = std::getenv("STANDPIPE_SCREENSHOTS");
    if (folder != nullptr) browser.save_screenshot(std::filesystem::path(folder) / name);
  }
};

TEST_F(StatusPage, IsForBrowsersAndTheBannerForAllOthers) {
  given_upstream(holding(1, 5));
  given_mirror();
  const HttpReply page = get("text/html,application/xhtml+xml,*/*;q=0.8");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("Content-Type"), "text/html; charset=utf-8");
  const std::string policy = page.header("Content-Security-Policy").value_or("");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  // Nothing of another host.
  EXPECT_THAT(page.body, Not(HasSubstr("https://")));
  for (const char* accept : {"*/*", "text/plain", ""}) {
    EXPECT_EQ(get(accept).header("Content-Type"), "text/plain; charset=utf-8") << accept;
    EXPECT_EQ(get(accept).header("Vary"), "Accept");
  }
}

TEST_F(StatusPage, SoManyMayLookAndNobodyElseIsKeptOut) {
  given_upstream(holding(1, 5));
  given_mirror();
  const SubscriberOptions options;
  const std::string request = "GET /status/events HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<NetStream> viewers;
  for (int i = 0; i < 64; ++i) {
    viewers.push_back(connect_stream(port(), options));
    const Deadline deadline = deadline_from_now();
    ASSERT_TRUE(write_all(viewers.back(), as_bytes(request), deadline));
    ASSERT_EQ(read_reply(viewers.back(), "HEAD", deadline).reply.status, 200) << i;
  }
  EXPECT_EQ(http_get(port(), "/status/events").status, 503);
  EXPECT_EQ(http_get(port(), "/xrpc/_health").status, 200);
  Subscriber subscriber = subscribe("?cursor=0");
  EXPECT_EQ(subscriber.read_frames(5).size(), 5U);
  stop();  // does not wait for those who look
}

TEST_F(StatusPage, LoadsUpdatesAndShowsAPlantedGap) {
  STANDPIPE_REQUIRE_PROGRAM(kChromium, "chromium");
  UpstreamOptions options = holding(1, 40);
  for (UpstreamFrame& frame : upstream_frames(61, 100)) options.frames.push_back(std::move(frame));
  given_upstream(std::move(options));
  given_mirror();
  wait_until_durable(100);
  Subscriber subscriber = subscribe("?cursor=0");
  Browser browser;
  browser.open(url());
  browser.wait_for(is_text("#notice", "live"));
  browser.wait_for(is_text("#stream-repos .gaps", "20 missing behind 40: upstream"));
  EXPECT_EQ(browser.evaluate("document.querySelectorAll('#stream-repos .band rect').length"), 1);
  // It stands where it lies: seqs 41 to 60 of 1 to 100.
  EXPECT_EQ(browser.evaluate("document.querySelector('.band rect').getAttribute('x')"), "400.00");
  EXPECT_EQ(browser.evaluate("document.querySelector('.band rect').getAttribute('width')"),
            "200.00");
  browser.wait_for(is_text("#stream-repos .ends", "100"));
  browser.wait_for(is_text("#stream-repos .ends", "2026-01-01 00:00 UTC"));
  browser.wait_for(is_text("#subscribers", "in total1"));
  EXPECT_FALSE(browser.evaluate("document.querySelector('.card').classList.contains('stale')"));
  // What comes is shown without loading it anew.
  upstream().append(upstream_frames(101, 130));
  browser.wait_for(is_text("#stream-repos .ends", "130"));
  browser.wait_for("document.querySelector('#stream-repos .line').getAttribute('d').length > 20");
  show(browser, "light.png");
  EXPECT_THAT(browser.complaints(), IsEmpty());
}

TEST_F(StatusPage, AnUpstreamThatIsGoneLooksStale) {
  STANDPIPE_REQUIRE_PROGRAM(kChromium, "chromium");
  given_upstream(holding(1, 40));
  given_mirror();
  wait_until_durable(40);
  BrowserOptions dark;
  dark.is_dark = true;
  Browser browser(dark);
  browser.open(url());
  browser.wait_for(is_text("#stream-repos .pill", "live"));
  EXPECT_EQ(browser.evaluate("getComputedStyle(document.querySelector('.stale-line')).display"),
            "none");
  given_upstream();  // another one, elsewhere: every dial is refused from now on
  browser.wait_for(is_text("#stream-repos .pill", "down"));
  browser.wait_for("document.querySelector('#stream-repos').classList.contains('stale')");
  browser.wait_for(is_text("#stream-repos .stale-line", "Stale: the newest frame came"));
  EXPECT_EQ(browser.evaluate("getComputedStyle(document.querySelector('.stale-line')).display"),
            "block");
  browser.wait_for(is_text("#health", "upstream down"));
  EXPECT_EQ(browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(16, 21, 20)");
  show(browser, "dark.png");
  // So does the page itself, when nobody tells it anything any more.
  kill();
  browser.wait_for("document.body.classList.contains('cut')");
  browser.wait_for(is_text("#notice", "no word from the host"));
}

TEST_F(StatusPage, FitsAPhone) {
  STANDPIPE_REQUIRE_PROGRAM(kChromium, "chromium");
  UpstreamOptions options = holding(1, 40);
  for (UpstreamFrame& frame : upstream_frames(42, 90)) options.frames.push_back(std::move(frame));
  given_upstream(std::move(options));
  given_mirror();
  wait_until_durable(90);
  BrowserOptions phone;
  phone.width = 390;
  phone.height = 844;
  Browser browser(phone);
  browser.open(url());
  browser.wait_for(is_text("#notice", "live"));
  browser.wait_for(is_text("#stream-repos .gaps", "1 missing behind 40"));
  EXPECT_EQ(browser.evaluate("document.documentElement.scrollWidth"), 390);
  show(browser, "phone.png");
}

}  // namespace
}  // namespace standpipe::test
