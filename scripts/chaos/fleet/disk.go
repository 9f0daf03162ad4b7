package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MinFree is what the nodes are told to keep free, in bytes.
const MinFree = 16 << 20

// diskSize is of a node's file system. The file that holds it takes only what is written.
const diskSize = 4 << 30

// disk is an ext4 file system in a file.
type disk struct {
	mount, image string

	mu     sync.Mutex // whoever holds it must not write while frozen: thaw needs it
	frozen bool
}

// Calls of the kernel that golang.org/x/sys has no names for (linux/fs.h, fs/ext4/ext4.h).
const (
	fiFreeze     = 0xc0045877
	fiThaw       = 0xc0045878
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2 // nothing that is not on the disk gets there any more
)

// newDisk makes one of so many bytes.
func newDisk(mount, image string, size int64) (*disk, error) {
	d := &disk{mount: mount, image: image}
	f, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return nil, err
	}
	if _, err := run("mkfs.ext4", "-q", "-m", "0", image); err != nil {
		return nil, err
	}
	return d, d.attach()
}

// attach mounts the file system, one that works: the kernel gives the one before again, which may have been shut
// down, as long as somebody holds that. Who looks up a path in it at the moment of its end does.
func (d *disk) attach() error {
	for began := time.Now(); ; {
		if _, err := run("mount", "-o", "loop", d.image, d.mount); err != nil {
			return err
		}
		f, err := unix.Open(d.mount, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			return unix.Close(f)
		case !errors.Is(err, unix.EIO): // a full disk is one too
			return nil
		case time.Since(began) > attachPatience:
			return fmt.Errorf("write to %s, just mounted: %w", d.mount, err)
		}
		if err := d.detach(); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const attachPatience = 30 * time.Second

func (d *disk) detach() error {
	for range 100 { // the last process has gone, and its files may still be closing
		if err := unix.Unmount(d.mount, 0); err == nil || errors.Is(err, unix.EINVAL) {
			return nil
		} else if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("unmount %s: %w", d.mount, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("unmount %s: still in use", d.mount)
}

func (d *disk) close() error {
	return errors.Join(d.thaw(), d.detach(), os.Remove(d.image))
}

func (d *disk) ioctl(request uint, value int) error {
	f, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), request, value)
}

// freeze makes every write to the disk wait until thaw.
func (d *disk) freeze() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen {
		return nil
	}
	if err := d.ioctl(fiFreeze, 0); err != nil {
		return fmt.Errorf("freeze %s: %w", d.mount, err)
	}
	d.frozen = true
	return nil
}

func (d *disk) thaw() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.thawLocked()
}

func (d *disk) thawLocked() error {
	if !d.frozen {
		return nil
	}
	if err := d.ioctl(fiThaw, 0); err != nil {
		return fmt.Errorf("thaw %s: %w", d.mount, err)
	}
	d.frozen = false
	return nil
}

// powerCut loses what was not synced: the file system ends at once and is mounted again, as after a power
// failure. Nobody may use it.
func (d *disk) powerCut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.thawLocked(); err != nil {
		return err
	}
	if err := d.ioctl(ext4Shutdown, noLogFlush); err != nil {
		return fmt.Errorf("cut the power of %s: %w", d.mount, err)
	}
	if err := d.detach(); err != nil {
		return err
	}
	return d.attach()
}

func (d *disk) ballast() string { return filepath.Join(d.mount, "ballast") }

// fill takes space until so many bytes are left.
func (d *disk) fill(left int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen {
		return fmt.Errorf("fill %s: it is frozen", d.mount)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.mount, &st); err != nil {
		return err
	}
	f, err := os.OpenFile(d.ballast(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(st.Bavail)*st.Bsize - left
	// Not every free block can be had: what a file needs to be found again takes some.
	for ; size > 0; size -= 1 << 20 {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		if err == nil || !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	return nil
}

func (d *disk) free() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen {
		return fmt.Errorf("free %s: it is frozen", d.mount)
	}
	if err := os.Remove(d.ballast()); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // or a power cut brings it back
}

// FillDisk leaves so many bytes free; FreeDisk ends that.
func (n *Node) FillDisk(left int64) error { return n.disk.fill(left) }

// FreeDisk makes space again.
func (n *Node) FreeDisk() error { return n.disk.free() }

// FreezeDisk makes every write wait until ThawDisk.
func (n *Node) FreezeDisk() error { return n.disk.freeze() }

// ThawDisk lets the writes go on.
func (n *Node) ThawDisk() error { return n.disk.thaw() }

// PowerCut kills the node and loses what its disk had not been told to keep. It has to be started again.
func (n *Node) PowerCut() error {
	return n.atRest(n.disk.powerCut)
}
