#!/usr/bin/env bash
# What Doxygen reads of a header: plain comments as documentation. Before a declaration `// ` becomes
# `/// `, behind one `///< `. A specialization of std::hash is nothing to document, and it cannot.
# usage: doxygen_filter.sh HEADER
set -euo pipefail
sed -E \
  -e '/^struct std::hash/,/^};/d' \
  -e '\|//|s/</\&lt;/2g' \
  -e 's|^( *)//( )|\1///\2|' \
  -e 's|([;,{}]) +// |\1 ///< |' \
  "${1:?usage: doxygen_filter.sh HEADER}"
