package node

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry"
)

func TestLockDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/new"
	first, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockDir(dir)
	if !errors.Is(err, registry.Unavailable) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v: expected to be told which process has which directory", err)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	again, err := lockDir(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := again.release(); err != nil {
		t.Fatal(err)
	}
}
