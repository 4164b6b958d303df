# The version stands in project() and in <allot/version.hpp>; here they are held together.
set(header ${PROJECT_SOURCE_DIR}/shared/include/allot/version.hpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
file(READ ${header} text)
string(TOLOWER "${text}" text)
foreach(part MAJOR MINOR PATCH)
  string(TOLOWER ${part} word)
  if(NOT text MATCHES "version_?${word}[ ={(]+([0-9]+)")
    message(FATAL_ERROR "${header} defines no version_${word}")
  elseif(NOT CMAKE_MATCH_1 EQUAL PROJECT_VERSION_${part})
    message(FATAL_ERROR "${header}: version_${word} is ${CMAKE_MATCH_1}, "
                        "project() says ${PROJECT_VERSION}")
  endif()
endforeach()
