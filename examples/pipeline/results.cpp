#include "examples/pipeline/results.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

namespace {

constexpr const char* kName = "pipeline.results";

allot::SharedVlArray<FileDone> must(allot::Expected<allot::SharedVlArray<FileDone>> array,
                                    const char* what) {
  if (!array) throw Failure(ExitCode::kWrong, std::string(what) + ": " + array.error().message());
  return std::move(*array);
}

}  // namespace

ResultWriter::ResultWriter(const allot::Session& session, std::size_t files)
    : array_(must(
          allot::SharedVlArray<FileDone>::create(session, kName, std::max<std::size_t>(files, 1)),
          "making the results")) {}

void ResultWriter::add(const FileDone& done) {
  if (array_.push_back(done) != nullptr) return;
  const allot::Error error(allot::SharedVlArray<FileDone>::last_error());
  throw Failure(ExitCode::kWrong, "a result: " + error.message());
}

void ResultWriter::unpublish() {
  if (const auto done = array_.unpublish(kName); !done) {
    throw Failure(ExitCode::kWrong, "unpublishing the results: " + done.error().message());
  }
}

ResultReader::ResultReader(const std::filesystem::path& runtime_dir)
    : array_(must(allot::SharedVlArray<FileDone>::attach(
                      connect_as("orchestrator", runtime_dir / "client.sock"), kName,
                      allot::ShareAccess::kReadOnly),
                  "finding the results")) {}

std::span<const FileDone> ResultReader::fresh() noexcept {
  const auto fresh = array_.span().subspan(seen_);
  seen_ += fresh.size();
  return fresh;
}

}  // namespace pipeline
