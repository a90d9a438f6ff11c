// Stands in for the header of the same name of gloo, which libtorch does not ship: what c10d's own headers name of it.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  std::chrono::milliseconds getTimeout() const;
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
