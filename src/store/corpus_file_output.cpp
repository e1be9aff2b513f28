// Part of Ropewalk, MIT licence.
#include "store/corpus_file_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "core/error.h"

namespace rw::store::hdf5 {
namespace {

/// Runs one access to the file; the first failure is kept, and ends all later ones.
template <class Body>
void guarded(Sink& sink, const Body& body) {
  if (sink.failure) return;
  try {
    body();
  } catch (...) {
    sink.failure = std::current_exception();
  }
}

/// What HDF5 calls a driver's file: its part comes first.
struct DriverFile {
  H5FD_t hdf5{};
  Sink* sink = nullptr;
  haddr_t end_of_addresses = 0;
};

/// What HDF5 keeps for us in a property list.
struct DriverInfo {
  Sink* sink = nullptr;
};

DriverFile& of(H5FD_t* file) { return *reinterpret_cast<DriverFile*>(file); }
const DriverFile& of(const H5FD_t* file) { return *reinterpret_cast<const DriverFile*>(file); }

H5FD_t* open_driver(const char* /*name*/, unsigned /*flags*/, hid_t access, haddr_t /*most*/) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  auto file = std::make_unique<DriverFile>();
  file->sink = info->sink;
  return &file.release()->hdf5;  // HDF5's until close_driver
}

herr_t close_driver(H5FD_t* file) {
  const std::unique_ptr<DriverFile> owned(&of(file));
  return 0;
}

herr_t query_driver(const H5FD_t* /*file*/, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;  // as the driver for files has it: the same bytes
  return 0;
}

haddr_t end_of_addresses(const H5FD_t* file, H5FD_mem_t /*type*/) {
  return of(file).end_of_addresses;
}

herr_t set_end_of_addresses(H5FD_t* file, H5FD_mem_t /*type*/, haddr_t end) {
  of(file).end_of_addresses = end;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t /*type*/) { return of(file).sink->bytes; }

herr_t read_driver(H5FD_t* file, H5FD_mem_t /*type*/, hid_t /*transfer*/, haddr_t at,
                   std::size_t count, void* values) {
  Sink& sink = *of(file).sink;
  std::memset(values, 0, count);  // what lies behind the end
  guarded(sink, [&] {
    if (!sink.reader) sink.reader = sink.store->open(sink.aside->name());
    const std::uint64_t there =
        std::min<std::uint64_t>(count, sink.bytes - std::min(at, sink.bytes));
    sink.reader->read_at(at, {static_cast<std::byte*>(values), there});
  });
  return 0;
}

herr_t write_driver(H5FD_t* file, H5FD_mem_t /*type*/, hid_t /*transfer*/, haddr_t at,
                    std::size_t count, const void* values) {
  Sink& sink = *of(file).sink;
  guarded(sink, [&] {
    sink.aside->file().write_at(at, {static_cast<const std::byte*>(values), count});
  });
  sink.bytes = std::max<std::uint64_t>(sink.bytes, at + count);
  return 0;
}

herr_t truncate_driver(H5FD_t* file, hid_t /*transfer*/, hbool_t /*closing*/) {
  Sink& sink = *of(file).sink;
  const haddr_t end = of(file).end_of_addresses;
  if (sink.bytes >= end) return 0;
  guarded(sink, [&] {
    const std::byte last{0};
    sink.aside->file().write_at(end - 1, {&last, 1});
  });
  sink.bytes = end;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t out{};
  out.name = "ropewalk";
  out.maxaddr = INT64_MAX;
  out.fc_degree = H5F_CLOSE_STRONG;
  out.fapl_size = sizeof(DriverInfo);
  out.open = open_driver;
  out.close = close_driver;
  out.query = query_driver;
  out.get_eoa = end_of_addresses;
  out.set_eoa = set_end_of_addresses;
  out.get_eof = end_of_file;
  out.read = read_driver;
  out.write = write_driver;
  out.truncate = truncate_driver;
  const std::array<H5FD_mem_t, H5FD_MEM_NTYPES> lists = H5FD_FLMAP_DICHOTOMY;
  std::copy(lists.begin(), lists.end(), std::begin(out.fl_map));
  return out;
}

struct DriverPolicy {
  using Native = hid_t;
  static hid_t none() { return H5I_INVALID_HID; }
  static void close(hid_t id) noexcept { H5FDunregister(id); }
};
using Driver = core::Handle<DriverPolicy>;

}  // namespace

Output::Output(Store& store, AsideFile& aside, const std::string& path) : path_(path) {
  sink_.store = &store;
  sink_.aside = &aside;
  const H5FD_class_t kind = driver_class();
  const Driver driver(H5FDregister(&kind));
  check(driver.get(), "register the driver");
  const Properties access(H5Pcreate(H5P_FILE_ACCESS));
  const DriverInfo info{&sink_};
  check(H5Pset_driver(access.get(), driver.get(), &info), "set the driver");
  H5Pset_alignment(access.get(), 4096, 4096);  // arrays begin on pages of the map
  file_ = File(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
  check(file_.get(), "create");
}

void Output::number(const char* name, std::int64_t value) {
  const Space space(H5Screate(H5S_SCALAR));
  const Attribute attribute(
      H5Acreate2(file_.get(), name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT));
  check(attribute.get(), name);
  check(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value), name);
}

void Output::text(const char* name, const std::string& value) {
  const Type type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), value.size() + 1);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const Space space(H5Screate(H5S_SCALAR));
  const Attribute attribute(
      H5Acreate2(file_.get(), name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  check(attribute.get(), name);
  check(H5Awrite(attribute.get(), type.get(), value.c_str()), name);
}

void Output::replace_text(const char* name, const std::string& value) {
  const Attribute attribute(H5Aopen(file_.get(), name, H5P_DEFAULT));
  check(attribute.get(), name);
  const Type type(H5Aget_type(attribute.get()));
  check(H5Awrite(attribute.get(), type.get(), value.c_str()), name);
}

void Output::group(const char* name) {
  const Properties properties(H5Pcreate(H5P_GROUP_CREATE));
  H5Pset_obj_track_times(properties.get(), false);
  const Group created(H5Gcreate2(file_.get(), name, H5P_DEFAULT, properties.get(), H5P_DEFAULT));
  check(created.get(), name);
}

Dataset Output::array(const char* name, hid_t type, std::size_t elements) {
  const Properties properties(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_obj_track_times(properties.get(), false);
  H5Pset_layout(properties.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
  const hsize_t extent = elements;
  const Space space(H5Screate_simple(1, &extent, nullptr));
  Dataset dataset(
      H5Dcreate2(file_.get(), name, type, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT));
  check(dataset.get(), name);
  return dataset;
}

void Output::write(const Dataset& dataset, std::size_t first, std::size_t elements,
                   const void* values) {
  const hsize_t start = first, count = elements;
  const Type type(H5Dget_type(dataset.get()));
  const Space in_file(H5Dget_space(dataset.get()));
  const Space in_memory(H5Screate_simple(1, &count, nullptr));
  check(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr),
        "select");
  check(H5Dwrite(dataset.get(), type.get(), in_memory.get(), in_file.get(), H5P_DEFAULT, values),
        "write");
}

void Output::close() {
  check(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "flush");
  file_ = File();
  check(0, "close");
}

void Output::check(std::int64_t result, const char* operation) const {
  if (sink_.failure) std::rethrow_exception(sink_.failure);
  if (result < 0) {
    throw core::Error(
        core::ErrorKind::kStorage,
        fmt::format("{}: {}: HDF5 fails without a reason; want a writable folder with "
                    "free space: give another --out",
                    path_, operation));
  }
}

}  // namespace rw::store::hdf5
