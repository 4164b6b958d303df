#include "daemon/core/limit_error.hpp"

namespace allot::core {

Error limit_error(Errc errc, const std::string& who, std::uint64_t wanted, std::uint64_t used,
                  std::uint64_t limit, const char* limit_name) {
  return {errc, who + "wanted " + std::to_string(wanted) + ", used " + std::to_string(used) +
                    " of " + limit_name + " = " + std::to_string(limit)};
}

}  // namespace allot::core
