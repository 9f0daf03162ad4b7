package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dcann/dcann/scripts/chaos/check"
	"github.com/dcann/dcann/scripts/chaos/load"
	"github.com/dcann/dcann/scripts/chaos/nemesis"
)

// report prints the summary and says why the run is no success, if it is none.
func (t *trial) report() error {
	violations, subjects, undecided := t.court.found()
	counts, acknowledged := t.load.Counts(), t.court.acknowledged()
	done := t.nemesis.Done()
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	row := func(what string, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	row("seed", "%d", t.seed)
	row("duration", "%v", t.lasted.Round(time.Second))
	faults := 0
	for _, kind := range t.wanted() {
		row("fault: "+string(kind), "%d", done[kind])
		faults += done[kind]
	}
	row("faults", "%d", faults)
	for _, n := range t.fleet.Nodes() {
		for how, times := range n.Exits() {
			row("ended by itself: "+n.Name, "%d, %s", times, how)
		}
	}
	row("changes of leader", "at least %d", t.watched.seen())
	for _, what := range load.Kinds() {
		row("calls: "+what, "%s", outcomes(counts.Calls[what]))
	}
	row("calls: nobody there", "%d", counts.NotSent)
	row("longest time without a write", "%v, until %v", counts.LongestGap.Round(time.Millisecond), counts.GapAt.Round(time.Second))
	row("operations acknowledged", "%d", acknowledged)
	row("passports checked", "%d", subjects-undecided)
	row("passports NOT checked", "%d", undecided)
	kinds := map[check.Fault]int{}
	for _, v := range violations {
		kinds[v.Kind]++
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		row("VIOLATION: "+string(kind), "%d", kinds[kind])
	}
	row("violations", "%d", len(violations))
	if err := w.Flush(); err != nil {
		return err
	}
	for _, v := range violations[:min(len(violations), 5)] {
		fmt.Fprintf(t.stdout, "%s: %s %s\n", v.Kind, v.ID, v.Detail)
	}
	return t.verdict(len(violations), acknowledged, subjects, undecided, done)
}

// wanted are the kinds of faults that this run should have had.
func (t *trial) wanted() []nemesis.Kind {
	if t.kinds != nil {
		return t.kinds
	}
	return nemesis.Possible(t.fleet)
}

// verdict is the error of a run that failed, or that proves nothing.
func (t *trial) verdict(violations, acknowledged, subjects, undecided int, done map[nemesis.Kind]int) error {
	if t.expect {
		if violations == 0 {
			return errors.New("no violation was found, and one was expected")
		}
		fmt.Fprintln(t.stdout, "a violation was expected, and is found")
		return nil
	}
	var errs []error
	if violations > 0 {
		errs = append(errs, fmt.Errorf("%d violations", violations))
	}
	if acknowledged < t.minWrites {
		errs = append(errs, fmt.Errorf("too little to tell: %d operations were acknowledged, expected at least %d", acknowledged, t.minWrites))
	}
	for _, kind := range t.wanted() {
		if done[kind] < t.minFaults {
			errs = append(errs, fmt.Errorf("too little to tell: %d faults of kind %q, expected at least %d", done[kind], kind, t.minFaults))
		}
	}
	if undecided*100 > subjects {
		errs = append(errs, fmt.Errorf("%d of %d passports are not checked, for lack of time", undecided, subjects))
	}
	return errors.Join(errs...)
}

func outcomes(by map[string]int) string {
	text := ""
	for _, how := range slices.Sorted(maps.Keys(by)) {
		text += fmt.Sprintf("%d %s  ", by[how], how)
	}
	return text
}

// drawn is how many histories are kept.
const drawn = 10

// tidy keeps or removes the run's directory. What is kept: the logs of all nodes, chaos.log, and of the
// passports that something was wrong with, a page that shows the calls, and their list.
func (t *trial) tidy(failed bool) error {
	if t.keep == "" && !failed || t.court == nil && t.keep == "" && t.fleet == nil {
		return os.RemoveAll(t.dir)
	}
	dir := t.keep
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("dcann-chaos-%d", t.seed))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(t.dir, "*.log"))
	if err != nil {
		return err
	}
	var errs []error
	for _, log := range logs {
		errs = append(errs, move(log, filepath.Join(dir, filepath.Base(log))))
	}
	if t.court != nil {
		errs = append(errs, t.court.keep(dir))
	}
	fmt.Fprintf(t.err, "chaos: logs and histories are in %s\n", dir)
	return errors.Join(append(errs, os.RemoveAll(t.dir))...)
}

func move(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// keep writes what was found into dir.
func (c *court) keep(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.violations) == 0 {
		return nil
	}
	list, err := os.Create(filepath.Join(dir, "violations.txt"))
	if err != nil {
		return err
	}
	defer list.Close()
	for _, v := range c.violations {
		fmt.Fprintf(list, "%s: %s %s\n", v.Kind, v.ID, v.Detail)
	}
	n := 0
	for _, s := range c.subjects {
		if !c.guilty[s] || n == drawn {
			continue
		}
		n++
		if err := keepHistory(dir, n, s); err != nil {
			return err
		}
	}
	return nil
}

func keepHistory(dir string, n int, s *check.Subject) error {
	page, err := os.Create(filepath.Join(dir, fmt.Sprintf("history-%d.html", n)))
	if err != nil {
		return err
	}
	defer page.Close()
	list, err := os.Create(filepath.Join(dir, fmt.Sprintf("history-%d.txt", n)))
	if err != nil {
		return err
	}
	defer list.Close()
	slices.SortFunc(s.Events, func(a, b check.Event) int { return int(a.Call - b.Call) })
	fmt.Fprintln(list, s.ID)
	for _, e := range s.Events {
		fmt.Fprintln(list, e)
	}
	return check.Draw(s, judgePatience, page)
}
