// Marks what liballot.so exports; everything else in it is hidden.
#pragma once

#define ALLOT_EXPORT __attribute__((visibility("default")))
