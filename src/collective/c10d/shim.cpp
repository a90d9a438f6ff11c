// c10d's TCPStore and ProcessGroupGloo, out of the libtorch that is linked, as C functions for `native.rs`, and a batch
// normalisation over processes that gradients flow through. No exception leaves: a function returns nullptr, or what
// went wrong as text that `collective_forget` frees.

#define USE_C10D_GLOO 1

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <c10/util/Logging.h>

#include <cstdlib>
#include <cstring>
#include <tuple>
#include <unistd.h>

namespace {

using Store = c10::intrusive_ptr<c10d::Store>;
using Group = c10::intrusive_ptr<c10d::ProcessGroupGloo>;

// So many numbers are few.
constexpr int64_t FEW = 4096;

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

at::Tensor by_channel(const at::Tensor& values) {
  return values.to(at::kFloat).view({1, -1, 1, 1});
}

// Batch normalisation of a part x of a batch by the mean and the variance of the whole batch, which has `count` values
// a channel. What is differentiated is the sum of the processes' losses: by way of mean and variance each of them
// depends on every part.
struct NormOfPart : public torch::autograd::Function<NormOfPart> {
  static at::Tensor forward(
      torch::autograd::AutogradContext* saved,
      at::Tensor x,
      at::Tensor weight,
      at::Tensor bias,
      at::Tensor mean,
      at::Tensor variance,
      double count,
      double eps,
      int64_t sum,
      int64_t context) {
    saved->save_for_backward({x, weight, mean, variance});
    saved->saved_data["count"] = count;
    saved->saved_data["eps"] = eps;
    saved->saved_data["sum"] = sum;
    saved->saved_data["context"] = context;
    return std::get<0>(at::native_batch_norm(x, weight, bias, mean, variance, false, 0.0, eps));
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* saved,
      torch::autograd::variable_list gradients) {
    auto variables = saved->get_saved_variables();
    const auto &x = variables[0], &weight = variables[1], &mean = variables[2], &variance = variables[3];
    auto count = saved->saved_data["count"].toDouble(), eps = saved->saved_data["eps"].toDouble();
    auto sum = saved->saved_data["sum"].toInt(), context = saved->saved_data["context"].toInt();
    // As if mean and variance were constant, and the sums of dy * x^ and of dy over this part, x^ = (x - mean) / s.
    auto [by_x, by_weight, by_bias] = at::native_batch_norm_backward(
        gradients[0], x, weight, mean, variance, {}, {}, false, eps, {true, true, true});
    auto all = at::stack({by_weight, by_bias}).to(at::kDouble);
    reinterpret_cast<Sum>(sum)(reinterpret_cast<void*>(context), &all);
    // dx = weight / s (dy - (sum of dy + x^ sum of dy * x^) / count), both sums over the whole batch.
    auto inverse = (variance.to(at::kDouble) + eps).rsqrt();
    auto slope = -weight * inverse * inverse * all[0] / count;
    auto constant = -weight * inverse * all[1] / count - slope * mean;
    if (by_x.scalar_type() == at::kFloat) {
      by_x.add_(by_channel(constant)).addcmul_(x, by_channel(slope));
    } else {
      // Rounded to fewer bits once.
      auto rest = at::addcmul(by_channel(constant), x.to(at::kFloat), by_channel(slope));
      by_x = (by_x.to(at::kFloat) + rest).to(by_x.scalar_type());
    }
    torch::autograd::variable_list all_inputs(9);
    all_inputs[0] = by_x;
    all_inputs[1] = by_weight;
    all_inputs[2] = by_bias;
    return all_inputs;
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

// Sums a contiguous tensor of the CPU over all processes, in place. A sum of a few numbers takes as long as its
// messages are under way: if everybody sends them to everybody and adds them up, that is half as long.
char* collective_group_sum(Group* group, at::Tensor* tensor) {
  return guarded([&] {
    at::Tensor values = tensor->detach();
    if (values.numel() > FEW) {
      std::vector<at::Tensor> tensors{values};
      (*group)->allreduce(tensors)->wait();
      return;
    }
    auto all = at::empty({(*group)->getSize(), values.numel()}, values.options());
    auto received = all.view({-1}), sent = values.view({-1});
    (*group)->_allgather_base(received, sent)->wait();
    sent.copy_(all.sum(0, false, values.scalar_type()));
  });
}

// A new tensor: x [B, C, h, w], a part of a batch, normalised by the mean and the variance of the whole batch.
// `tensors` are x, weight, bias, mean and variance, the last four float32 [C]. `sum` is called in the backward pass.
char* collective_norm_of_part(
    const at::Tensor* const* tensors,
    double count,
    double eps,
    Sum sum,
    void* context,
    at::Tensor** out) {
  return guarded([&] {
    auto number = reinterpret_cast<int64_t>(sum), where = reinterpret_cast<int64_t>(context);
    auto [x, weight, bias, mean, variance] = std::tie(*tensors[0], *tensors[1], *tensors[2], *tensors[3], *tensors[4]);
    *out = new at::Tensor(NormOfPart::apply(x, weight, bias, mean, variance, count, eps, number, where));
  });
}

// Ends the process at once, whatever its other threads do.
void collective_leave(int code) {
  _exit(code);
}

}  // extern "C"
