package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Possible returns nil where Wires and Disks can be had, and why not elsewhere. It makes one of each and takes it away
// again: root in a container mostly may do neither.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	for _, tool := range []string{"ip", "nsenter", "mount", "mkfs.ext4"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	if err := tryWires(); err != nil {
		return fmt.Errorf("a network namespace: %w", err)
	}
	if err := tryDisk(); err != nil {
		return fmt.Errorf("a file system in a file: %w", err)
	}
	return nil
}

func tryWires() (err error) {
	n, err := newNamespaces(1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	argv := n.command(0, []string{"true"})
	_, err = run(argv[0], argv[1:]...)
	return err
}

// triedDisk is the size of a file system that is only tried, in bytes.
const triedDisk = 16 << 20

func tryDisk() (err error) {
	dir, err := os.MkdirTemp("", "dcann-disk.")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }() // not what is in a disk that is still mounted there
	mount, image := filepath.Join(dir, "m"), filepath.Join(dir, "i")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(mount)) }()
	d, err := newDisk(mount, image, triedDisk)
	if err != nil {
		return errors.Join(err, os.Remove(image))
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.freeze(); err != nil {
		return err
	}
	return d.thaw()
}
