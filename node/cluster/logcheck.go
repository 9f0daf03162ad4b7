package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// checkLog reads the log's file once, page by page, before Bolt opens it for writing. Bolt maps the file
// into memory and takes what is in it for granted: of a file that was cut off or overwritten it panics, in
// part in goroutines of its own, or the system ends the process. An error says what is wrong instead. What
// is not there, or empty, is a log that begins.
func checkLog(path string) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer recoverDamage(path, &err)()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%s is in use, is another node running on it?: %w", path, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err != nil {
		return damaged(path, err)
	}
	err = walk(db, info.Size())
	return errors.Join(err, db.Close())
}

// walk visits every page that a transaction can reach. A panic of Bolt's is returned, with the transaction
// ended, so that the file can be closed.
func walk(db *bbolt.DB, size int64) (err error) {
	defer recoverDamage(db.Path(), &err)()
	return db.View(func(tx *bbolt.Tx) error {
		if size < tx.Size() {
			return damaged(db.Path(), fmt.Errorf("it has %d bytes: expected at least %d", size, tx.Size()))
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	})
}

// recoverDamage makes an error of a panic, and of a fault in the mapped file, for the function that defers
// what it returns.
func recoverDamage(path string, err *error) func() {
	faults := debug.SetPanicOnFault(true) // of this goroutine only
	return func() {
		debug.SetPanicOnFault(faults)
		if r := recover(); r != nil {
			*err = damaged(path, fmt.Errorf("%v", r))
		}
	}
}

func damaged(path string, err error) error {
	return fmt.Errorf("the Raft log %s is damaged: %w: %s", path, err, wipe)
}
