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
			n.withSession(func(s *session) { watch.look(s.cluster.Status().Free, n.log) })
		case <-certificates.C:
			n.followCertificates()
		case <-scrubs.C:
			n.withSession(func(s *session) { n.scrub(ctx, s) })
		}
	}
}

// withSession calls do, which may use the session until it returns, if there is one.
func (n *Node) withSession(do func(*session)) {
	if s := n.current.Load(); s != nil {
		s.handlers.run(func() { do(s) })
	}
}

// scrub does nothing when nothing was erased; what fails is tried again next time.
func (n *Node) scrub(ctx context.Context, s *session) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ended, cancel)()
	if err := s.cluster.Scrub(ctx); err != nil && ctx.Err() == nil {
		n.log.Error("scrub failed, erased data is still in the files", "error", err)
	}
}

// followCertificates takes up files that have changed.
func (n *Node) followCertificates() {
	if n.cert != nil {
		n.cert.follow(n.log)
	}
	if n.mesh == nil {
		return
	}
	switch changed, err := n.mesh.Reload(); {
	case err != nil:
		n.log.Error("node certificate not reloaded, the old one stays", "error", err)
	case changed:
		n.log.Info("node certificate reloaded", "file", n.config.NodeCert)
	}
}
