#include "examples/pipeline/crew.hpp"

#include <filesystem>
#include <utility>

#include "examples/pipeline/channel.hpp"

namespace pipeline {

namespace {

// A role's command line, built up.
class RoleCommand {
 public:
  explicit RoleCommand(const std::string& role) : name_(role) {
    command_.arguments = {std::filesystem::read_symlink("/proc/self/exe").native(), role};
  }
  RoleCommand& give(const std::string& option, const Descriptor& descriptor) {
    command_.inherited.push_back(descriptor.get());
    return tell(option, descriptor.get());
  }
  RoleCommand& tell(const std::string& option, const std::string& value) {
    command_.arguments.insert(command_.arguments.end(), {option, value});
    return *this;
  }
  RoleCommand& tell(const std::string& option, int value) {
    return tell(option, std::to_string(value));
  }
  RoleCommand& in_runtime_dir(const std::string& directory) {
    command_.environment = {"ALLOT_RUNTIME_DIR=" + directory};
    return *this;
  }
  RoleCommand& inherit(int fd) {
    command_.inherited.push_back(fd);
    return *this;
  }
  [[nodiscard]] Child start(const std::string& suffix = {}) const {
    return {name_ + suffix, command_};
  }

 private:
  std::string name_;
  Command command_;
};

std::string numbered(std::size_t worker) { return " " + std::to_string(worker); }

}  // namespace

// Of each pair the first end is for who stands first in its name.
Crew start_region_crew(const CrewPlan& plan) {
  DescriptorPair ready = make_pipe();
  DescriptorPair reader_orchestrator = make_channel();
  DescriptorPair collector_orchestrator = make_channel();
  const DescriptorPair reader_collector = make_channel();
  RoleCommand reader("reader");
  reader.tell("--list", plan.list_path)
      .give("--ready", ready.second)
      .give("--control", reader_orchestrator.first)
      .give("--collector", reader_collector.first)
      .tell("--plant", static_cast<int>(plan.plant))
      .in_runtime_dir(plan.runtime_dir);
  RoleCommand collector("collector");
  collector.tell("--list", plan.list_path)
      .give("--ready", ready.second)
      .give("--control", collector_orchestrator.first)
      .give("--reader", reader_collector.second)
      .tell("--table", plan.table_fd)
      .inherit(plan.table_fd)
      .tell("--plant", static_cast<int>(plan.plant))
      .in_runtime_dir(plan.runtime_dir);

  std::vector<Child> workers;
  std::vector<DescriptorPair> kept;  // until reader and collector have them too
  for (std::size_t i = 0; i < plan.workers; ++i) {
    DescriptorPair reader_worker = make_channel();
    DescriptorPair worker_collector = make_channel();
    RoleCommand worker("worker");
    worker.tell("--number", static_cast<int>(i))
        .give("--ready", ready.second)
        .give("--reader", reader_worker.second)
        .give("--collector", worker_collector.first)
        .in_runtime_dir(plan.runtime_dir);
    if (i == 0) worker.tell("--die-at", static_cast<int>(plan.die_at));
    workers.push_back(worker.start(numbered(i)));
    reader.give("--worker", reader_worker.first);
    collector.give("--worker", worker_collector.second);
    kept.push_back(std::move(reader_worker));
    kept.push_back(std::move(worker_collector));
  }
  return {reader.start(),
          collector.start(),
          std::move(workers),
          std::move(reader_orchestrator.second),
          std::move(collector_orchestrator.second),
          std::move(ready.first)};
}

Crew start_pipe_crew(const CrewPlan& plan) {
  DescriptorPair ready = make_pipe();
  DescriptorPair reader_orchestrator = make_channel();
  DescriptorPair collector_orchestrator = make_channel();
  const DescriptorPair results = make_pipe();
  RoleCommand reader("pipe-reader");
  reader.tell("--list", plan.list_path)
      .give("--ready", ready.second)
      .give("--control", reader_orchestrator.first);
  RoleCommand collector("pipe-collector");
  collector.tell("--list", plan.list_path)
      .give("--ready", ready.second)
      .give("--control", collector_orchestrator.first)
      .give("--reader", results.first);

  std::vector<Child> workers;
  std::vector<DescriptorPair> kept;
  for (std::size_t i = 0; i < plan.workers; ++i) {
    DescriptorPair bytes = make_pipe();
    RoleCommand worker("pipe-worker");
    worker.tell("--number", static_cast<int>(i))
        .give("--ready", ready.second)
        .give("--reader", bytes.first)
        .give("--collector", results.second);
    workers.push_back(worker.start(numbered(i)));
    reader.give("--worker", bytes.second);
    kept.push_back(std::move(bytes));
  }
  return {reader.start(),
          collector.start(),
          std::move(workers),
          std::move(reader_orchestrator.second),
          std::move(collector_orchestrator.second),
          std::move(ready.first)};
}

}  // namespace pipeline
