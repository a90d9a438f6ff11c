// Stands in for the header of the same name of gloo, which libtorch does not ship: what c10d's own headers name of it.
#pragma once

namespace gloo {
namespace transport {

class Device;
class UnboundBuffer;

}  // namespace transport
}  // namespace gloo
