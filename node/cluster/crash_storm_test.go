package cluster

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// storm does harm for a while.
func (w *world) storm(d time.Duration) {
	harms := []struct {
		weight int
		do     func()
	}{
		{28, func() { w.crashAnd(w.anyHost()) }},
		{8, func() { w.crashAnd(w.others(w.voter())...) }},
		{6, func() { w.crashAnd(w.hosts...) }},
		{6, func() { w.restart(w.anyHost()) }},
		{26, w.harmLinks},
		{14, func() { w.net.calm(); w.did("calm") }},
		{22, w.cutLogs},
		{10, w.install},
		{18, w.transfer},
		{8, w.replaceDisk},
		{8, w.removeMember},
	}
	sum := 0
	for _, h := range harms {
		sum += h.weight
	}
	w.turn(true)
	defer w.turn(false)
	until := time.Now().Add(d)
	for time.Now().Before(until) && len(w.violations()) == 0 {
		n := w.rng.IntN(sum)
		for _, h := range harms {
			if n -= h.weight; n < 0 {
				h.do()
				break
			}
		}
		w.rest([]int{1, 10, 50, 200}[w.rng.IntN(4)])
	}
}

// turn makes the weather. When the storm is over, nothing harms the links any more.
func (w *world) turn(stormy bool) {
	w.weather.Lock()
	defer w.weather.Unlock()
	if w.stormy = stormy; !stormy {
		w.did("peace")
		w.net.calm()
	}
}

// rest waits for up to so many milliseconds. What is of interest meanwhile loses its power, more often than not.
func (w *world) rest(milliseconds int) {
	after := time.After(time.Duration(w.rng.IntN(1000*milliseconds)) * time.Microsecond)
	for {
		select {
		case <-after:
			return
		case name := <-w.sparks:
			if w.rng.IntN(3) > 0 {
				time.Sleep(time.Duration(w.rng.IntN(4000)) * time.Microsecond)
				for _, h := range w.hosts {
					if h.name == name {
						w.crashAnd(h)
					}
				}
			}
		}
	}
}

// spark tells the storm of a host that is in the middle of something. It does not block.
func (w *world) spark(name string) {
	select {
	case w.sparks <- name:
	default:
	}
}

// onRPC sees a state being sent and leadership being handed over, also by nodes that end, in peace.
func (w *world) onRPC(from, to, rpc string) error {
	w.weather.Lock()
	defer w.weather.Unlock()
	if !w.stormy {
		return nil
	}
	switch rpc {
	case "InstallSnapshot":
		w.spark([]string{from, to}[rand.IntN(2)])
	case "TimeoutNow":
		switch rand.IntN(3) {
		case 0:
			w.deafen(from)
		case 1:
			// It does not learn who leads now, but nobody else waits for it: for as long as its lease lasts there are
			// two who believe to lead, one of them with clients who write.
			w.net.holdRaft("*", from)
			w.did("%s hears nothing of Raft", from)
			w.counts.cuts.Add(1)
		}
	}
	return nil
}

// deafen makes a node hear nothing any more, though it goes on talking.
func (w *world) deafen(name string) {
	w.net.cutOneWay("*", name)
	w.did("%s hears nothing", name)
	w.counts.cuts.Add(1)
}

func (w *world) anyHost() *host {
	if l := w.leader(); l != nil && w.rng.IntN(2) == 0 {
		return l.h
	}
	return w.hosts[w.rng.IntN(len(w.hosts))]
}

func (w *world) voter() *host { return w.hosts[w.rng.IntN(len(w.hosts)-1)] }

// others are the voters but h.
func (w *world) others(h *host) (others []*host) {
	for _, o := range w.hosts[:len(w.hosts)-1] {
		if o != h {
			others = append(others, o)
		}
	}
	return others
}

func (w *world) crash(h *host) {
	unsynced := vfs.CrashCloneCfg{UnsyncedDataPercent: w.rng.IntN(101), RNG: rand.New(rand.NewPCG(w.rng.Uint64(), 0))}
	if h.crash(unsynced) {
		w.counts.crashes.Add(1)
		w.did("%s loses its power", h.name)
	}
}

// crashAnd takes the power of hosts, and gives it back after a while.
func (w *world) crashAnd(hosts ...*host) {
	for _, h := range hosts {
		w.crash(h)
	}
	for _, h := range hosts {
		off := time.Duration(w.rng.IntN([]int{1, 30, 300}[w.rng.IntN(3)])) * time.Millisecond
		w.ghosts.Go(func() { time.Sleep(off); h.start() })
	}
}

func (w *world) restart(h *host) {
	w.did("%s is restarted", h.name)
	h.stop()
	h.start()
}

// harmLinks cuts or slows links.
func (w *world) harmLinks() {
	a, b := w.anyHost().name, w.anyHost().name
	w.counts.cuts.Add(1)
	switch w.rng.IntN(6) {
	case 0:
		w.net.isolate(a)
		w.did("%s is alone", a)
	case 1:
		w.net.cut(a, b)
		w.did("%s and %s are cut", a, b)
	case 2:
		w.net.cutOneWay(a, b)
		w.did("cut from %s to %s", a, b)
	case 3:
		w.deafen(a)
	case 4:
		d := time.Duration(w.rng.IntN(150)) * time.Millisecond
		w.net.delay(a, "*", d)
		w.did("from %s it takes %v", a, d)
	case 5:
		w.net.lose(a, "*", w.rng.Float64()/3)
		w.did("from %s much is lost", a)
	}
}

