// The same with the schema alone, without sockets.
#include <schema/cid.h>

#include <cstdio>

int main() { std::puts(standpipe::Cid::of_raw(standpipe::as_bytes("")).to_string().c_str()); }
