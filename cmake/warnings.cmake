# Warnings, hardening and sanitizers for the project's own targets. All PRIVATE: a user of the
# library inherits none of them.

set(ALLOT_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (e.g. address,undefined)")
option(ALLOT_HARDENING "Stack protector, FORTIFY_SOURCE, library assertions, full RELRO" ON)
option(ALLOT_COVERAGE "Instrument for gcov" OFF)
option(ALLOT_FUZZ "Make the fuzz targets fuzzers, instrumented for libFuzzer (clang)" OFF)

# allot_own(<target>): every target of the tree goes through this. -Wnull-dereference is clang's only:
# g++ 12 reports it in inlined library code (CMSG_FIRSTHDR, std::variant, intrusive trees), as it
# does -Wrestrict in "text" + std::string (its bug 105651).
function(allot_own target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_compile_options(${target} PRIVATE
    -Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
    -Wcast-align -Wnon-virtual-dtor -Woverloaded-virtual -Wdouble-promotion
    $<$<CXX_COMPILER_ID:Clang>:-Wnull-dereference>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    -Wundef -Wimplicit-fallthrough -Wformat=2 -Wextra-semi)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  if(ALLOT_HARDENING)
    target_compile_options(${target} PRIVATE -fstack-protector-strong)
    target_compile_definitions(${target} PRIVATE
      $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)
    target_link_options(${target} PRIVATE -Wl,-z,relro -Wl,-z,now)
  endif()
  target_link_options(${target} PRIVATE -Wl,--as-needed)
  if(ALLOT_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${ALLOT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${ALLOT_SANITIZE})
    if(ALLOT_SANITIZE MATCHES undefined AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
      # Asio's handlers trip clang 14's function-type check, which needs RTTI across libraries.
      target_compile_options(${target} PRIVATE -fno-sanitize=function)
    endif()
  endif()
  if(ALLOT_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(ALLOT_COVERAGE)
    target_compile_options(${target} PRIVATE --coverage)
    target_link_options(${target} PRIVATE --coverage)
  endif()
endfunction()

# allot_uses_asio(<target>): a warning of clang's and one of g++ 12's fire inside Asio's headers.
function(allot_uses_asio target)
  target_compile_options(${target} PRIVATE
    -Wno-null-dereference $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
  target_compile_definitions(${target} PRIVATE BOOST_ASIO_NO_DEPRECATED)
endfunction()
