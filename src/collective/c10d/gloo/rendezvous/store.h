// Stands in for the header of the same name of gloo, which libtorch does not ship: what c10d's own headers name of it.
// The shim makes no such store, so that the order of functions here is never used.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace gloo {
namespace rendezvous {

class IStore {
 public:
  virtual ~IStore() = default;
  virtual void set(const std::string& key, const std::vector<char>& value) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};

class Store : public IStore {};

}  // namespace rendezvous
}  // namespace gloo
