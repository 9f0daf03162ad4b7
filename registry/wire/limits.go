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

	// MaxWait is for min_index, a confirmation of leadership, or the outcome of a write.
	MaxWait = 10 * time.Second
	// MaxStaleness is of a bounded read (DESIGN 9).
	MaxStaleness = registry.MaxStaleness
	// Heartbeat is the longest time between two writes on a stream of events.
	Heartbeat = 15 * time.Second
)

// How long a client may take. A connection that takes longer is closed.
const (
	HeaderTimeout = 10 * time.Second         // for the headers of a request
	ReadTimeout   = 30 * time.Second         // for a whole body; in a batch of operations for each piece of it
	WriteTimeout  = 30 * time.Second         // to take in the next 64 KiB of a streamed answer
	AnswerTimeout = 2*MaxWait + WriteTimeout // from the headers of a request to the end of an answer that is not streamed
	IdleTimeout   = 2 * time.Minute          // between two requests
	MaxBatchTime  = 5 * time.Minute          // to send one batch of operations, from the first line to the last
)

// How much is answered at a time: what a node has in all is refused as unavailable beyond, what one address
// (of IPv6 its /64) may have as quota, with the time after which to come again.
const (
	MaxStreams            = 1000 // streams of events of a node
	MaxStreamsPerAddress  = 32
	MaxBatches            = 4 // batches of operations that a node takes in; others wait for MaxWait
	MaxBatchesPerAddress  = 2
	MaxResolvesPerAddress = 8 // batches of identifiers
	RetryBusy             = 2 * time.Second
)

// What a batch costs of the requests that an address may make in a second, beside itself.
const (
	BatchCost   = 1   // for each operation
	ResolveCost = 100 // one for so many identifiers, rounded down
)
