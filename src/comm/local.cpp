// Part of Ropewalk, MIT licence.
#include "comm/local.h"

#include "comm/hub.h"

namespace rw::comm {

std::unique_ptr<Communicator> make_local() { return std::move(make_hub_world(1).front()); }

}  // namespace rw::comm
