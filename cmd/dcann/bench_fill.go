package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// fillReport is what a fill prints.
type fillReport struct {
	Passports int         `json:"passports"`
	New       int         `json:"new"`
	Accepted  int         `json:"accepted"`
	Seconds   float64     `json:"seconds"`
	PerSecond float64     `json:"perSecond"`
	Provider  registry.ID `json:"provider"`
}

// text writes how a fill went.
func (r *fillReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d passports, %d of them new, in %.1f s: %.0f a second\nprovider %s\n", r.Passports, r.New, r.Seconds, r.PerSecond, r.Provider)
}

// fill is one run of dcann bench fill. Its fields below file are safe for concurrent use.
type fill struct {
	app    *app
	target benchTarget
	people *benchPeople
	n      int // passports in all
	batch  int // in a request
	file   *os.File

	next atomic.Int64 // the first passport that no connection has taken
	done atomic.Int64
	new  atomic.Int64
}

func newBenchFillCommand(a *app) *cobra.Command {
	var f fill
	var p benchPeopleFlags
	var conns, accept int
	var ids string
	c := &cobra.Command{
		Use:   "fill -n N --ids FILE",
		Short: "create passports, many a request",
		Long: `Creates passports, each by its own signed operation, and writes their identifiers to
a file, one a line, in their order. Started again with the same seed and file it goes
on after the last identifier in it.

With --accept K the provider accepts the strands of the first K passports; that and
--accreditation-key make the answers what a recipient sees in earnest.`,
		Example: `  dcann bench fill -n 1000000 --ids ids.txt --accreditation-key d/accreditation.pem --accept 10000`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if f.n < 1 || f.batch < 1 || f.batch > wire.MaxBatch || conns < 1 || accept > f.n {
				return usagef("expected -n and --conns of at least 1, --batch from 1 to %d, and --accept of at most -n", wire.MaxBatch)
			}
			f.app = a
			if f.target, err = parseBenchTarget(a.registry); err != nil {
				return err
			}
			if f.people, err = p.people(c.Context(), a, f.target); err != nil {
				return err
			}
			if f.file, err = os.OpenFile(ids, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
				return usageError{err}
			}
			defer func() { err = errors.Join(err, f.file.Close()) }()
			return f.run(c.Context(), conns, accept)
		},
	}
	c.Flags().IntVarP(&f.n, "count", "n", 0, "how many passports there shall be")
	c.Flags().IntVar(&f.batch, "batch", 500, "operations a request")
	c.Flags().IntVar(&conns, "conns", 4, "connections")
	c.Flags().StringVar(&ids, "ids", "", "file to write the identifiers to")
	c.Flags().IntVar(&accept, "accept", 0, "how many strands the provider accepts, from the first passport on")
	p.add(c)
	required(c, "count", "ids")
	return c
}

func (f *fill) run(ctx context.Context, conns, accept int) error {
	first, err := f.resume()
	if err != nil {
		return err
	}
	f.next.Store(first)
	f.done.Store(min(first, int64(f.n)))
	start := time.Now()
	if err := f.createAll(ctx, conns); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	accepted, err := f.acceptAll(ctx, accept)
	if err != nil {
		return err
	}
	r := &fillReport{Passports: f.n, New: int(f.new.Load()), Accepted: accepted, Seconds: seconds, Provider: f.people.provider}
	r.PerSecond = float64(r.New) / seconds
	return f.app.show(r, r.text)
}

// resume is how many identifiers stand in the file without a gap; a run that was killed may have left one,
// of zero bytes.
func (f *fill) resume() (int64, error) {
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	block := make([]byte, 1<<16*benchIDLine)
	for at := int64(0); at < info.Size(); at += int64(len(block)) {
		n, err := f.file.ReadAt(block, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if gap := bytes.IndexByte(block[:n], 0); gap >= 0 {
			return (at + int64(gap)) / benchIDLine, nil
		}
	}
	return info.Size() / benchIDLine, nil
}

// createAll lets each connection take the next batch until there are no more. A failure ends all of them
// and leaves in the file what was written without a gap, so that the next run can go on.
func (f *fill) createAll(ctx context.Context, conns int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := f.watchProgress(ctx)
	whole := make([]int64, conns) // what each connection has taken and not finished
	var all sync.WaitGroup
	for i := range conns {
		whole[i] = -1
		all.Go(func() {
			if err := f.drive(ctx, &whole[i]); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	stop()
	if ctx.Err() == nil {
		return nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	for _, from := range whole {
		if from >= 0 {
			end = min(end, from*benchIDLine)
		}
	}
	if err := f.file.Truncate(end); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (f *fill) drive(ctx context.Context, taken *int64) error {
	conn := newBenchConn(f.target)
	defer conn.close()
	var op, body, request, lines []byte
	for {
		from := f.next.Add(int64(f.batch)) - int64(f.batch)
		if from >= int64(f.n) {
			return nil
		}
		*taken = from
		to := min(from+int64(f.batch), int64(f.n))
		body, lines = body[:0], lines[:0]
		iat := f.app.now().Unix()
		for i := from; i < to; i++ {
			var id registry.ID
			op, id = f.people.appendCreate(op[:0], uint64(i), iat)
			body = append(append(append(body, '"'), op...), "\"\n"...)
			lines = append(append(lines, id...), '\n')
		}
		request = f.target.appendPost(request[:0], wire.PathBatch, wire.TypeNDJSON, body)
		if err := f.send(ctx, conn, request, int(to-from)); err != nil {
			return fmt.Errorf("passports %d to %d: %w", from, to-1, err)
		}
		if _, err := f.file.WriteAt(lines, from*benchIDLine); err != nil {
			return err
		}
		f.done.Add(to - from)
		*taken = -1
	}
}

var (
	benchCreated = []byte(`{"status":201`)
	benchKnown   = []byte(`{"status":200`)
)

// send posts one batch. A node that is busy or away is asked again for a minute: the same operations
// again are no second creation.
func (f *fill) send(ctx context.Context, conn *benchConn, request []byte, n int) error {
	deadline := time.Now().Add(time.Minute)
	for {
		status, err := conn.do(ctx, request)
		created, known := bytes.Count(conn.body, benchCreated), bytes.Count(conn.body, benchKnown)
		if err == nil && status == 200 && created+known == n {
			f.new.Add(int64(created))
			return nil
		}
		switch {
		case err != nil:
		case status == 200:
			err = fmt.Errorf("%d of %d were refused; the first: %s", n-created-known, n, firstRefusal(conn.body))
		default:
			err = errors.New(benchProblem(status, conn.body))
		}
		if ctx.Err() != nil || time.Now().After(deadline) || status/100 == 4 && status != 429 {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func firstRefusal(body []byte) []byte {
	for line := range bytes.Lines(body) {
		if !bytes.HasPrefix(line, benchCreated) && !bytes.HasPrefix(line, benchKnown) {
			return line[:min(len(line), 400)]
		}
	}
	return nil
}

// watchProgress tells the person at the terminal every five seconds how far it is.
func (f *fill) watchProgress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var gone sync.WaitGroup
	start, from := time.Now(), f.done.Load()
	gone.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			done := f.done.Load()
			rate := float64(done-from) / time.Since(start).Seconds()
			left := time.Duration(float64(int64(f.n)-done) / max(rate, 1) * float64(time.Second)).Round(time.Second)
			f.app.say("%d of %d passports, %.0f a second, %v left", done, f.n, rate, left)
		}
	})
	return func() { cancel(); gone.Wait() }
}
