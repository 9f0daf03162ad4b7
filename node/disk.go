package node

import "log/slog"

// diskLog says in the log when the disk fills up and when there is space again. Refusing writes meanwhile
// is the cluster's duty. It belongs to one goroutine.
type diskLog struct {
	min uint64
	low bool
}

// look compares the free bytes with what must stay free.
func (d *diskLog) look(free uint64, log *slog.Logger) {
	switch low := free < d.min; {
	case low && !d.low:
		log.Error("disk nearly full, refusing writes", "free_bytes", free, "min_free_bytes", d.min)
	case d.low && !low:
		log.Info("disk has space again, taking writes", "free_bytes", free)
	}
	d.low = free < d.min
}
