package cluster

import "sync"

// logSize estimates how many bytes of entries the log holds and where to cut it to hold fewer. Sizes
// written in this process are exact; those found at start are spread evenly over the file.
type logSize struct {
	mu    sync.Mutex
	marks []mark // ascending; the first is where the log begins
	last  uint64
	total int64 // bytes written up to last, counted from where the counting began
}

// mark says that total was bytes when the log ended at index.
type mark struct {
	index uint64
	bytes int64
}

// markEvery is the resolution: a cut is off by no more.
const markEvery = 256 << 10

// start counts a log of entries first to last that lies in a file of size bytes.
func (s *logSize) start(first, last uint64, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks, s.last, s.total = nil, last, 0
	if first == 0 {
		s.marks = []mark{{index: last}}
		return
	}
	s.marks = []mark{{index: first - 1}}
	steps := max(size/markEvery, 1)
	for i := range steps {
		s.marks = append(s.marks, mark{index: first - 1 + uint64(float64(last-first+1)*float64(i+1)/float64(steps)), bytes: size / steps * (i + 1)})
	}
	s.total = s.marks[len(s.marks)-1].bytes
}

// boltCost is what an entry with data of n bytes takes in Bolt's file. Bolt splits a leaf that is written in
// ascending order at half a page, but never below two entries, and gives large leaves whole pages: small
// entries take up to three times their size.
func boltCost(n int) int64 {
	const page, header, overhead = 4096, 16, 100
	size := n + overhead
	inLeaf := max(2, (page/2-header)/size)
	pages := (header + inLeaf*size + page - 1) / page
	return int64(pages * page / inLeaf)
}

func (s *logSize) stored(last uint64, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = last
	s.total += bytes
	if s.total-s.marks[len(s.marks)-1].bytes >= markEvery {
		s.marks = append(s.marks, mark{last, s.total})
	}
}

// removed takes off entries up to and with index. What a suffix deletion removes stays counted: too much
// is the safe side, and it is rare.
func (s *logSize) removed(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.marks) > 1 && s.marks[1].index <= index {
		s.marks = s.marks[1:]
	}
}

// retained is how many bytes the log holds.
func (s *logSize) retained() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total - s.marks[0].bytes
}

// trailing is how many of the last entries fit into limit bytes; at least 1.
func (s *logSize) trailing(limit int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.marks {
		if s.total-m.bytes <= limit {
			return max(s.last-min(m.index, s.last), 1)
		}
	}
	return 1
}
