package node

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// A level that can be raised to is there only in the release after: what reaches the state's rules is seen
// by how they refuse.
func TestAdminLevel(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	admin := n.adminServer().Handler
	for _, tt := range []struct {
		name, body string
		want       registry.Kind
		says       string
	}{
		{"the one in force", "1\n", registry.Conflict, "the level is 1 already"},
		{"one that this release does not know", "2", registry.Invalid, "knows levels up to 1"},
		{"no number", "newest", registry.Invalid, "expected a number"},
		{"nothing", "", registry.Invalid, "expected a number"},
		{"larger than any level", "4294967297", registry.Invalid, "expected a number"},
		{"too long", strings.Repeat(" ", maxLevel) + "1", registry.Invalid, "expected a number"},
	} {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/level", strings.NewReader(tt.body)))
		err := wire.ReadProblem(w.Code, w.Header(), w.Body.Bytes(), time.Now())
		if registry.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v: expected %s, and %q", tt.name, err, tt.want, tt.says)
		}
	}
	if got := n.current.Load().store.Level(); got != state.MaxLevel {
		t.Errorf("the level is %d: expected %d", got, state.MaxLevel)
	}
}
