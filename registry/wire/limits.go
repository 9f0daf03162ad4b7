package wire

import (
	"time"

	"github.com/dcann/dcann/registry"
)

// The limits of the HTTP surface (DESIGN 12). They are part of the contract, appear in the OpenAPI file
// and at PathRegistry, and are checked before anything is parsed.
const (
	MaxHeaderBytes  = 16 << 10                     // request line and headers together
	MaxOperation    = registry.MaxOperation        // body of one operation
	MaxStatement    = registry.MaxStatement        // body of one status or acceptance
	MaxOptions      = 4 << 10                      // body of DID Resolution by POST
	MaxResolve      = 10_000                       // identifiers in one batch
	MaxResolveBytes = 1 << 20                      // body of one batch of identifiers
	MaxBatch        = 10_000                       // operations in one batch
	MaxBatchBytes   = 64 << 20                     // body of one batch of operations
	MaxBatchLine    = registry.MaxOperation + 1024 // one line of it: a JSON string of an operation
	MaxDIDURL       = 2 << 10                      // a DID URL with its options, as sent
	MaxPage         = 1000                         // entries of a page
	DefaultPage     = 100
	MaxWait         = 10 * time.Second // for min_index, a confirmation of leadership, or the outcome of a write
	MaxStaleness    = 5 * time.Second  // of a bounded read
	Heartbeat       = 15 * time.Second // at most this long between two writes on a stream of events
)
