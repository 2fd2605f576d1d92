#include "tools/sim/network.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schema/base/assert.h"
#include "tools/sim/key_pool.h"
#include "tools/sim/persona.h"
#include "tools/sim/repo.h"
#include "tools/sim/repo_frame.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::size_t kBatchSlots = 512;
constexpr std::size_t kBatchesAhead = 4;
constexpr std::int64_t kStartMsMin = 1'577'836'800'000;       // 2020: room for histories before it
constexpr std::int64_t kStartMsMax = 4'102'444'800'000;       // 2100: room for TIDs after it
constexpr std::int64_t kFirstSeqMax = std::int64_t{1} << 52;  // room for twice kFramesMax and more

struct Batch {
  std::vector<Slot> slots;
  std::size_t passed = 0;     // of the slots, from the first on: no frames are wanted of them
  std::vector<Bytes> frames;  // of the slots; each written by one worker
  std::size_t workers_left = 0;
};

// The accounts of which one thread is in charge: those whose number has a certain remainder. What
// an account does depends on itself alone, so it does not matter which thread that is.
class Worker {
 public:
  Worker(const World& world, std::uint64_t number, std::uint64_t workers)
      : world_(world), number_(number), workers_(workers) {}

  void work(Batch& batch) {
    for (std::size_t i = 0; i < batch.slots.size(); ++i) {
      const Slot& slot = batch.slots[i];
      if (slot.account % workers_ != number_) continue;
      if (i < batch.passed) {
        if (slot.kind != SlotKind::info) pass_over(slot);
        continue;
      }
      batch.frames[i] = slot.kind == SlotKind::info ? encode_info_frame() : frame_for(slot);
    }
  }

 private:
  using Repos = std::unordered_map<std::uint64_t, std::unique_ptr<Repo>>;

  Repos::iterator repo_of(const Slot& slot) {
    if (slot.is_first) repos_.emplace(slot.account, std::make_unique<Repo>(world_, slot));
    const auto repo = repos_.find(slot.account);
    STANDPIPE_ASSERT(repo != repos_.end(), "an account's first slot comes first");
    return repo;
  }

  Bytes frame_for(const Slot& slot) {
    const auto repo = repo_of(slot);
    Bytes frame = repo->second->make_frame(slot);
    if (slot.is_last) repos_.erase(repo);
    return frame;
  }

  void pass_over(const Slot& slot) {
    if (slot.is_first && slot.is_last) return;  // nobody will ask what became of it
    const auto repo = repo_of(slot);
    slot.is_last ? static_cast<void>(repos_.erase(repo)) : repo->second->pass_over(slot);
  }

  const World& world_;
  const std::uint64_t number_;
  const std::uint64_t workers_;
  Repos repos_;  // never walked
};

World make_world(const NetworkOptions& options, std::shared_ptr<const KeyPool> pool) {
  if (pool == nullptr) pool = make_key_pool(options);
  return {options.seed, static_cast<std::uint64_t>(options.start_ms) * 1000,
          options.odd_per_mille[static_cast<std::size_t>(Odd::did_web)], std::move(pool)};
}

std::size_t thread_count(std::size_t wanted) {
  if (wanted > 0) return wanted;
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kThreadsMax);
}

}  // namespace

