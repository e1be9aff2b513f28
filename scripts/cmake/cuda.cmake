# librw_cuda.so: the CUDA backend, loaded by name when a GPU is asked for (core/device.h). Never linked to libcuda.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)  # CMake looks on PATH only
endif()
set(CMAKE_CUDA_ARCHITECTURES "80;90")
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")  # CMake 3.25 knows up to 17
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
find_package(CUDAToolkit 13 REQUIRED)

file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/cuda_*.cpp)
add_library(rw_cuda SHARED ${cuda_sources})
# No fused multiply-add: the CPU twins do not fuse either (toolchain.md), so the two stay as close as they can.
target_compile_options(rw_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -fmad=false -Xcompiler=-Wall,-Wextra,-Wshadow>)
target_link_libraries(rw_cuda PRIVATE rw_flags rw_core CUDA::cudart CUDA::cublasLt)
set_target_properties(rw_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} CXX_VISIBILITY_PRESET default)
