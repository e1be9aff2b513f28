# Every foreign library, once. A room names what it needs in room(... LIBS ...).
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)   # MPI_CXX would drag the dead libmpi_cxx in
find_package(Protobuf REQUIRED)           # Debian ships no protobuf-config.cmake
find_package(PkgConfig REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(GTest CONFIG REQUIRED)
find_package(benchmark CONFIG REQUIRED)
foreach(pkg hdf5-serial:HDF5 libisal:ISAL libxxhash:XXHASH libzstd:ZSTD libpcre2-8:PCRE2 libutf8proc:UTF8PROC
        liburing:URING hwloc:HWLOC zlib:ZLIB)
  string(REPLACE ":" ";" pair ${pkg})
  list(GET pair 0 module)
  list(GET pair 1 prefix)
  pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET ${module})
endforeach()
find_path(RANDOM123_INC Random123/philox.h REQUIRED)

# Debian's dnnl-config.cmake insists on OpenCL: name the library by hand.
find_path(DNNL_INC oneapi/dnnl/dnnl.hpp REQUIRED)
find_library(DNNL_LIB dnnl REQUIRED)
add_library(DNNL::dnnl UNKNOWN IMPORTED)
set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION "${DNNL_LIB}" INTERFACE_INCLUDE_DIRECTORIES "${DNNL_INC}")

add_library(rw_flags INTERFACE)
target_include_directories(rw_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
target_compile_options(rw_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Werror -fno-math-errno -fno-trapping-math -ffp-contract=off>)
target_compile_definitions(rw_flags INTERFACE OMPI_SKIP_MPICXX)
if(ROPEWALK_SANITIZE)
  target_compile_options(rw_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${ROPEWALK_SANITIZE} -fno-omit-frame-pointer>)
  target_link_options(rw_flags INTERFACE -fsanitize=${ROPEWALK_SANITIZE})
endif()

# proto_library(NAME file.proto): generated code in a static library of its own (it is not warning-clean).
function(proto_library name file)
  set(gen ${CMAKE_BINARY_DIR}/gen)
  get_filename_component(stem ${file} NAME_WE)
  file(MAKE_DIRECTORY ${gen}/proto)
  add_custom_command(OUTPUT ${gen}/proto/${stem}.pb.cc ${gen}/proto/${stem}.pb.h
    COMMAND protobuf::protoc --cpp_out=${gen} -I${CMAKE_SOURCE_DIR} proto/${stem}.proto
    DEPENDS ${CMAKE_SOURCE_DIR}/proto/${stem}.proto VERBATIM)
  add_library(${name} STATIC ${gen}/proto/${stem}.pb.cc)
  target_include_directories(${name} SYSTEM PUBLIC ${gen})
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf)
  if(ROPEWALK_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${ROPEWALK_SANITIZE})
  endif()
endfunction()
