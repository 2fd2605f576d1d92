#include "schema/base/thread_name.h"

#include <pthread.h>

#include <cstring>

#include "schema/base/assert.h"

namespace standpipe {

void name_this_thread(const char* name) {
  STANDPIPE_ASSERT(std::strlen(name) <= 15, "Linux takes names of 15 characters");
  [[maybe_unused]] const int result = ::pthread_setname_np(::pthread_self(), name);
}

}  // namespace standpipe
