// Part of Ropewalk, MIT licence.
// What every communicator must do; included by one test program per backend, which instantiates
// ConformanceTest with its groups.
#pragma once
#include "tests/comm/conformance_collectives.h"
#include "tests/comm/conformance_groups.h"
#include "tests/comm/conformance_messages.h"
#include "tests/comm/conformance_parts.h"
