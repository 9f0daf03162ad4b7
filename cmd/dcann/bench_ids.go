package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sort"

	"github.com/dcann/dcann/registry"
)

// benchIDLine is the length in bytes of an identifier and a line feed: all lines of a file of identifiers
// are equally long, so that any program finds the n-th without reading the others.
const benchIDLine = 70

// benchIDs is a file of identifiers, in memory. Safe for concurrent use.
type benchIDs []byte

func readBenchIDs(path string) (benchIDs, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("file of identifiers: %w", err)}
	}
	if len(b) == 0 || len(b)%benchIDLine != 0 {
		return nil, usagef("%s: expected lines of %d characters, as dcann bench fill writes them", path, benchIDLine-1)
	}
	if _, err := registry.ParseID(string(b[:benchIDLine-1])); err != nil {
		return nil, usagef("%s: line 1: %v", path, err)
	}
	return b, nil
}

func (ids benchIDs) len() int { return len(ids) / benchIDLine }

func (ids benchIDs) at(i int) []byte { return ids[i*benchIDLine : (i+1)*benchIDLine-1] }

// The ways to choose identifiers (DESIGN 15).
const (
	benchZipf    = "zipf"    // the first 10,000 by Zipf's law, exponent 1
	benchUniform = "uniform" // all of them, each as likely
	benchHot     = 10_000
)

// benchPick chooses the next of n identifiers. Use by one goroutine.
type benchPick struct {
	random *rand.Rand
	n      int
	sums   []float64 // of Zipf's weights; nil for uniform
}

func newBenchPick(dist string, n, worker int) (*benchPick, error) {
	p := &benchPick{random: rand.New(rand.NewPCG(uint64(worker), rand.Uint64())), n: n}
	switch dist {
	case benchUniform:
		return p, nil
	case benchZipf:
		p.n = min(n, benchHot)
		p.sums = zipfSums(p.n)
		return p, nil
	}
	return nil, usagef("--dist %q: expected %s or %s", dist, benchZipf, benchUniform)
}

func zipfSums(n int) []float64 {
	sums, sum := make([]float64, n), 0.0
	for i := range sums {
		sum += 1 / float64(i+1)
		sums[i] = sum
	}
	return sums
}

func (p *benchPick) next() int {
	if p.sums == nil {
		return p.random.IntN(p.n)
	}
	at := p.random.Float64() * p.sums[p.n-1]
	return min(sort.SearchFloat64s(p.sums, math.Nextafter(at, math.Inf(1))), p.n-1)
}
