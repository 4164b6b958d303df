#!/usr/bin/env bash
# What `cmake --install` puts down is usable: a program outside the tree builds and runs against it
# by find_package and by pkg-config, and liballot.so exports names of allot only.
set -euo pipefail
build_dir=${ALLOT_BINARY_DIR:?set by ctest: the build directory}
fail() { echo "FAIL: $*" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
cmake --install "$build_dir" --prefix "$scratch/prefix" >install.log || fail "$(cat install.log)"

library=$(find prefix -name liballot.so)
[[ -n $library ]] || fail "no liballot.so among: $(cat install.log)"
libdir=$(cd "$(dirname "$library")" && pwd)
for file in liballot.so.0 pkgconfig/allot.pc cmake/allot/allotConfig.cmake; do
  [[ -e $libdir/$file ]] || fail "$file is not installed"
done

unit=prefix/lib/systemd/system/allotd.service
grep -q "^ExecStart=$scratch/prefix/sbin/allotd" "$unit" || fail "$(grep ExecStart= "$unit")"

echo '#include <allot/session.hpp>' >old.cpp
c++ -std=c++17 -fsyntax-only -I prefix/include old.cpp 2>old.log && fail "C++17 is accepted"
grep -q "Allot needs C++20: -std=c++20" old.log || fail "in C++17: $(head -3 old.log)"

mkdir consumer
cat >consumer/main.cpp <<'EOF'
#include <allot/arena.h>
#include <allot/pmr.hpp>
#include <allot/session.hpp>
#include <allot/vlarray.hpp>

#include <cstdio>

int main() {
  allot::VlArray<int> array;
  allot::PmrResource resource(array.arena());
  auto scratch = allot::scratch(array.arena());
  if (array.push_back(1) == nullptr || scratch->push(8) == nullptr) return 4;
  auto session = allot::Session::connect();
  if (!session) {
    std::puts(session.error().message().c_str());
    return 3;
  }
}
EOF
cat >consumer/embedded.cpp <<'EOF'
#include <allot/embedded.hpp>

#include <cstring>

int main() {
  auto region = allot::EmbeddedRegion::create();
  if (!region) return 1;
  auto session = region->connect();
  if (!session) return 2;
  void* const block = session->allocate(1000);
  if (block == nullptr) return 3;
  std::memset(block, 1, 1000);
  if (region->audit().live_blocks != 1) return 4;
  if (session->free(block) != allot::Errc::kOk) return 5;
  return region->audit().live_blocks == 0 && region->audit().violations == 0 ? 0 : 6;
}
EOF
cat >consumer/local.cpp <<'EOF'
#include <allot/local.hpp>

#include <memory>
#include <string>

int main(int count, char** /*arguments*/) {
  const auto text = std::make_unique<std::string>(static_cast<std::size_t>(1000 * count), 'x');
  const bool is_local = allot::local().usable_size(text->data()) >= 1000;
#ifdef OVER_ALLOT
  if (!is_local) return 1;
#else
  if (is_local) return 2;
#endif
  void* const block = allot::local().allocate(100);
  return block != nullptr && allot::local().free(block) == allot::Errc::kOk ? 0 : 3;
}
EOF
cat >consumer/CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(allot 0.1 REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE allot::allot)
add_executable(embedded_consumer embedded.cpp)
target_link_libraries(embedded_consumer PRIVATE allot::embedded)
foreach(form allot embedded)
  add_executable(local_over_${form} local.cpp)
  target_link_libraries(local_over_${form} PRIVATE allot::${form})
  add_executable(new_over_${form} local.cpp)
  target_compile_definitions(new_over_${form} PRIVATE OVER_ALLOT)
  target_link_libraries(new_over_${form} PRIVATE allot::new allot::${form})
endforeach()
EOF

# Runs a consumer where no daemon is: it must say so and leave with 3.
try() {
  local output status=0
  output=$(env -i LD_LIBRARY_PATH="$libdir" ALLOT_RUNTIME_DIR="$scratch/nowhere" "$1") ||
    status=$?
  ((status == 3)) || fail "$1 exited with $status, not 3: $output"
  [[ $output == *"$scratch/nowhere"* ]] || fail "$1 does not say where it looked: $output"
  echo "$1: $output"
}

cmake -S consumer -B by_cmake -G Ninja -DCMAKE_PREFIX_PATH="$scratch/prefix" >cmake.log 2>&1 ||
  fail "find_package: $(cat cmake.log)"
cmake --build by_cmake >cmake.log 2>&1 || fail "by find_package: $(cat cmake.log)"
try by_cmake/consumer
env -i by_cmake/embedded_consumer || fail "the embedded consumer exited with $?"
for program in {local,new}_over_{allot,embedded}; do
  env -i LD_LIBRARY_PATH="$libdir" "by_cmake/$program" || fail "$program exited with $?"
done

export PKG_CONFIG_PATH=$libdir/pkgconfig
[[ $(pkg-config --modversion allot) == 0.* ]] || fail "pkg-config does not know the version"
# shellcheck disable=SC2046
g++ -std=c++20 consumer/main.cpp -o by_pkgconfig $(pkg-config --cflags --libs allot) ||
  fail "does not build by pkg-config"
try ./by_pkgconfig

# Names of the C API, and mangled ones whose outermost scope is namespace allot.
exported=$(nm -D --defined-only "$library" | awk '{print $NF}')
grep -q . <<<"$exported" || fail "nothing is exported"
foreign=$(grep -vE '^(allot_|_Z(TI|TS|TV|TT|TH|TW|GV)?N[KRO]*5allot)' <<<"$exported" || true)
[[ -z $foreign ]] || fail "liballot.so exports: $(c++filt <<<"$foreign")"
echo "exported symbols: $(wc -l <<<"$exported")"
