// Part of Ropewalk, MIT licence.
#pragma once
// HDF5 objects of corpus_file*.cpp; not for other files.
#include <hdf5.h>

#include "core/handle.h"

namespace rw::store::hdf5 {

template <herr_t (*Close)(hid_t)>
struct Policy {
  using Native = hid_t;
  static hid_t none() { return H5I_INVALID_HID; }
  static void close(hid_t id) noexcept { Close(id); }
};
using File = core::Handle<Policy<H5Fclose>>;
using Dataset = core::Handle<Policy<H5Dclose>>;
using Group = core::Handle<Policy<H5Gclose>>;
using Space = core::Handle<Policy<H5Sclose>>;
using Type = core::Handle<Policy<H5Tclose>>;
using Attribute = core::Handle<Policy<H5Aclose>>;
using Properties = core::Handle<Policy<H5Pclose>>;

/// While it lives, HDF5 does not print its error stack on this thread: we say what failed.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace rw::store::hdf5
