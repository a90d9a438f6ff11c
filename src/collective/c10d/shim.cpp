// c10d's TCPStore and ProcessGroupGloo, out of the libtorch that is linked, as C functions for `native.rs`, and a sum
// over processes that gradients flow through. No exception leaves: a function returns nullptr, or what went wrong as
// text that `collective_forget` frees.

#define USE_C10D_GLOO 1

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <c10/util/Logging.h>

#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace {

using Store = c10::intrusive_ptr<c10d::Store>;
using Group = c10::intrusive_ptr<c10d::ProcessGroupGloo>;

template <typename Work>
char* guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception of an unknown kind");
  }
}

// Sums a tensor over all processes, in place.
using Sum = void (*)(void* context, at::Tensor* tensor);

// y = sum over processes of x. What is differentiated is the sum of the processes' losses, so the gradient of x is the
// sum of the gradients of y.
struct SumOverProcesses : public torch::autograd::Function<SumOverProcesses> {
  static at::Tensor forward(torch::autograd::AutogradContext* saved, at::Tensor x, int64_t sum, int64_t context) {
    saved->saved_data["sum"] = sum;
    saved->saved_data["context"] = context;
    return summed(x, sum, context);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* saved,
      torch::autograd::variable_list gradients) {
    auto sum = saved->saved_data["sum"].toInt(), context = saved->saved_data["context"].toInt();
    return {summed(gradients[0], sum, context), at::Tensor(), at::Tensor()};
  }

  static at::Tensor summed(const at::Tensor& x, int64_t sum, int64_t context) {
    at::Tensor y = x.detach().clone(at::MemoryFormat::Contiguous);
    reinterpret_cast<Sum>(sum)(reinterpret_cast<void*>(context), &y);
    return y;
  }
};

}  // namespace

extern "C" {

void collective_forget(char* text) {
  std::free(text);
}

// A client of the store at host:port, whose keys all begin with `prefix`. With `serve` this process holds the store,
// on the listening socket `listener`, or, if that is negative, on every address of the machine.
char* collective_store_open(
    const char* host,
    uint16_t port,
    const char* prefix,
    bool serve,
    int listener,
    int64_t wait_ms,
    Store** out) {
  return guarded([&] {
    if (!std::getenv("TORCH_CPP_LOG_LEVEL")) {
      // What fails is told once, as a message of this program, and not with c10d's stack traces too.
      FLAGS_caffe2_log_level = 3;
    }
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serve;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(wait_ms);
    if (serve && listener >= 0) {
      options.masterListenFd = listener;
    }
    Store store = c10::make_intrusive<c10d::TCPStore>(host, options);
    *out = new Store(c10::make_intrusive<c10d::PrefixStore>(prefix, std::move(store)));
  });
}

void collective_store_close(Store* store) {
  guarded([&] { delete store; });
}

char* collective_store_set(Store* store, const char* key, const char* value) {
  return guarded([&] { (*store)->set(key, std::string(value)); });
}

// The value of a key as text that `collective_forget` frees, or nullptr where there is none yet.
char* collective_store_get(Store* store, const char* key, char** out) {
  return guarded([&] { *out = (*store)->check({key}) ? strdup((*store)->get_to_str(key).c_str()) : nullptr; });
}

// Joins a group of `size` processes. They speak over the address `host`, or over the network interface `interface`, or,
// if both are nullptr, over that of this machine's name.
char* collective_group_open(
    Store* store,
    int rank,
    int size,
    const char* host,
    const char* interface,
    int64_t wait_ms,
    Group** out) {
  return guarded([&] {
    using Gloo = c10d::ProcessGroupGloo;
    auto options = Gloo::Options::create(std::chrono::milliseconds(wait_ms));
    options->devices.push_back(
        interface ? Gloo::createDeviceForInterface(interface)
                  : host ? Gloo::createDeviceForHostname(host) : Gloo::createDefaultDevice());
    *out = new Group(c10::make_intrusive<Gloo>(*store, rank, size, options));
  });
}

void collective_group_close(Group* group) {
  guarded([&] { delete group; });
}

// Sums a contiguous tensor of the CPU over all processes, in place.
char* collective_group_sum(Group* group, at::Tensor* tensor) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{tensor->detach()};
    (*group)->allreduce(tensors)->wait();
  });
}

// A new tensor: the sum of `tensor` over all processes by `sum`, through which gradients flow.
char* collective_sum_with_gradient(const at::Tensor* tensor, Sum sum, void* context, at::Tensor** out) {
  return guarded([&] {
    auto number = reinterpret_cast<int64_t>(sum), where = reinterpret_cast<int64_t>(context);
    *out = new at::Tensor(SumOverProcesses::apply(*tensor, number, where));
  });
}

// Ends the process at once, whatever its other threads do.
void collective_leave(int code) {
  _exit(code);
}

}  // extern "C"
