package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/node/archive"
)

func newBackupCommand(a *app) *cobra.Command {
	var from operatorFlags
	var to string
	var stale bool
	c := &cobra.Command{
		Use:   "backup --config FILE --to FILE",
		Short: "copy a running registry into one file",
		Long: `Copies all that a running node has, as of one moment, into one file with checksums, while the
node goes on. Any node can be asked; a read replica spares the others the reading. What
comes is verified while it is written, and the file gets its name only when it is whole and
on disk. --to - writes to standard output instead; then the exit code says whether it is whole.

A node that cannot confirm that it has all that was acknowledged, since nobody leads or it is
cut off or no member any more, refuses: ask another. When there is none, --stale takes what it
has, and says as of when that is.

The file holds everything, also what people share with a few only: keep it as safe as a node.
The accreditation key is not in it, nor are the certificates of the nodes.`,
		Example: `  dcann backup --config D/r1/node.yaml --to xa-2026-07-01.backup
  dcann backup --admin unix:/var/lib/dcann/admin.sock --to - | age -r age1… > xa.backup.age
  dcann restore --config E/n1/node.yaml xa-2026-07-01.backup`,
		Args: exactly(),
	}
	from.add(c)
	c.Flags().StringVar(&to, "to", "", "new file to write, or - for standard output")
	c.Flags().BoolVar(&stale, "stale", false, "also from a node that cannot confirm that it has all that was acknowledged")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if to != "-" {
			if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
				return usagef("--to: %s exists: expected a new file's name", to)
			}
		}
		address, err := from.address(a, c)
		if err != nil {
			return err
		}
		op := a.operator(address, a.long(c))
		var h archive.Header
		if to == "-" {
			h, err = op.backup(c.Context(), a.stdout, stale)
		} else {
			h, err = op.backupFile(c.Context(), to, stale)
		}
		if err != nil {
			return err
		}
		a.say("%s, verified", describeArchive(h))
		a.warnOfStale(h)
		return nil
	}
	required(c, "to")
	return c
}

func describeArchive(h archive.Header) string {
	var size int64
	for _, f := range h.Files {
		size += f.Size
	}
	return fmt.Sprintf("%s of country %s, journal up to %d, index %d, %s, made on node %s",
		h.Kind, h.Country, h.Position, h.Index, byteCount(size), h.Node)
}

// warnOfStale says what may be missing from an archive of a node that could not confirm that it had everything.
func (a *app) warnOfStale(h archive.Header) {
	switch {
	case h.AsOf == nil:
	case h.AsOf.IsZero():
		a.say("WARNING: stale: node %s had heard from no leader: it may lack anything that was acknowledged elsewhere", h.Node)
	default:
		a.say("WARNING: stale, as of %s, %s before it was made: it may lack what was acknowledged since",
			h.AsOf.Format(time.RFC3339), h.Created.Sub(*h.AsOf).Round(time.Second))
	}
}

// backup writes the node's archive to w. Without an error it was whole. The error's kind is Unavailable
// when the connection broke off.
func (o *operator) backup(ctx context.Context, w io.Writer, stale bool) (archive.Header, error) {
	path := "/backup"
	if stale {
		path += "?stale=true"
	}
	res, err := o.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return archive.Header{}, err
	}
	defer res.Body.Close()
	p := o.app.progress("backup")
	defer p.end()
	out := &counted{w: w, each: func(done int64) { p.at(done, res.ContentLength) }}
	h, err := archive.Verify(io.TeeReader(res.Body, out))
	var damaged *archive.DamagedError
	switch {
	case out.err != nil:
		return h, fmt.Errorf("write the backup: %w", out.err)
	case errors.As(err, &damaged):
		return h, fmt.Errorf("backup of the node at %s: %w", o.address, err)
	case err != nil:
		return h, unavailable("backup of the node at %s: %v", o.address, err)
	}
	return h, nil
}

// backupFile is backup to a file that is there when it is whole and on disk, and otherwise not.
func (o *operator) backupFile(ctx context.Context, path string, stale bool) (h archive.Header, err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".partial-*") // mode 0600
	if err != nil {
		return h, usageError{fmt.Errorf("--to: %w", err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	h, err = o.backup(ctx, tmp, stale)
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return h, err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return h, err
	}
	return h, syncDir(dir)
}

// counted says how much was written, and remembers what went wrong.
type counted struct {
	w    io.Writer
	each func(done int64)
	done int64
	err  error
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done += int64(n)
	c.each(c.done)
	if err != nil {
		c.err = err
	}
	return n, err
}

func newRestoreCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "restore --config FILE ARCHIVE",
		Short: "begin a node or a cluster from a backup",
		Long: `Puts what dcann backup wrote into the empty data directory of a node that does not run. The
archive is verified as it is read; one that is cut off or altered is refused whole, and leaves
nothing behind. ARCHIVE - reads standard input.

For a new cluster, after the old one was lost: dcann cluster init --policy, with the policy of
the old one (or the old cluster's own node.yaml files, and new data directories), then restore
the same archive on each founding node, then start them. The registry goes on where the backup
was made: what was acknowledged later is lost, so take the newest.

A node that is to be added to a running cluster needs no backup: it gets everything when it is
joined.`,
		Example: `  dcann restore --config D/n1/node.yaml xa-2026-07-01.backup
  dcann restore --config D/n2/node.yaml xa-2026-07-01.backup
  dcann restore --config D/n3/node.yaml xa-2026-07-01.backup`,
		Args: exactly("ARCHIVE"),
	}
	c.Flags().StringVar(&file, "config", "", "file that the node will be started with (dcann serve --config)")
	c.RunE = func(c *cobra.Command, args []string) error {
		config, err := a.configOf(file)
		if err != nil {
			return err
		}
		var in io.Reader
		if args[0] == "-" {
			in = interruptible(c.Context(), a.stdin)
		} else {
			f, err := os.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			defer f.Close()
			in = f
		}
		p := a.progress("restore")
		h, err := node.Restore(c.Context(), config, in, p.at)
		p.end()
		switch {
		case errors.Is(err, context.Canceled):
			return unavailable("interrupted: nothing was restored, and %s is as empty as before", config.Data)
		case err != nil:
			return configError(err)
		}
		a.say("%s, is in %s", describeArchive(h), config.Data)
		a.warnOfStale(h)
		return nil
	}
	required(c, "config")
	return c
}

// interruptible is r until ctx is done: whatever is read then ends, also while r is silent. Who reads r meanwhile
// cannot be ended, and is left to the end of the process.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	return out
}
