package peer

import "testing"

func TestTarget(t *testing.T) {
	t.Parallel()
	name, hostport, err := parseTarget(Target("n2", "[::1]:7500"))
	if err != nil || name != "n2" || hostport != "[::1]:7500" {
		t.Errorf("got %q, %q, %v", name, hostport, err)
	}
	for _, bad := range []string{"", "n2", "127.0.0.1:7500", "=h:1", "n2=", "n2=h", "n2=:1", "n2=h:", "n 2=h:1", "-n=h:1", "n2=h:1:2", "10.0.0.1=h:1"} {
		if _, _, err := parseTarget(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"n2=127.0.0.1:7500", "n2=[::1]:1", "a.b-c_d=h:http", "n2==:", "=", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		name, hostport, err := parseTarget(target)
		if err != nil {
			return
		}
		if back := Target(name, hostport); back != target {
			t.Errorf("%q became %q", target, back)
		}
	})
}
