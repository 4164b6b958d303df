// The version of the library a program was compiled against.
//
// Read by the build (CMakeLists.txt checks that project(VERSION) agrees), by --version of every
// tool, and by programs that want to know at compile time what they have.
#pragma once

#define ALLOT_VERSION_MAJOR 0
#define ALLOT_VERSION_MINOR 1
#define ALLOT_VERSION_PATCH 0
#define ALLOT_VERSION_STRING "0.1.0"
