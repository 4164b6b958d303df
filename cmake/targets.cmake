# How the tree's targets are made from globs, so that a new file needs no edit of a list.

# allot_glob(<variable> <pattern>...): the files that match, sorted. The build looks again each time.
function(allot_glob variable)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  file(GLOB found CONFIGURE_DEPENDS ${ARGN})
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# allot_static(<name> SOURCES <file>... LINK <library>...): a private static library. It may have
# no source yet, or headers only; then it is an INTERFACE library of the same name.
function(allot_static name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    allot_own(${name})
    target_link_libraries(${name} PUBLIC ${arg_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_LINK})
  endif()
endfunction()

# allot_objects(<variable> <target>...): the object files of those targets that have any.
function(allot_objects variable)
  set(objects)
  foreach(target IN LISTS ARGN)
    get_target_property(type ${target} TYPE)
    if(NOT type STREQUAL INTERFACE_LIBRARY)
      list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endif()
  endforeach()
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
