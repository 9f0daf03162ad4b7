package node

import (
	"context"
	"time"
)

// diskEvery is how often the log is told about free space.
const diskEvery = 2 * time.Second

// keepHouse does the regular chores of a node until ctx is done.
func (n *Node) keepHouse(ctx context.Context) {
	disk := time.NewTicker(diskEvery)
	defer disk.Stop()
	certificates := time.NewTicker(certificateEvery)
	defer certificates.Stop()
	scrubs := time.NewTicker(n.config.ScrubEvery)
	defer scrubs.Stop()
	watch := diskLog{min: n.config.MinFree}
	for {
		select {
		case <-ctx.Done():
			return
		case <-disk.C:
			watch.look(n.cluster.Status().Free, n.log)
		case <-certificates.C:
			if n.cert != nil {
				n.cert.follow(n.log)
			}
		case <-scrubs.C:
			// It does nothing when nothing was erased; what fails is tried again next time.
			if err := n.cluster.Scrub(ctx); err != nil && ctx.Err() == nil {
				n.log.Error("scrub failed, erased data is still in the files", "error", err)
			}
		}
	}
}
