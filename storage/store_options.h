// Every RocksDB option that matters, with its reason. Private to storage/store.cc.
#pragma once

#include <memory>
#include <string_view>

#include "storage/options.h"

namespace rocksdb {
struct DBOptions;
struct ColumnFamilyOptions;
class Cache;
}  // namespace rocksdb

namespace standpipe::storage {

rocksdb::DBOptions database_options(const ArchiveOptions& options);
rocksdb::ColumnFamilyOptions family_options(const ArchiveOptions& options, std::string_view name,
                                            const std::shared_ptr<rocksdb::Cache>& cache);

}  // namespace standpipe::storage
