#include "client/debug_state.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "client/debug_annotations.hpp"
#include "shared/platform/random.hpp"

namespace allot::detail {

namespace {

// Where the first byte lies that is not kFreedByte; nothing if all are.
std::optional<std::size_t> first_written(const std::byte* base, std::size_t bytes) noexcept {
  constexpr std::byte kFreed{kFreedByte};
  // That each byte is like the one before it is what memcmp says fastest.
  if (base[0] == kFreed && std::memcmp(base, base + 1, bytes - 1) == 0) return std::nullopt;
  const auto* const found =
      std::find_if(base, base + bytes, [](std::byte byte) { return byte != kFreed; });
  // Somebody who writes at this very moment may have put it back.
  return static_cast<std::size_t>(found - base) % bytes;
}

void write_line(const std::string& text) noexcept {
  const std::string line = "allot: " + text + "\n";
  // In one piece, so that lines of several threads stay apart; there is nobody to tell of a failure.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

// Of this thread, whatever session it calls.
thread_local constinit volatile std::sig_atomic_t is_in_call = 0;

}  // namespace

DebuggedCall::DebuggedCall(const DebugState* state) noexcept : state_(state) {
  if (state_ == nullptr) return;
  if (is_in_call != 0) {
    // Nothing that may wait for what was interrupted.
    constexpr std::string_view kLine =
        "allot: a signal handler calls a session in the middle of another call: see "
        "docs/debugging.md\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kLine.data(), kLine.size());
    std::abort();
  }
  is_in_call = 1;
}

DebuggedCall::~DebuggedCall() {
  if (state_ != nullptr) is_in_call = 0;
}

std::unique_ptr<DebugState> DebugState::make(const DebugOptions& options) {
  const bool any = options.fill || options.report || options.stacks || options.annotate ||
                   options.sample_bytes != 0;
  return any ? std::make_unique<DebugState>(options) : nullptr;
}

DebugState::DebugState(const DebugOptions& options)
    : options_(options),
      random_(options.sample_seed != 0 ? options.sample_seed : platform::random_u64()),
      distance_(1.0 / static_cast<double>(std::max<std::size_t>(options.sample_bytes, 1))) {
  until_sample_bytes_ = distance_(random_);
  if (options_.stacks || options_.sample_bytes != 0) prepare_stacks();
}

void DebugState::report(const Misuse& misuse) const {
  if (options_.on_misuse) {
    // It may call the session.
    const std::sig_atomic_t before = is_in_call;
    is_in_call = 0;
    options_.on_misuse(misuse);
    is_in_call = before;
  } else {
    write_line(describe(misuse));
  }
}

// --- blocks that are taken ---

std::optional<DebugState::Write> DebugState::allocated(const DebuggedBlock& block) {
  std::optional<Write> write;
  bool sampled = false;
  {
    const ScopedLock<std::mutex> lock(mutex_);
    if (options_.annotate) annotate_defined(block.base, block.bytes);
    const auto known = records_.find(block.base);
    if (known != records_.end() && known->second.is_free && known->second.is_filled &&
        known->second.bytes == block.bytes) {
      if (const auto offset = first_written(block.base, block.bytes); offset) {
        write.emplace();
        write->offset_bytes = *offset;
        if (known->second.allocated != nullptr) write->places.allocated = *known->second.allocated;
        if (known->second.freed != nullptr) write->places.freed = *known->second.freed;
      }
    }
    forget_locked(block.base, block.bytes);
    sampled = wants_sample(block.bytes);
  }
  remember(block, sampled);
  if (options_.fill) std::memset(block.base, kFreshByte, block.bytes);
  if (options_.annotate) annotate_undefined(block.base, block.bytes);
  return write;
}

void DebugState::adopted(const DebuggedBlock& block) {
  bool sampled = false;
  {
    const ScopedLock<std::mutex> lock(mutex_);
    forget_locked(block.base, block.bytes);
    sampled = wants_sample(block.bytes);
  }
  remember(block, sampled);
}

void DebugState::exposed(const DebuggedBlock& block) const {
  if (options_.annotate) annotate_written(block.base, block.bytes);
}

// An exponential distribution has no memory: where the last sample lay in its block does not matter.
bool DebugState::wants_sample(std::size_t bytes) {
  if (options_.sample_bytes == 0) return false;
  until_sample_bytes_ -= static_cast<double>(bytes);
  if (until_sample_bytes_ > 0) return false;
  until_sample_bytes_ = distance_(random_);
  return true;
}

// The stack is taken without the mutex: the unwinder may wait for a thread that loads a library,
// whose constructors may wait for us.
void DebugState::remember(const DebuggedBlock& block, bool sampled) {
  if (!sampled && !options_.stacks) return;
  TakenStack here;
  here.take();
  const ScopedLock<std::mutex> lock(mutex_);
  Record record;
  record.bytes = block.bytes;
  record.generation = block.generation;
  record.is_sampled = sampled;
  record.allocated = stacks_.keep(here.frames());
  records_[block.base] = record;
}

// --- ranges ---

DebugState::Records::iterator DebugState::first_overlapping(std::byte* base) {
  auto found = records_.lower_bound(base);
  if (found == records_.begin()) return found;
  const auto before = std::prev(found);
  return before->first + before->second.bytes > base ? before : found;
}

void DebugState::forget_locked(std::byte* base, std::size_t bytes) {
  auto found = first_overlapping(base);
  while (found != records_.end() && found->first < base + bytes) {
    if (found->second.is_unusable) annotate_defined(found->first, found->second.bytes);
    found = records_.erase(found);
  }
  if (options_.annotate) annotate_defined(base, bytes);
}

void DebugState::forget(std::byte* base, std::size_t bytes) {
  const ScopedLock<std::mutex> lock(mutex_);
  forget_locked(base, bytes);
}

void DebugState::forget_all() {
  const ScopedLock<std::mutex> lock(mutex_);
  forget_all_locked();
}

void DebugState::forget_all_locked() {
  for (const auto& [base, record] : records_) {
    if (record.is_unusable) annotate_defined(base, record.bytes);
  }
  records_.clear();
  stacks_.clear();
}

// --- what is known ---

DebugState::Places DebugState::places_of(std::byte* base) {
  const ScopedLock<std::mutex> lock(mutex_);
  const auto known = records_.find(base);
  Places places;
  if (known == records_.end()) return places;
  if (known->second.allocated != nullptr) places.allocated = *known->second.allocated;
  if (known->second.freed != nullptr) places.freed = *known->second.freed;
  return places;
}

std::vector<DebugState::Sample> DebugState::samples(
    const std::function<bool(const DebuggedBlock&)>& is_ours) {
  std::vector<Sample> out;
  const ScopedLock<std::mutex> lock(mutex_);
  for (auto& [base, record] : records_) {
    if (!record.is_sampled || record.is_free) continue;
    record.is_sampled = is_ours({base, record.bytes, record.generation});
    if (record.is_sampled) out.push_back({record.bytes, *record.allocated});
  }
  if (!options_.stacks) {
    std::erase_if(records_, [](const auto& entry) {
      return !entry.second.is_sampled && !entry.second.is_free;
    });
  }
  return out;
}

// --- frees ---

DebuggedFree::DebuggedFree(DebugState& state) : state_(state) {
  if (state_.options_.stacks) here_.take();
  lock_ = ScopedLock<std::mutex>(state_.mutex_);
}

void DebuggedFree::begin(const DebuggedBlock& block, bool in_own_span) {
  if (begun_ != nullptr) return;
  begun_ = block.base;
  const DebugOptions& options = state_.options_;
  const auto known = state_.records_.find(block.base);
  if (known != state_.records_.end()) before_ = known->second;
  DebugState::Record record = before_;
  record.bytes = block.bytes;
  record.is_free = true;
  record.is_sampled = false;
  record.freed = options.stacks ? state_.stacks_.keep(here_.frames()) : nullptr;
  if (options.fill) {
    // Whatever else poisoned a part of it is done with it.
    if (options.annotate) annotate_defined(block.base, block.bytes);
    std::memset(block.base, kFreedByte, block.bytes);
    record.is_filled = in_own_span;
  }
  if (options.annotate && in_own_span) {
    annotate_unusable(block.base, block.bytes);
    record.is_unusable = true;
  }
  if (options.stacks || record.is_filled || record.is_unusable) {
    state_.records_[block.base] = record;
  } else {
    state_.records_.erase(block.base);
  }
}

void DebuggedFree::done() noexcept {
  begun_ = nullptr;
  lock_.unlock();
}

DebuggedFree::~DebuggedFree() {
  if (begun_ == nullptr) return;
  const auto known = state_.records_.find(begun_);
  if (known != state_.records_.end() && known->second.is_unusable) {
    annotate_defined(begun_, known->second.bytes);
  }
  if (before_.bytes != 0) {
    state_.records_[begun_] = before_;
  } else if (known != state_.records_.end()) {
    state_.records_.erase(known);
  }
}

}  // namespace allot::detail
