// ScratchList: a list for the time of a scope, in the calling thread's scratch.
//
// While it is open nothing may be added to an older one of the same thread: that one's scratch is
// locked.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include <allot/scratch.hpp>
#include <allot/vlarray.hpp>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

template <class T>
class ScratchList {
 public:
  ScratchList() : items_(*scratch_) {}

  void add(T item) {
    if (items_.push_back(std::move(item)) == nullptr) {
      const allot::Error error(allot::Arena::last_error());
      throw Failure(ExitCode::kWrong, "temporary memory: " + error.message());
    }
  }
  [[nodiscard]] std::span<T> items() const noexcept { return items_.span(); }

 private:
  allot::Scratch scratch_ = allot::scratch();
  allot::VlArray<T> items_;
};

}  // namespace pipeline
