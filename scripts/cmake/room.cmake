# room(NAME [DEPS rooms…] [LIBS foreign targets…]): a static library rw_NAME of all .cpp files of the folder, and, when
# tests/NAME holds *_test.cpp, an executable NAME_test (label unit) plus one per *_mpi_test.cpp (label mpi, 4 ranks).
include(GoogleTest)
set(RW_TEST_ENV
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_pml=ob1 OMPI_MCA_btl=vader,tcp,self
  OMPI_MCA_odls_base_sigkill_timeout=0 OMP_WAIT_POLICY=passive
  ROPEWALK_BINARY=${CMAKE_BINARY_DIR}/ropewalk ROPEWALK_SOURCE=${CMAKE_SOURCE_DIR}
  "ASAN_OPTIONS=fast_unwind_on_malloc=0:allocator_may_return_null=1" "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/support/lsan.supp:print_suppressions=0"
  "TSAN_OPTIONS=ignore_noninstrumented_modules=1")

function(room name)
  cmake_parse_arguments(R "RECURSE" "" "DEPS;LIBS" ${ARGN})
  if(R_RECURSE)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  else()
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  list(FILTER sources EXCLUDE REGEX "/cuda[^/]*\\.cpp$")
  list(TRANSFORM R_DEPS PREPEND rw_)
  if(sources)
    add_library(rw_${name} STATIC ${sources})
    set_target_properties(rw_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(rw_${name} PUBLIC rw_flags ${R_DEPS} ${R_LIBS})
  else()
    add_library(rw_${name} INTERFACE)
    target_link_libraries(rw_${name} INTERFACE rw_flags ${R_DEPS} ${R_LIBS})
  endif()
endfunction()

# Every case of NAME_test as a ctest test of its own.
function(room_cases name)
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60 TEST_LIST ${name}_cases
    PROPERTIES LABELS unit TIMEOUT 120)
  # gtest_discover_tests would pass on only the first variable of a list.
  set(environment ${CMAKE_CURRENT_BINARY_DIR}/${name}_environment.cmake)
  file(WRITE ${environment} "set_tests_properties(\${${name}_cases} PROPERTIES ENVIRONMENT \"${RW_TEST_ENV}\")\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${environment})
endfunction()

# room_tests(NAME rooms…): called by tests/CMakeLists.txt once all rooms exist.
function(room_tests name)
  list(TRANSFORM ARGN PREPEND rw_ OUTPUT_VARIABLE libs)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*_test.cpp)
  set(mpi_sources ${sources})
  set(gpu_sources ${sources})
  list(FILTER gpu_sources INCLUDE REGEX "/cuda_[^/]*_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "/cuda_[^/]*_test\\.cpp$")
  list(FILTER mpi_sources INCLUDE REGEX "_mpi_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_mpi_test\\.cpp$")
  if(ROPEWALK_SANITIZE STREQUAL "thread")  # its operator new counts; the sanitizer's cannot be replaced
    list(FILTER sources EXCLUDE REGEX "/pipeline/memory_test\\.cpp$")
  endif()
  if(sources)
    add_executable(${name}_test ${sources})
    target_link_libraries(${name}_test PRIVATE ${libs} rw_test_support)
    if(ROPEWALK_SANITIZE)  # a sanitized program takes a second to start: all its cases in one go
      add_test(NAME ${name} COMMAND ${name}_test)
      set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 1800 ENVIRONMENT "${RW_TEST_ENV}")
    else()
      room_cases(${name})
    endif()
  endif()
  if(gpu_sources AND ROPEWALK_CUDA)
    add_executable(${name}_gpu_test ${gpu_sources})
    target_link_libraries(${name}_gpu_test PRIVATE ${libs} rw_test_support)
    add_dependencies(${name}_gpu_test rw_cuda)
    add_test(NAME ${name}.gpu COMMAND ${name}_gpu_test)
    set_tests_properties(${name}.gpu PROPERTIES LABELS gpu TIMEOUT 300)
  endif()
  foreach(source ${mpi_sources})
    get_filename_component(stem ${source} NAME_WE)
    add_executable(${name}_${stem} ${source})
    target_link_libraries(${name}_${stem} PRIVATE ${libs} rw_test_support)
    add_test(NAME ${name}.${stem} COMMAND mpirun --oversubscribe -np 4 $<TARGET_FILE:${name}_${stem}>)
    set_tests_properties(${name}.${stem} PROPERTIES LABELS mpi TIMEOUT 120 PROCESSORS 2 ENVIRONMENT "${RW_TEST_ENV}")
  endforeach()
endfunction()

# cli_tests(FILE_test.py LABEL): every `def test_…` of a Python unittest file is one ctest test against the built program.
function(cli_tests file label)
  get_filename_component(stem ${file} NAME_WE)
  file(STRINGS ${file} lines REGEX "^    def test_")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} classes REGEX "^class .*TestCase")
  foreach(line ${lines})
    string(REGEX REPLACE "^    def (test_[a-z0-9_]+).*" "\\1" case ${line})
    add_test(NAME cli.${stem}.${case} COMMAND /usr/bin/python3 -m unittest -k ${case} ${stem}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(cli.${stem}.${case} PROPERTIES LABELS ${label} TIMEOUT 600 ENVIRONMENT "${RW_TEST_ENV};PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${CMAKE_SOURCE_DIR}/tests/support")
  endforeach()
endfunction()
