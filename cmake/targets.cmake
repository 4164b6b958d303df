# How the tree's targets are made from globs, so that a new file needs no edit of a list.

# allot_glob(<variable> <pattern>...): the files that match, sorted. The build looks again each time.
function(allot_glob variable)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  file(GLOB found CONFIGURE_DEPENDS ${ARGN})
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# allot_static(<name> SOURCES <file>... LINK <library>...): a private static library.
function(allot_static name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  allot_own(${name})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

# allot_objects(<variable> <target>...): the object files of those targets.
function(allot_objects variable)
  set(objects ${ARGN})
  list(TRANSFORM objects REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

# allot_verify_headers(<layer> HEADERS <file>... LINK <library>...): compiles each header alone, as
# part of the target verify_headers.
function(allot_verify_headers layer)
  cmake_parse_arguments(arg "" "" "HEADERS;LINK" ${ARGN})
  if(NOT arg_HEADERS)
    return()
  endif()
  set(units)
  foreach(header IN LISTS arg_HEADERS)
    file(RELATIVE_PATH include ${PROJECT_SOURCE_DIR} ${header})
    string(MAKE_C_IDENTIFIER ${include} unit)
    set(unit ${PROJECT_BINARY_DIR}/verify_headers/${unit}.cpp)
    file(CONFIGURE OUTPUT ${unit} CONTENT "#include \"${include}\"\n")
    list(APPEND units ${unit})
  endforeach()
  add_library(verify_headers_${layer} OBJECT EXCLUDE_FROM_ALL ${units})
  allot_own(verify_headers_${layer})
  target_compile_options(verify_headers_${layer} PRIVATE -O0 -U_FORTIFY_SOURCE)
  target_link_libraries(verify_headers_${layer} PRIVATE ${arg_LINK})
  add_dependencies(verify_headers verify_headers_${layer})
endfunction()
