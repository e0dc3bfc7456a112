#include "conformance/suites.h"

namespace flux2::conformance {
namespace {

void judge_transfers(Judge& judge, Role role) {
  const Values values = random_values({3, 5, 7}, 9600);
  const Tensor host = make_host_tensor(values.shape, values.numbers);
  Ops& ops = judge.ops();
  const DType dtype = ops.empty({1}, role).dtype();
  judge.expect(role == Role::operand || dtype == DType::f32, "streams must be f32");
  judge.expect(to_vector(ops.download(ops.upload(host, role))) == rounded_to(values, dtype).numbers,
               "upload, then download, must give the same numbers");

  const Tensor crop = host.slice(0, 1, 2).slice(1, 2, 3).slice(2, 1, 4);
  const Tensor there = ops.upload(crop, role);
  judge.expect(there.is_dense() && there.shape() == crop.shape(),
               "upload must give a dense tensor");
  const Values expected = rounded_to({crop.shape(), to_vector(crop)}, dtype);
  judge.expect(to_vector(ops.download(there)) == expected.numbers,
               "upload must take strided tensors");

  const Tensor part = ops.upload(host, role).slice(0, 1, 2).slice(1, 2, 3).slice(2, 1, 4);
  const Tensor back = ops.download(part);
  judge.expect(back.is_dense() && back.dtype() == DType::f32 && to_vector(back) == expected.numbers,
               "download must take strided tensors and give a dense f32 one");
  host.f32()[0] += 1.0f;
  judge.expect(to_vector(ops.download(there)) == expected.numbers, "upload must copy");
}

}  // namespace

void judge_storage(Judge& judge) {
  for (const Role role : {Role::stream, Role::operand}) {
    const Tensor tensor = judge.ops().empty({2, 3, 10}, role);
    judge.expect(tensor.is_dense() && tensor.shape() == Shape{2, 3, 10},
                 "empty must give a dense tensor of the shape");
    judge.expect(judge.ops().empty({0, 4}, role).elements() == 0, "a tensor may have no elements");
    judge_transfers(judge, role);
  }
  // Memory goes back with the last handle, not with the first.
  Tensor kept;
  {
    const Tensor whole =
        judge.ops().upload(make_host_tensor({4}, std::vector<float>{1, 2, 3, 4}), Role::stream);
    kept = whole.slice(0, 1, 2);
  }
  judge.ops().trim();
  const Tensor other =
      judge.ops().upload(make_host_tensor({4}, std::vector<float>{9, 9, 9, 9}), Role::stream);
  judge.expect(to_vector(judge.ops().download(kept)) == std::vector<float>({2, 3}),
               "a view must keep its memory");
  judge.expect(!judge.ops().name().empty(), "a backend must have a name");
}

}  // namespace flux2::conformance