Result<void> check_options(const NetworkOptions& options) {
  const auto refuse = [](std::string detail) { return Error{Errc::invalid, std::move(detail)}; };
  if (options.rate < 1 || options.rate > kRateMax) {
    return refuse("rate: 1 to " + std::to_string(kRateMax) + " frames a second");
  }
  if (options.burst_rate != 0 &&
      (options.burst_rate < options.rate || options.burst_rate > kRateMax ||
       options.burst_rate > kBurstMax * options.rate)) {
    return refuse("bursts: from the rate up to " + std::to_string(kBurstMax) +
                  " times the rate, at most " + std::to_string(kRateMax) + " frames a second");
  }
  if (options.frames > kFramesMax) {
    return refuse("frames: up to " + std::to_string(kFramesMax));
  }
  if (options.accounts < 1 || options.accounts > kAccountsMax) {
    return refuse("accounts: 1 to " + std::to_string(kAccountsMax));
  }
  if (options.threads > kThreadsMax) {
    return refuse("threads: up to " + std::to_string(kThreadsMax));
  }
  if (options.start_ms < kStartMsMin || options.start_ms > kStartMsMax) {
    return refuse("start: between the years 2020 and 2100");
  }
  if (options.first_seq < Seq{1} || options.first_seq > Seq{kFirstSeqMax}) {
    return refuse("first seq: 1 to " + std::to_string(kFirstSeqMax));
  }
  const Mix& mix = options.mix;
  if (mix.identity > 1000 || mix.account > 1000 || mix.sync > 1000 ||
      mix.identity + mix.account + mix.sync > 1000) {
    return refuse("mix: shares of more than 1000 per mille");
  }
  if (options.labels_per_mille > 1000) return refuse("labels: up to 1000 per mille");
  for (std::size_t i = 0; i < kOddKinds; ++i) {
    if (options.odd_per_mille[i] > 1000) {
      return refuse("odd " + std::string(kOddNames[i]) + ": up to 1000 per mille");
    }
  }
  return {};
}

ScheduleOptions schedule_options(const NetworkOptions& options) {
  ScheduleOptions out;
  out.seed = options.seed;
  out.start_micros = static_cast<std::uint64_t>(options.start_ms) * 1000;
  out.rate = options.rate;
  out.burst_rate = options.burst_rate;
  out.frames = options.frames;
  out.accounts = options.accounts;
  out.first_seq = to_int(options.first_seq);
  out.mix = options.mix;
  out.odd_per_mille = options.odd_per_mille;
  return out;
}

std::shared_ptr<const KeyPool> make_key_pool(const NetworkOptions& options) {
  return std::make_shared<const KeyPool>(mix(options.seed, 0x706f6f6c),
                                         static_cast<std::uint64_t>(options.start_ms) * 1000);
}

struct Network::Impl {
  Impl(const NetworkOptions& options, std::shared_ptr<const KeyPool> pool)
      : world(make_world(options, std::move(pool))),
        schedule(schedule_options(options)),
        after(options.after),
        seq{to_int(options.first_seq) - 1} {
    const std::size_t count = thread_count(options.threads);
    queues.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([this, i, count](const std::stop_token& stop) {
        Worker worker(world, i, count);
        while (Batch* batch = wait_for_work(i, stop)) {
          worker.work(*batch);
          finish(*batch);
        }
      });
    }
  }

  ~Impl() {
    for (std::jthread& thread : threads) thread.request_stop();
    threads.clear();  // before the batches that they may be at work on
  }

  Batch* wait_for_work(std::size_t worker, const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    if (!work_came.wait(lock, stop, [&] { return !queues[worker].empty(); })) return nullptr;
    if (stop.stop_requested()) return nullptr;
    Batch* batch = queues[worker].front();
    queues[worker].pop_front();
    return batch;
  }

  void finish(Batch& batch) {
    const std::lock_guard lock(mutex);
    if (--batch.workers_left == 0) batch_done.notify_one();
  }

  void plan_ahead() {
    while (!is_planned && batches.size() < kBatchesAhead) {
      auto batch = std::make_unique<Batch>();
      while (batch->slots.size() < kBatchSlots) {
        const auto slot = schedule.next();
        if (!slot) {
          is_planned = true;
          break;
        }
        // What has no seq stands where the frame before it does.
        if (slot->kind != SlotKind::info) seq = slot->seq;
        const bool is_passed = slot->kind == SlotKind::info ? seq < after : seq <= after;
        if (is_passed) ++batch->passed;
        batch->slots.push_back(*slot);
      }
      if (batch->slots.empty()) return;
      batch->frames.resize(batch->slots.size());
      batch->workers_left = threads.size();
      batches.push_back(std::move(batch));
      const std::lock_guard lock(mutex);
      for (auto& queue : queues) queue.push_back(batches.back().get());
      work_came.notify_all();
    }
  }

  // The first batch, once it is made; null after the last.
  Batch* wait_for_batch() {
    if (position == 0) {
      plan_ahead();
      if (batches.empty()) return nullptr;
      std::unique_lock lock(mutex);
      batch_done.wait(lock, [&] { return batches.front()->workers_left == 0; });
    }
    return batches.front().get();
  }

  // Over one slot of `batch`, the first one, which may be gone then.
  void step(const Batch& batch) {
    if (batch.slots[position].is_first) ++accounts_seen;
    if (++position < batch.slots.size()) return;
    position = 0;
    batches.pop_front();
  }

  const World world;
  Schedule schedule;
  const Seq after;
  Seq seq;                  // of the newest slot that is planned
  bool is_planned = false;  // to the last slot
  std::uint64_t accounts_seen = 0;
  std::size_t position = 0;                    // in the first batch
  std::deque<std::unique_ptr<Batch>> batches;  // in order, none of them wholly handed out

  std::mutex mutex;                        // guards what follows, and workers_left of batches
  std::vector<std::deque<Batch*>> queues;  // by worker
  std::condition_variable_any work_came;
  std::condition_variable batch_done;

  std::vector<std::jthread> threads;
};

