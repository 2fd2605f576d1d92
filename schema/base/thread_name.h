// Names for `top -H`, gdb and perf.
#pragma once

namespace standpipe {

// Of the calling thread; at most 15 characters, as Linux has it. A name is for people: without it
// all works the same.
void name_this_thread(const char* name);

}  // namespace standpipe