// cutLogs has nodes flush, or snapshot and cut the log to a few entries.
func (w *world) cutLogs() {
	for _, h := range w.hosts {
		l := h.node()
		if l == nil || w.rng.IntN(2) == 0 {
			continue
		}
		keep := uint64(1 + w.rng.IntN(8))
		flush := w.rng.IntN(4) == 0
		w.ghosts.Go(func() {
			l.use(func() {
				if flush {
					_ = l.st.Flush() // which fails only when the disk does, and then it is tried again
					return
				}
				l.compacting.Lock()
				defer l.compacting.Unlock()
				_ = l.cutLog(keep) // nothing new to snapshot, or a node that just ended
			})
		})
	}
}

// install leaves a node behind until the others no longer have the entries that it lacks.
func (w *world) install() {
	h := w.anyHost()
	w.crash(h)
	w.net.mend(h.name, "*")
	time.Sleep(time.Duration(20+w.rng.IntN(150)) * time.Millisecond)
	for range 2 {
		for _, o := range w.hosts {
			if l := o.node(); l != nil {
				l.use(func() {
					l.compacting.Lock()
					defer l.compacting.Unlock()
					_ = l.cutLog(1)
				})
			}
		}
	}
	w.did("%s was left behind", h.name)
	h.start()
	w.rest(300)
}

// transfer has another node lead.
func (w *world) transfer() {
	l, to := w.leader(), w.voter()
	if l == nil {
		return
	}
	if w.rng.IntN(3) > 0 {
		w.net.calm()
	}
	w.did("%s hands over to %s", l.h.name, to.name)
	w.counts.transfers.Add(1)
	w.ghosts.Go(func() {
		l.use(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = l.TransferLeadership(ctx, to.name) // or it does not: both are to be survived
		})
	})
	w.duel(l.h, to)
	w.rest(200)
}

// duel has two more clients for a moment: one writes where leadership goes to, one reads the same where it was.
func (w *world) duel(old, next *host) {
	s := w.book.pick(w.rng)
	for id, h := range []*host{old, next} {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), 0))
		w.duels.Go(func() {
			for began := time.Now(); time.Since(began) < 200*time.Millisecond && !s.full(); {
				w.act(clientCount+1+id, rng, h, s, 100*id)
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// threeVote reports whether three nodes are up and all of them know that they are three voters: then a disk may
// be lost, since two hold all that was acknowledged.
func (w *world) threeVote() bool {
	for _, h := range w.others(nil) {
		l := h.node()
		if l == nil || len((&node{Cluster: l.Cluster}).voters()) != len(w.founders) {
			return false
		}
	}
	return true
}

// replaceDisk has a voter lose all it has, while one of the others lags and the third cannot be reached: with the
// vote of who has lost everything, the one that lags must not lead.
func (w *world) replaceDisk() {
	if !w.operator.TryLock() {
		return
	}
	defer w.operator.Unlock()
	if !w.threeVote() {
		return
	}
	h := w.voter()
	others := w.others(h)
	w.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	w.net.calm()
	w.net.isolate(others[0].name)
	time.Sleep(time.Duration(w.rng.IntN(150)) * time.Millisecond)
	if !w.threeVote() {
		return
	}
	w.did("%s gets a new disk, %s lags, %s is alone", h.name, others[0].name, others[1].name)
	w.counts.wipes.Add(1)
	w.wipe(h)
	w.net.isolate(others[1].name)
	w.net.mend(others[0].name, h.name)
	h.start()
	w.rest(600)
	w.net.mend(others[1].name, "*")
}

// wipe takes the power and the disks of a host.
func (w *world) wipe(h *host) {
	h.bar(true) // until it has other disks: somebody may be about to give it power
	w.crash(h)
	h.mu.Lock()
	h.empty()
	h.mu.Unlock()
	h.bar(false)
}

// removeMember takes a node out of the cluster, its data with it, and lets it join again.
func (w *world) removeMember() {
	if !w.operator.TryLock() {
		return
	}
	h, l := w.hosts[w.rng.IntN(len(w.hosts))], w.leader()
	if l == nil || l.h == h || !h.replica && !w.threeVote() {
		w.operator.Unlock()
		return
	}
	w.did("%s is to be removed", h.name)
	w.net.calm()
	var err error
	if !l.use(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = l.Remove(ctx, h.name)
	}) || err != nil || l.over.Load() {
		w.operator.Unlock()
		w.did("%s is not removed: %v", h.name, err)
		return
	}
	w.did("%s is removed and gets a new disk", h.name)
	w.counts.removals.Add(1)
	w.wipe(h)
	h.start()
	w.ghosts.Go(func() {
		defer w.operator.Unlock()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		for try := 0; try < 20 && w.joinAll() != nil; try++ {
			time.Sleep(50 * time.Millisecond)
		}
	})
}