Result<std::unique_ptr<Network>> Network::create(const NetworkOptions& options,
                                                 std::shared_ptr<const KeyPool> pool) {
  STANDPIPE_CHECK(check_options(options));
  return std::unique_ptr<Network>(new Network(std::make_unique<Impl>(options, std::move(pool))));
}

Network::Network(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Network::~Network() = default;

bool Network::pass_over() {
  Impl& impl = *impl_;
  const Batch* batch = impl.wait_for_batch();
  if (batch == nullptr || impl.position >= batch->passed) return false;
  for (std::size_t left = batch->passed - impl.position; left > 0; --left) impl.step(*batch);
  return true;
}

std::optional<SimulatedFrame> Network::next() {
  while (pass_over()) {
  }
  Impl& impl = *impl_;
  Batch* const made = impl.wait_for_batch();
  if (made == nullptr) return std::nullopt;
  Batch& batch = *made;
  const Slot& slot = batch.slots[impl.position];
  SimulatedFrame frame;
  if (slot.kind != SlotKind::info) frame.seq = slot.seq;
  frame.kind = slot.kind;
  frame.odd = slot.odd;
  frame.account = slot.account;
  frame.time_ms = static_cast<std::int64_t>(slot.micros / 1000);
  frame.bytes = std::move(batch.frames[impl.position]);
  impl.step(batch);
  return frame;
}

std::uint64_t Network::accounts() const { return impl_->accounts_seen; }

std::string Network::did(std::uint64_t account) const {
  return make_persona(impl_->world.seed, account, impl_->world.did_web_per_mille).did;
}

std::string Network::did_document(std::uint64_t account) const {
  return make_did_document(make_persona(impl_->world.seed, account, impl_->world.did_web_per_mille),
                           make_signing_key(impl_->world.seed, account).public_key());
}

Result<Odd> parse_odd(std::string_view name) {
  const auto found = std::find(kOddNames.begin(), kOddNames.end(), name);
  if (found != kOddNames.end()) return static_cast<Odd>(found - kOddNames.begin());
  std::string detail = "'" + std::string(name) + "' is not one of ";
  for (const std::string_view each : kOddNames) {
    if (each != kOddNames.front()) detail += ", ";
    detail += each;
  }
  return Error{Errc::invalid, std::move(detail)};
}

}  // namespace standpipe::tools::sim
