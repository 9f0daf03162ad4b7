package cluster

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The files of the state were synced, but not the entry of the directory that holds them all.
func TestAPowerFailureLeavesTheDirectoryOfTheState(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	if _, err := OpenPlace(disk, "data"); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.CrashClone(vfs.CrashCloneCfg{}).Stat("data"); err != nil {
		t.Error(err)
	}
}
